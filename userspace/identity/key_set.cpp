// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/key_set.h"

#include "userspace/base/encoding.h"
#include "userspace/identity/public_key.h"
#include "userspace/identity/strict_json.h"

#include <algorithm>
#include <array>

namespace chaperone::identity {
namespace {

namespace json = boost::json;

struct Named {
    std::string_view name;
    Algorithm algorithm;
    KeyKind kind;
};

// RFC 7518 section 3.1, RFC 8037 section 3.1.
constexpr std::array kAlgorithms{
    Named{"RS256", Algorithm::Rs256, KeyKind::Rsa},
    Named{"RS384", Algorithm::Rs384, KeyKind::Rsa},
    Named{"RS512", Algorithm::Rs512, KeyKind::Rsa},
    Named{"PS256", Algorithm::Ps256, KeyKind::Rsa},
    Named{"PS384", Algorithm::Ps384, KeyKind::Rsa},
    Named{"PS512", Algorithm::Ps512, KeyKind::Rsa},
    Named{"ES256", Algorithm::Es256, KeyKind::P256},
    Named{"ES384", Algorithm::Es384, KeyKind::P384},
    Named{"ES512", Algorithm::Es512, KeyKind::P521},
    Named{"EdDSA", Algorithm::EdDsa, KeyKind::Ed25519},
};

constexpr std::size_t kMaxKeyId = 256;
// 8192-bit RSA; verification above costs too much for a public endpoint.
constexpr std::size_t kMaxMember = 1400;

Result<Buffer> octets(const json::object& jwk, std::string_view name) {
    const auto text = text_of(jwk, name);
    if (!text || text->empty() || text->size() > kMaxMember)
        return fail(Errc::Invalid, "member " + std::string{name});
    auto bytes = from_base64url(*text);
    if (!bytes) return fail(Errc::Invalid, "member " + std::string{name});
    return bytes;
}

Result<Key> read_rsa(const json::object& jwk) {
    const auto n = octets(jwk, "n"), e = octets(jwk, "e");
    if (!n) return fail(n.error());
    if (!e) return fail(e.error());
    auto key = rsa_public_key(*n, *e);
    if (!key) return fail(key.error());
    return Key{.kind = KeyKind::Rsa, .public_key = std::move(*key)};
}

Result<Key> read_ec(const json::object& jwk) {
    const auto curve = text_of(jwk, "crv");
    KeyKind kind{};
    if (curve == "P-256")
        kind = KeyKind::P256;
    else if (curve == "P-384")
        kind = KeyKind::P384;
    else if (curve == "P-521")
        kind = KeyKind::P521;
    else
        return fail(Errc::Unsupported, "curve");
    const auto x = octets(jwk, "x"), y = octets(jwk, "y");
    if (!x) return fail(x.error());
    if (!y) return fail(y.error());
    auto key = ec_public_key(kind, *x, *y);
    if (!key) return fail(key.error());
    return Key{.kind = kind, .public_key = std::move(*key)};
}

Result<Key> read_okp(const json::object& jwk) {
    if (text_of(jwk, "crv") != "Ed25519") return fail(Errc::Unsupported, "curve");
    const auto x = octets(jwk, "x");
    if (!x) return fail(x.error());
    auto key = ed25519_public_key(*x);
    if (!key) return fail(key.error());
    return Key{.kind = KeyKind::Ed25519, .public_key = std::move(*key)};
}

// What use, key_ops and the private members say about the key, before it is looked at.
Result<> is_for_verifying(const json::object& jwk) {
    if (jwk.contains("use") && text_of(jwk, "use") != "sig")
        return fail(Errc::Unsupported, "use is not sig");
    if (const json::value* operations = jwk.if_contains("key_ops")) {
        const auto is_verify = [](const json::value& v) {
            return v.is_string() && v.get_string() == "verify";
        };
        if (!operations->is_array() || std::ranges::none_of(operations->get_array(), is_verify))
            return fail(Errc::Unsupported, "key_ops without verify");
    }
    for (const char* secret : {"d", "p", "q", "k"})
        if (jwk.contains(secret)) return fail(Errc::Invalid, "published with its private half");
    return {};
}

Result<Key> read_key(const json::object& jwk) {
    if (auto fits = is_for_verifying(jwk); !fits) return fail(fits.error());
    const auto type = text_of(jwk, "kty");
    auto key = type == "RSA"   ? read_rsa(jwk)
               : type == "EC"  ? read_ec(jwk)
               : type == "OKP" ? read_okp(jwk)
                               : Result<Key>{fail(Errc::Unsupported, "kty")};
    if (!key) return key;
    if (jwk.contains("alg")) {
        key->only = algorithm_named(text_of(jwk, "alg").value_or(""));
        if (!key->only || kind_for(*key->only) != key->kind)
            return fail(Errc::Unsupported, "alg is not one for this key");
    }
    return key;
}

// Could a token mean either of them?
bool collide(const Key& a, const Key& b) {
    return !a.id.empty() && a.id == b.id && a.kind == b.kind &&
           (!a.only || !b.only || a.only == b.only);
}

bool printable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

std::string_view name_of(Algorithm algorithm) noexcept {
    return kAlgorithms[static_cast<std::size_t>(algorithm)].name;
}

std::optional<Algorithm> algorithm_named(std::string_view name) noexcept {
    for (const Named& known : kAlgorithms)
        if (known.name == name) return known.algorithm;
    return {};
}

KeyKind kind_for(Algorithm algorithm) noexcept {
    return kAlgorithms[static_cast<std::size_t>(algorithm)].kind;
}

Result<KeySet> KeySet::parse(std::string_view text) {
    const auto object = parse_object(text, kMaxText, "key set");
    if (!object) return fail(object.error());
    const json::value* list = object->if_contains("keys");
    if (list == nullptr || !list->is_array()) return fail(Errc::Malformed, "key set without keys");
    if (list->get_array().size() > kMaxKeys) return fail(Errc::TooLarge, "key set");
    KeySet set;
    for (const json::value& item : list->get_array()) {
        if (!item.is_object()) return fail(Errc::Malformed, "key set with a key that is no object");
        const json::object& jwk = item.get_object();
        const auto id = text_of(jwk, "kid").value_or("");
        if (id.size() > kMaxKeyId || !printable(id) || (jwk.contains("kid") && id.empty()))
            return fail(Errc::Malformed, "key set with an unusable kid");
        auto key = read_key(jwk);
        if (!key) {
            set.left_out_.push_back("key '" + std::string{id} + "': " + key.error().detail);
            continue;
        }
        key->id = id;
        if (std::ranges::any_of(set.keys_, [&](const Key& other) { return collide(*key, other); }))
            return fail(Errc::Malformed, "key set with two keys of one kid");
        set.keys_.push_back(std::move(*key));
    }
    if (set.keys_.empty()) return fail(Errc::Invalid, "key set without a usable key");
    return set;
}

const Key* KeySet::find(std::optional<std::string_view> key_id,
                        Algorithm algorithm) const noexcept {
    const Key* found = nullptr;
    for (const Key& key : keys_) {
        if (key.kind != kind_for(algorithm) || (key.only && key.only != algorithm)) continue;
        if (key_id && key.id != *key_id) continue;
        if (found != nullptr) return nullptr;  // two would fit: neither is meant
        found = &key;
    }
    return found;
}

}  // namespace chaperone::identity

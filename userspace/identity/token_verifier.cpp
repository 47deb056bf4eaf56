// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/token_verifier.h"

#include "userspace/base/encoding.h"
#include "userspace/identity/strict_json.h"

#include <algorithm>

namespace chaperone::identity {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxHeader = 4096;

struct Parts {
    std::string_view header, payload, signature;
    std::string_view signed_text;  // header.payload
};

Result<Parts> split(std::string_view token) {
    if (token.size() > kMaxToken) return fail(Errc::TooLarge, "token");
    const auto first = token.find('.');
    const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
        return fail(Errc::Malformed, "token is not of three parts");
    return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1),
                 token.substr(second + 1), token.substr(0, second)};
}

Result<Buffer> decode(std::string_view part, const char* what) {
    auto bytes = from_base64url(part);
    if (!bytes || bytes->empty()) return fail(Errc::Malformed, std::string{"token's "} + what);
    return bytes;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// RFC 7519 section 5.1, RFC 9068 section 2.1; RFC 8725 section 3.11 on why others are refused.
bool is_known_type(std::string_view type) {
    constexpr std::string_view kPrefix = "application/";
    if (type.size() > kPrefix.size() &&
        equals_ignoring_case(type.substr(0, kPrefix.size()), kPrefix))
        type.remove_prefix(kPrefix.size());
    return equals_ignoring_case(type, "JWT") || equals_ignoring_case(type, "at+jwt");
}

struct Header {
    Algorithm algorithm{};
    std::optional<std::string> key_id{};
};

Result<Header> read_header(std::string_view text, const TokenRules& rules) {
    const auto object = parse_object(text, kMaxHeader, "token's header");
    if (!object) return fail(object.error());
    // An extension that must be understood, and we understand none; b64 changes what is signed.
    if (object->contains("crit") || object->contains("b64"))
        return fail(Errc::Unsupported, "token's header has extensions");
    if (object->contains("typ") && !is_known_type(text_of(*object, "typ").value_or("")))
        return fail(Errc::Unsupported, "token's typ");
    const auto algorithm = algorithm_named(text_of(*object, "alg").value_or(""));
    const auto& wanted = rules.algorithms;
    if (!algorithm || (!wanted.empty() && std::ranges::find(wanted, *algorithm) == wanted.end()))
        return fail(Errc::Unsupported, "token's alg");
    Header header{.algorithm = *algorithm};
    if (object->contains("kid")) {
        const auto id = text_of(*object, "kid");
        if (!id) return fail(Errc::Malformed, "token's kid");
        header.key_id = *id;
    }
    return header;
}

Result<> check(const Claims& claims, const TokenRules& rules, Time now) {
    if (rules.issuer.empty() || claims.issuer != rules.issuer)
        return fail(Errc::Denied, "token's issuer is not the provider");
    if (rules.audience.empty() ||
        std::ranges::find(claims.audience, rules.audience) == claims.audience.end())
        return fail(Errc::Denied, "token is for another audience");
    if (claims.expires_at <= now - rules.skew) return fail(Errc::Expired, "token");
    if (claims.not_before && *claims.not_before > now + rules.skew)
        return fail(Errc::Denied, "token is not valid yet");
    if (claims.issued_at && *claims.issued_at > now + rules.skew)
        return fail(Errc::Denied, "token is issued in the future");
    return {};
}

}  // namespace

Result<Claims> verify_token(std::string_view token, const KeySet& keys, const TokenRules& rules,
                            Time now) {
    const auto parts = split(token);
    if (!parts) return fail(parts.error());
    const auto header_text = decode(parts->header, "header");
    if (!header_text) return fail(header_text.error());
    const auto signature = decode(parts->signature, "signature");
    if (!signature) return fail(signature.error());
    const auto header = read_header(as_text(*header_text), rules);
    if (!header) return fail(header.error());
    const Key* key = keys.find(header->key_id, header->algorithm);
    if (key == nullptr) return fail(Errc::NotFound, "token's key");
    if (!verify_signature(*key, header->algorithm, as_bytes(parts->signed_text), *signature))
        return fail(Errc::Denied, "token's signature is wrong");
    // Only now is anything that the token claims looked at.
    const auto payload = decode(parts->payload, "payload");
    if (!payload) return fail(payload.error());
    auto claims = read_claims(as_text(*payload), rules.groups_claim);
    if (!claims) return claims;
    if (auto good = check(*claims, rules, now); !good) return fail(good.error());
    return claims;
}

}  // namespace chaperone::identity

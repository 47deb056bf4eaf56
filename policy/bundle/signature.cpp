// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/signature.h"

#include "userspace/base/encoding.h"

#include <openssl/evp.h>

#include <fnmatch.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <memory>

namespace chaperone::policy::bundle {
namespace {

constexpr std::string_view kKeyType = "ssh-ed25519";
constexpr std::string_view kMagic = "SSHSIG";
constexpr std::string_view kBegin = "-----BEGIN SSH SIGNATURE-----";
constexpr std::string_view kEnd = "-----END SSH SIGNATURE-----";
constexpr std::size_t kKeySize = 32;
constexpr std::size_t kSignatureSize = 64;
constexpr std::size_t kMostSignatures = 16;

// The strings of RFC 4251, section 5: a length in four bytes, then the bytes.
class Fields {
public:
    explicit Fields(std::string_view data) : rest_(data) {}
    std::optional<std::uint32_t> number() {
        if (rest_.size() < 4) return std::nullopt;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i != 4; ++i)
            value = value << 8U | static_cast<unsigned char>(rest_[i]);
        rest_.remove_prefix(4);
        return value;
    }
    std::optional<std::string_view> text() {
        const auto size = number();
        if (!size || *size > rest_.size()) return std::nullopt;
        const std::string_view value = rest_.substr(0, *size);
        rest_.remove_prefix(*size);
        return value;
    }
    bool skip(std::string_view expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }
    bool done() const { return rest_.empty(); }

private:
    std::string_view rest_;
};

void put(std::string& to, std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    for (const unsigned shift : {24U, 16U, 8U, 0U}) to += static_cast<char>(size >> shift & 0xffU);
    to += text;
}

// "ssh-ed25519" and one string of the given size: a key or a raw signature.
std::optional<std::string_view> ed25519(std::string_view blob, std::size_t size) {
    Fields fields{blob};
    if (fields.text() != kKeyType) return std::nullopt;
    const auto value = fields.text();
    if (!value || value->size() != size || !fields.done()) return std::nullopt;
    return value;
}

struct Parsed {
    std::string blob;
    std::string_view key;
    std::string_view space, reserved, hash, raw;
};

std::optional<Parsed> parse_blob(std::string blob) {
    Parsed made{.blob = std::move(blob)};
    Fields fields{made.blob};
    if (!fields.skip(kMagic) || fields.number() != 1U) return std::nullopt;
    const auto key = fields.text();
    const auto space = fields.text();
    const auto reserved = fields.text();
    const auto hash = fields.text();
    const auto raw = fields.text();
    if (!key || !space || !reserved || !hash || !raw || !fields.done()) return std::nullopt;
    const auto bytes = ed25519(*key, kKeySize);
    const auto signature = ed25519(*raw, kSignatureSize);
    if (!bytes || !signature) return std::nullopt;
    // Views of a string that may keep its bytes in itself: taken anew where it stays.
    const auto offset = [&](std::string_view part) {
        return static_cast<std::size_t>(part.data() - made.blob.data());
    };
    const std::array<std::pair<std::size_t, std::size_t>, 5> at{
        {{offset(*bytes), kKeySize},
         {offset(*space), space->size()},
         {offset(*reserved), reserved->size()},
         {offset(*hash), hash->size()},
         {offset(*signature), kSignatureSize}}};
    std::optional<Parsed> result{std::in_place};
    result->blob = std::move(made.blob);
    const std::string_view all = result->blob;
    result->key = all.substr(at[0].first, at[0].second);
    result->space = all.substr(at[1].first, at[1].second);
    result->reserved = all.substr(at[2].first, at[2].second);
    result->hash = all.substr(at[3].first, at[3].second);
    result->raw = all.substr(at[4].first, at[4].second);
    return result;
}

// The first armoured signature, which is taken off the front.
std::optional<std::string> take_armoured(std::string_view& text) {
    const std::size_t begin = text.find(kBegin);
    if (begin == text.npos) return std::nullopt;
    const std::size_t end = text.find(kEnd, begin);
    if (end == text.npos) return std::nullopt;
    std::string base64;
    for (const char c : text.substr(begin + kBegin.size(), end - begin - kBegin.size()))
        if (c != '\n' && c != '\r' && c != ' ') base64 += c;
    text.remove_prefix(end + kEnd.size());
    const auto bytes = from_base64(base64);
    if (!bytes) return std::nullopt;
    return std::string{as_text(*bytes)};
}

std::optional<std::string> hashed(std::string_view name, std::string_view message) {
    const EVP_MD* kind = name == "sha512"   ? EVP_sha512()
                         : name == "sha256" ? EVP_sha256()
                                            : nullptr;
    if (kind == nullptr) return std::nullopt;
    std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    if (EVP_Digest(message.data(), message.size(), out.data(), &size, kind, nullptr) != 1)
        return std::nullopt;
    return std::string{reinterpret_cast<const char*>(out.data()), size};
}

bool good(const Parsed& signature, std::string_view message) {
    const auto hash = hashed(signature.hash, message);
    if (!hash) return false;
    std::string data{kMagic};
    for (const std::string_view part :
         {signature.space, signature.reserved, signature.hash, std::string_view{*hash}})
        put(data, part);
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<const unsigned char*>(text.data());
    };
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(signature.key), kKeySize),
        EVP_PKEY_free};
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free};
    return key && context &&
           EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
           EVP_DigestVerify(context.get(), bytes(signature.raw), signature.raw.size(), bytes(data),
                            data.size()) == 1;
}

// YYYYMMDD[HHMM[SS]][Z], as ssh-keygen reads it; without Z it is local time there, here UTC always.
std::optional<Time> read_time(std::string_view text) {
    if (text.ends_with('Z')) text.remove_suffix(1);
    if (text.size() != 8 && text.size() != 12 && text.size() != 14) return std::nullopt;
    if (!std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
        return std::nullopt;
    const auto part = [&](std::size_t at, std::size_t size) {
        int value = 0;
        if (at < text.size()) std::from_chars(text.data() + at, text.data() + at + size, value);
        return value;
    };
    const std::chrono::year_month_day day{std::chrono::year{part(0, 4)},
                                          std::chrono::month(static_cast<unsigned>(part(4, 2))),
                                          std::chrono::day(static_cast<unsigned>(part(6, 2)))};
    if (!day.ok() || part(8, 2) > 23 || part(10, 2) > 59 || part(12, 2) > 60) return std::nullopt;
    return Time{std::chrono::sys_days{day}} + std::chrono::hours{part(8, 2)} +
           std::chrono::minutes{part(10, 2)} + std::chrono::seconds{part(12, 2)};
}

// Words between blanks; quotes keep blanks together.
std::optional<std::vector<std::string>> words(std::string_view line) {
    std::vector<std::string> all;
    bool quoted = false;
    bool in_word = false;
    for (const char c : line) {
        const bool blank = c == ' ' || c == '\t';
        if (blank && !quoted) {
            in_word = false;
            continue;
        }
        if (!in_word) all.emplace_back();
        in_word = true;
        if (c == '"') quoted = !quoted;
        all.back() += c;
    }
    if (quoted) return std::nullopt;
    return all;
}

// Text between commas that are not inside quotes.
std::vector<std::string> listed(std::string_view text) {
    std::vector<std::string> all{""};
    bool quoted = false;
    for (const char c : text) {
        if (c == '"') quoted = !quoted;
        if (c == ',' && !quoted)
            all.emplace_back();
        else
            all.back() += c;
    }
    return all;
}

std::unexpected<Error> bad(std::size_t line, std::string_view what) {
    return fail(Errc::Invalid,
                "allowed signers, line " + std::to_string(line) + ": " + std::string{what});
}

}  // namespace

Result<Signers> Signers::parse(std::string_view text) {
    Signers made;
    std::size_t number = 0;
    while (!text.empty()) {
        ++number;
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        const auto parts = words(line);
        if (!parts) return bad(number, "a quote is not closed");
        if (parts->empty() || parts->front().starts_with('#')) continue;
        if (parts->size() < 3) return bad(number, "write: principal ssh-ed25519 KEY");
        Signer signer{.principal = listed((*parts)[0]).front()};
        std::size_t at = 1;
        if ((*parts)[at] != kKeyType && parts->size() > 3) {
            for (const std::string& option : listed((*parts)[at])) {
                const std::size_t equals = option.find('=');
                const std::string_view name = std::string_view{option}.substr(0, equals);
                std::string_view value = equals == option.npos
                                             ? std::string_view{}
                                             : std::string_view{option}.substr(equals + 1);
                if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"'))
                    value = value.substr(1, value.size() - 2);
                const auto time = read_time(value);
                if (name == "namespaces" && !value.empty())
                    signer.namespaces = listed(value);
                else if (name == "valid-after" && time)
                    signer.after = time;
                else if (name == "valid-before" && time)
                    signer.before = time;
                else
                    return bad(number, "the option is not understood: " + option);
            }
            ++at;
        }
        if ((*parts)[at] != kKeyType) return bad(number, "keys are of type ssh-ed25519");
        const auto blob = from_base64((*parts)[at + 1]);
        const auto key = blob ? ed25519(as_text(*blob), kKeySize) : std::nullopt;
        if (!key) return bad(number, "this is no Ed25519 key");
        const Bytes bytes = as_bytes(*key);
        signer.key.assign(bytes.begin(), bytes.end());
        made.signers_.push_back(std::move(signer));
    }
    if (made.signers_.empty()) return fail(Errc::Invalid, "allowed signers: there are none");
    return made;
}

Result<std::string> Signers::verify(std::string_view signature, std::string_view digest,
                                    Time now) const {
    const std::string message = std::string{digest} + "\n";
    std::string why = "it is no SSH signature of an Ed25519 key";
    Errc code = Errc::Malformed;
    for (std::size_t i = 0; i != kMostSignatures; ++i) {
        auto blob = take_armoured(signature);
        if (!blob) break;
        const auto parsed = parse_blob(*std::move(blob));
        if (!parsed) continue;
        code = Errc::Denied;
        why = "it is not of this bundle";
        if (parsed->space != kSignatureNamespace) {
            why = "it is not of namespace " + std::string{kSignatureNamespace};
            continue;
        }
        if (!good(*parsed, message)) continue;
        why = "its key may not sign bundles here";
        for (const Signer& signer : signers_) {
            if (as_text(signer.key) != parsed->key) continue;
            const std::string space{kSignatureNamespace};
            const bool fits = signer.namespaces.empty() ||
                              std::ranges::any_of(signer.namespaces, [&](const std::string& one) {
                                  return ::fnmatch(one.c_str(), space.c_str(), 0) == 0;
                              });
            const bool in_time =
                (!signer.after || now >= *signer.after) && (!signer.before || now < *signer.before);
            if (fits && in_time) return signer.principal;
        }
    }
    return fail(code, "the bundle's signature is refused: " + why);
}

}  // namespace chaperone::policy::bundle

// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/mask.h"

#include "policy/detect/builtin.h"
#include "policy/detect/checks.h"
#include "policy/detect/rules.h"
#include "userspace/base/encoding.h"

#include <algorithm>
#include <array>
#include <vector>

namespace chaperone::detect {
namespace {

constexpr std::array<std::string_view, 5> kNames{"partial", "pseudonym", "hash", "redact", "null"};
constexpr std::size_t kHashDigits = 16;
constexpr std::size_t kMostKept = 4;

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;  // of a UTF-8 character
}

std::string cut(std::string text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most != 0 && is_continuation(text[most])) --most;
    text.resize(most);
    return text;
}

// Chance that depends on the key and the value alone, without end.
class Chance {
public:
    Chance(const Digest& key, std::string_view text) : block_(hmac_sha256(key, as_bytes(text))) {}

    // 0 to below - 1; the bias of 32 bits over at most a few hundred is of no matter here.
    unsigned below(unsigned limit) {
        if (at_ == block_.size()) {
            block_ = sha256(block_);
            at_ = 0;
        }
        unsigned value = 0;
        for (int i = 0; i != 4; ++i) value = value << 8 | std::to_integer<unsigned>(block_[at_++]);
        return value % limit;
    }
    char digit() { return static_cast<char>('0' + below(10)); }

private:
    Digest block_;
    std::size_t at_ = 0;
};

// Letters for letters, digits for digits; what is neither stays, so that shapes are kept. A
// character of another script becomes a letter.
std::string same_shape(std::string_view text, Chance& chance) {
    std::string made;
    made.reserve(text.size());
    for (const char c : text) {
        if (is_continuation(c)) continue;
        if (is(c, kDigit))
            made += chance.digit();
        else if (is(c, kUpper))
            made += static_cast<char>('A' + chance.below(26));
        else if (is(c, kLower) || static_cast<unsigned char>(c) >= 0x80)
            made += static_cast<char>('a' + chance.below(26));
        else
            made += c;
    }
    return made;
}

std::vector<std::size_t> digit_places(std::string_view text) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i != text.size(); ++i)
        if (is(text[i], kDigit)) places.push_back(i);
    return places;
}

// How many digits tell the brand; they stay, as programs go by them.
std::size_t brand_digits(char first, char second) {
    if (first == '4') return 1;
    if (first == '5' || (first == '3' && (second == '4' || second == '7'))) return 2;
    return 4;
}

std::string card(std::string_view text, Chance& chance) {
    std::string made{text};
    const auto places = digit_places(text);
    if (places.size() < 2) return same_shape(text, chance);
    std::vector<std::uint8_t> digits;
    const std::size_t brand = brand_digits(text[places[0]], text[places[1]]);
    for (const std::size_t place : places) {
        if (digits.size() >= brand) made[place] = chance.digit();
        digits.push_back(static_cast<std::uint8_t>(made[place] - '0'));
    }
    for (digits.back() = 0; !luhn(digits);) ++digits.back();
    made[places.back()] = static_cast<char>('0' + digits.back());
    return made;
}

// The first two digits behind a plus stay: no country's code begins with 0.
std::string phone(std::string_view text, Chance& chance) {
    const std::size_t kept = text.starts_with('+') ? std::min<std::size_t>(3, text.size()) : 0;
    return std::string{text.substr(0, kept)} + same_shape(text.substr(kept), chance);
}

// Areas from 900 on are never given, nor are groups below 50 there (those above are ITINs).
std::string ssn(std::string_view text, Chance& chance) {
    std::string made = same_shape(text, chance);
    const auto places = digit_places(made);
    if (places.size() != 9) return made;
    made[places[0]] = '9';
    made[places[3]] = static_cast<char>('0' + chance.below(5));
    return made;
}

std::string iban_like(std::string_view text, Chance& chance) {
    if (text.size() < 5) return same_shape(text, chance);
    std::string made = std::string{text.substr(0, 4)} + same_shape(text.substr(4), chance);
    std::string compact = made;
    std::erase_if(compact, [](char c) { return !is(c, kAlnum); });
    for (unsigned check = 2; check != 99; ++check) {
        made[2] = compact[2] = static_cast<char>('0' + check / 10);
        made[3] = compact[3] = static_cast<char>('0' + check % 10);
        if (iban(compact)) break;
    }
    return made;
}

// Months and days of 01 to 12 are right in either order.
std::string date(std::string_view text, Chance& chance) {
    std::string made{text};
    const auto put = [&](std::size_t at, unsigned value, std::size_t digits) {
        for (std::size_t i = digits; i-- != 0; value /= 10)
            made[at + i] = static_cast<char>('0' + value % 10);
    };
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        while (end < text.size() && is(text[end], kDigit)) ++end;
        if (end - i >= 4) put(i, 1940 + chance.below(60), 4);
        if (end - i == 8) put(i + 4, 1 + chance.below(12), 2), put(i + 6, 1 + chance.below(12), 2);
        if (end - i == 2) put(i, 1 + chance.below(12), 2);
        i = end + 1;
    }
    return made;
}

std::string ip_address(std::string_view text, Chance& chance) {
    const auto number = [&](unsigned limit) { return std::to_string(chance.below(limit)); };
    if (!text.contains(':'))
        return std::to_string(240 + chance.below(15)) + "." + number(256) + "." + number(256) +
               "." + number(256);
    std::string made = "2001:db8";
    for (int i = 0; i != 6; ++i) {
        made += ':';
        made += "123456789abcdef"[chance.below(15)];
        for (int j = 0; j != 3; ++j) made += "0123456789abcdef"[chance.below(16)];
    }
    return made;
}

std::string email(Chance& chance) {
    std::string made = "user-";
    for (int i = 0; i != 10; ++i) made += "0123456789abcdef"[chance.below(16)];
    return made + "@example.invalid";
}

}  // namespace

std::string_view name_of(With with) noexcept {
    return kNames[static_cast<std::size_t>(with)];
}

std::optional<With> with_named(std::string_view name) noexcept {
    for (std::size_t i = 0; i != kNames.size(); ++i)
        if (kNames[i] == name) return static_cast<With>(i);
    return {};
}

Masker::Masker(Bytes installation_key, std::string_view scope)
    : key_(hkdf_sha256(installation_key, as_bytes("chaperone mask"), as_bytes(scope))) {}

std::optional<std::string> Masker::value(std::string_view text, With with, KindId kind,
                                         std::size_t max_length) const {
    switch (with) {
    case With::Partial: return cut(partial(text, kind), max_length);
    case With::Pseudonym: return cut(pseudonym(text, kind), max_length);
    case With::Hash:
        return cut(to_hex(hmac_sha256(key_, as_bytes(text))).substr(0, kHashDigits), max_length);
    case With::Redact: {
        const auto kinds = builtin_kinds();
        if (kind >= kinds.size()) return cut("[REDACTED]", max_length);
        return cut("<" + std::string{kinds[kind].name} + ">", max_length);
    }
    case With::Null: break;
    }
    return {};
}

std::string Masker::spans(std::string_view text, std::span<const Match> matches, With with,
                          const Detector& detector, std::size_t max_length) const {
    std::string made;
    made.reserve(text.size());
    std::size_t from = 0;
    for (const Match& match : matches) {
        made += text.substr(from, match.begin - from);
        from = match.end;
        if (with == With::Redact)
            made += "<" + std::string{detector.name(match.kind)} + ">";
        else
            made += value(text.substr(match.begin, match.end - match.begin), with, match.kind)
                        .value_or("");
    }
    made += text.substr(from);
    return cut(std::move(made), max_length);
}

std::string Masker::partial(std::string_view text, KindId kind) const {
    std::string made;
    if (kind == id_of(Kind::EmailAddress) && text.rfind('@') != std::string_view::npos) {
        const auto sign = text.rfind('@');
        std::size_t first = 1;
        while (first < sign && is_continuation(text[first])) ++first;
        return std::string{text.substr(0, sign < 4 ? 0 : first)} + "***" +
               std::string{text.substr(sign)};
    }
    const auto counts = [](char c) {
        return is(c, kAlnum) || (static_cast<unsigned char>(c) >= 0x80 && !is_continuation(c));
    };
    const auto total = static_cast<std::size_t>(std::ranges::count_if(text, counts));
    std::size_t hidden = total - std::min(kMostKept, total / 4);
    bool keeps = false;
    for (const char c : text) {
        if (counts(c)) {
            keeps = hidden == 0;
            if (!keeps) {
                --hidden;
                made += '*';
            }
        }
        if (is_continuation(c) ? keeps : !counts(c) || keeps) made += c;
    }
    return made;
}

std::string Masker::pseudonym(std::string_view text, KindId kind) const {
    Chance chance{key_, text};
    if (kind == id_of(Kind::EmailAddress)) return email(chance);
    if (kind == id_of(Kind::CreditCard)) return card(text, chance);
    if (kind == id_of(Kind::UsSsn) || kind == id_of(Kind::UsItin)) return ssn(text, chance);
    if (kind == id_of(Kind::PhoneNumber)) return phone(text, chance);
    if (kind == id_of(Kind::IbanCode)) return iban_like(text, chance);
    if (kind == id_of(Kind::DateOfBirth)) return date(text, chance);
    if (kind == id_of(Kind::IpAddress)) return ip_address(text, chance);
    return same_shape(text, chance);
}

}  // namespace chaperone::detect

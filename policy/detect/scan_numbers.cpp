// SPDX-License-Identifier: Apache-2.0
// What begins with or holds a digit.
#include "policy/detect/scanner.h"

#include <algorithm>

namespace chaperone::detect {
namespace {

constexpr std::size_t kWordReach = 128;
constexpr std::size_t kShortNumber = 7;  // digits; the shortest shape of rules.cpp has as many
constexpr std::size_t kLongNumber = 12;  // digits; such a number is none by accident of neighbours
constexpr std::string_view kEscapes = "ntrbf";

bool is_separator(char c) {
    return c == ' ' || c == '-' || c == '.' || c == '/';
}

}  // namespace

// Prices, counts, times: most of the digits of most texts. Whatever we look for that begins with a
// digit has more of them, or letters or marks next to it, or is an address with three dots.
Scanner::Position Scanner::short_number(Position i) const noexcept {
    const auto joins = [](char c) {
        return is(c, kUrl64 | kBase64 | kDot) || c == ':' || c == '~' || c == '(' || c == '\\';
    };
    const bool member = i >= 2 && text_[i - 1] == ':' && text_[i - 2] == '"';  // "total":17
    if (i != 0 && joins(text_[i - 1]) && !member) return 0;
    std::size_t digits = 0, dots = 0;
    Position end = i;
    for (;;) {
        const Position group = end;
        end = run_end(group, kDigit, kShortNumber);
        digits += end - group;
        const char next = at(end);
        if (digits >= kShortNumber || digits >= plan_.least_digits || dots == 3) return 0;
        if (next != '.' && next != '-' && next != '/' && next != ':') break;
        if (!is(at(end + 1), kDigit)) return 0;
        dots += next == '.';
        ++end;
    }
    if (joins(at(end)) || (at(end) == ' ' && is(at(end + 1), kDigit))) return 0;
    return end;
}

Scanner::Position Scanner::at_digit(Position i) {
    if (const Position end = short_number(i); end != 0) return end;
    Position begin = run_begin(i, kAlnum, kWordReach);
    if (begin != i && begin != 0 && text_[begin - 1] == '\\' && kEscapes.contains(text_[begin]))
        ++begin;  // the escape's letter is not the word's
    const Position end = run_end(i, kAlnum, text_.size());
    Position far = end;
    const auto keep = [&](Position found) { far = std::max(far, found); };
    keep(tokens(i, kWordReach));
    keep(word(begin, end));
    keep(azure_secret(i));
    keep(base64_secret(begin, end));
    if (is(text_[begin], kDigit) && begins(begin)) {
        keep(phone(begin));
        keep(numbers(begin));
        keep(ipv4(begin));
        keep(hetu(begin));
        keep(telegram(begin));
        keep(mac(begin));
        keep(spaced_nino(begin));
    } else {
        keep(spaced_iban(begin));
    }
    return far;
}

Scanner::Position Scanner::word(Position begin, Position end) {
    const std::size_t length = end - begin;
    if (length >= plan_.words.size() || plan_.words[length].empty() || !begins(begin)) return 0;
    const std::string_view text = text_.substr(begin, length);
    Position found = 0;
    for (const WordRule* rule : plan_.words[length])
        if (rule->check(text))
            found =
                std::max(found, add_by_context(rule->kind, begin, end, rule->alone, rule->near));
    return found;
}

// "DE89 3704 0044 0532 0130 00": groups of four, the last may be shorter.
Scanner::Position Scanner::spaced_iban(Position begin) {
    if (!plan_.wants(Kind::IbanCode) || !begins(begin) || run_end(begin, kAlnum, 5) != begin + 4 ||
        !is(text_[begin], kUpper) || !is(text_[begin + 1], kUpper))
        return 0;
    std::array<char, 34> compact{};
    std::size_t size = 0;
    Position end = begin, found = 0;
    for (Position group = begin; size < compact.size();) {
        end = run_end(group, kAlnum, 5);
        const std::size_t length = end - group;
        if (length == 0 || length > 4 || size + length > compact.size()) break;
        std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(group), length,
                    compact.begin() + static_cast<std::ptrdiff_t>(size));
        size += length;
        if (ends(end) && iban({compact.data(), size})) found = end;
        if (length != 4 || (at(end) != ' ' && at(end) != '-')) break;
        group = end + 1;
    }
    return found == 0 ? 0 : add(Kind::IbanCode, begin, found, 98);
}

// "AB 12 34 56 C", from the first digit.
Scanner::Position Scanner::spaced_nino(Position begin) {
    if (!plan_.wants(Kind::UkNino) || begin < 3 || text_[begin - 1] != ' ' || !begins(begin - 3))
        return 0;
    const std::string_view text = text_.substr(begin - 3, 13);
    if (text.size() != 13 || text[5] != ' ' || text[8] != ' ' || text[11] != ' ' ||
        !ends(begin + 10))
        return 0;
    std::string compact{text};
    std::erase(compact, ' ');
    return uk_nino(compact) ? add_by_context(Kind::UkNino, begin - 3, begin + 10, 85, 98) : 0;
}

// All numbers whose first group begins here.
Scanner::Position Scanner::numbers(Position begin) {
    if (plan_.least_digits > kMaxDigits) return 0;
    // Behind a digit and a separator, this is the middle of something that was looked at before.
    const bool inside = begin >= 2 && is_separator(text_[begin - 1]) && text_[begin - 1] != ' ' &&
                        is(text_[begin - 2], kDigit);
    Shape shape;
    std::array<std::uint8_t, kMaxDigits> digits{};
    Position found = 0;
    char separator = 0;
    for (Position group = begin; shape.groups != kMaxGroups;) {
        const Position end = run_end(group, kDigit, kMaxDigits + 1);
        const std::size_t length = end - group;
        if (length == 0 || shape.digits + length > kMaxDigits) break;
        for (std::size_t i = 0; i != length; ++i)
            digits[shape.digits + i] = static_cast<std::uint8_t>(text_[group + i] - '0');
        shape.separators[shape.groups] = separator;
        shape.lengths[shape.groups++] = static_cast<std::uint8_t>(length);
        shape.digits += length;
        separator = at(end);
        const bool goes_on = is_separator(separator) && is(at(end + 1), kDigit);
        const bool is_long = shape.digits >= kLongNumber;
        const bool left = !inside || (is_long && text_[begin - 1] != '.');
        if (left && ends(end) && (!goes_on || separator == ' ' || is_long))
            found = std::max(found,
                             number_window(begin, end, shape, Digits{digits}.first(shape.digits)));
        if (!goes_on) break;
        group = end + 1;
    }
    return found;
}

Scanner::Position Scanner::number_window(Position begin, Position end, const Shape& shape,
                                         Digits digits) {
    Position found = 0;
    for (const ShapedRule& shaped : plan_.numbers[digits.size()]) {
        if (shaped.shape != shape || !shaped.rule->check(digits)) continue;
        found = std::max(found, add_by_context(shaped.rule->kind, begin, end, shaped.rule->alone,
                                               shaped.rule->near));
    }
    return found;
}

// "+49 30 1234567" (E.164: at most 15 digits) and "(415) 555-2671".
Scanner::Position Scanner::phone(Position digit) {
    if (!plan_.wants(Kind::PhoneNumber) || digit == 0) return 0;
    const char before = text_[digit - 1];
    const bool international = before == '+' && text_[digit] != '0';
    if ((!international && before != '(') || !begins(digit - 1)) return 0;
    if (!international && at(run_end(digit, kDigit, 6)) != ')') return 0;
    const std::size_t least = international ? 8 : 9, most = international ? 15 : 12;
    std::size_t count = 0;
    Position good = 0;
    for (Position group = digit; count <= most;) {
        const Position end = run_end(group, kDigit, most + 1);
        if (end == group) break;
        count += end - group;
        if (count >= least && count <= most && ends(end)) good = end;
        Position next = end;
        for (int i = 0; i != 3 && (is_separator(at(next)) || at(next) == '(' || at(next) == ')');
             ++i)
            ++next;
        if (next == end) break;
        group = next;
    }
    if (good == 0) return 0;
    return add_by_context(Kind::PhoneNumber, digit - 1, good, international ? 85 : 75, 95);
}

Scanner::Position Scanner::ipv4(Position begin) {
    if (!plan_.wants(Kind::IpAddress)) return 0;
    if (begin >= 2 && text_[begin - 1] == '.' && is(text_[begin - 2], kAlnum)) return 0;
    Position end = begin;
    for (int octet = 0; octet != 4; ++octet) {
        if (octet != 0 && at(end++) != '.') return 0;
        const Position from = end;
        end = run_end(from, kDigit, 4);
        unsigned value = 0;
        for (Position i = from; i != end; ++i) value = value * 10 + (text_[i] - '0');
        if (end == from || end - from > 3 || value > 255) return 0;
    }
    if (!ends(end) || (at(end) == '.' && is(at(end + 1), kDigit))) return 0;
    return add(Kind::IpAddress, begin, end, 80);
}

// "131052-308T"
Scanner::Position Scanner::hetu(Position begin) {
    if (!plan_.wants(Kind::FiIdentityCode) || begin + 11 > text_.size() || !ends(begin + 11) ||
        !fi_hetu(text_.substr(begin, 11)))
        return 0;
    return add(Kind::FiIdentityCode, begin, begin + 11, 95);
}

// 8 to 10 digits, a colon, 35 characters.
Scanner::Position Scanner::telegram(Position begin) {
    if (!plan_.wants(Kind::TelegramToken)) return 0;
    const Position colon = run_end(begin, kDigit, 11);
    if (colon - begin < 8 || colon - begin > 10 || at(colon) != ':') return 0;
    const Position end = run_end(colon + 1, kUrl64, 36);
    if (end - colon - 1 != 35) return 0;
    return add(Kind::TelegramToken, begin, end, 90);
}

}  // namespace chaperone::detect

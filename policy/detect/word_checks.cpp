// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/checks.h"

#include "userspace/base/sha256.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace chaperone::detect {
namespace {

constexpr auto npos = std::string_view::npos;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
bool is_letter(char c) {
    return upper(c) >= 'A' && upper(c) <= 'Z';
}
unsigned value(char digit) {
    return static_cast<unsigned>(digit - '0');
}
unsigned number(std::string_view digits) {
    unsigned result = 0;
    for (const char c : digits) result = result * 10 + value(c);
    return result;
}

// 'A' a letter, '9' a digit, 'X' either.
bool has_shape(std::string_view word, std::string_view shape) {
    return std::ranges::equal(word, shape, [](char c, char s) {
        return s == 'A' ? is_letter(c) : s == '9' ? is_digit(c) : is_letter(c) || is_digit(c);
    });
}

bool is_day(unsigned month, unsigned day) {
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

struct IbanLength {
    char country[3];
    std::uint8_t length;
};

// The SWIFT IBAN registry.
constexpr IbanLength kIbanLengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
    {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27},
    {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26},
    {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20},
    {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20},
    {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24},
    {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
    {"YE", 30}};

// Bitcoin, "Base58Check encoding": 25 octets, the last four begin the double hash of the others.
bool base58check(std::string_view word) {
    constexpr std::string_view kAlphabet =
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    std::array<std::byte, 25> octets{};
    for (const char c : word) {
        const auto at = kAlphabet.find(c);
        if (at == npos) return false;
        auto carry = static_cast<unsigned>(at);
        for (std::size_t i = octets.size(); i-- != 0;) {
            carry += std::to_integer<unsigned>(octets[i]) * 58;
            octets[i] = static_cast<std::byte>(carry & 0xff);
            carry >>= 8;
        }
        if (carry != 0) return false;
    }
    const Digest digest = sha256(sha256(Bytes{octets}.first(21)));
    return std::ranges::equal(Bytes{octets}.subspan(21), Bytes{digest}.first(4));
}

// BIP 173 and, with the other constant, BIP 350; for "bc" and "tb".
bool bech32(std::string_view word) {
    constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    constexpr std::array<std::uint32_t, 5> kGenerator{0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
                                                      0x3d4233dd, 0x2a1462b3};
    std::uint32_t check = 1;
    const auto add = [&](std::uint32_t five) {
        const std::uint32_t top = check >> 25;
        check = (check & 0x1ffffff) << 5 ^ five;
        for (std::size_t i = 0; i != kGenerator.size(); ++i)
            if ((top >> i & 1) != 0) check ^= kGenerator[i];
    };
    const auto lower = [](char c) { return is_letter(c) ? static_cast<char>(upper(c) + 32) : c; };
    const char human[] = {lower(word[0]), lower(word[1])};
    for (const char c : human) add(static_cast<std::uint32_t>(c) >> 5);
    add(0);
    for (const char c : human) add(static_cast<std::uint32_t>(c) & 31);
    for (const char c : word.substr(3)) {
        const auto at = kAlphabet.find(lower(c));
        if (at == npos) return false;
        add(static_cast<std::uint32_t>(at));
    }
    return check == 1 || check == 0x2bc830a3;
}

}  // namespace

bool any_word(std::string_view) noexcept {
    return true;
}

bool es_nif(std::string_view word) noexcept {
    constexpr std::string_view kLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    return has_shape(word, "99999999A") &&
           kLetters[number(word.substr(0, 8)) % 23] == upper(word[8]);
}

bool es_nie(std::string_view word) noexcept {
    constexpr std::string_view kFirst = "XYZ", kLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    if (!has_shape(word, "A9999999A")) return false;
    const auto first = kFirst.find(upper(word[0]));
    if (first == npos) return false;
    const unsigned n = static_cast<unsigned>(first) * 10'000'000 + number(word.substr(1, 7));
    return kLetters[n % 23] == upper(word[8]);
}

// Decreto ministeriale 23/12/1976. Digits may be replaced by letters where two people collide.
bool it_fiscal_code(std::string_view word) noexcept {
    if (!has_shape(word, "AAAAAAXXAXXAXXXA")) return false;
    if (std::string_view{"ABCDEHLMPRST"}.find(upper(word[8])) == npos) return false;
    constexpr std::array<std::uint8_t, 26> kOdd{1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                                                20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    unsigned sum = 0;
    for (std::size_t i = 0; i != 15; ++i) {
        const char c = upper(word[i]);
        const bool replaceable =
            i == 6 || i == 7 || i == 9 || i == 10 || i == 12 || i == 13 || i == 14;
        if (replaceable && !is_digit(c) && std::string_view{"LMNPQRSTUV"}.find(c) == npos)
            return false;
        const auto at = static_cast<std::size_t>(is_digit(c) ? c - '0' : c - 'A');
        sum += i % 2 == 0 ? kOdd[at] : static_cast<unsigned>(at);
    }
    return static_cast<char>('A' + sum % 26) == upper(word[15]);
}

bool ie_pps(std::string_view word) noexcept {
    if (!has_shape(word, "9999999A") && !has_shape(word, "9999999AA")) return false;
    unsigned sum = 0;
    for (std::size_t i = 0; i != 7; ++i) sum += value(word[i]) * static_cast<unsigned>(8 - i);
    if (word.size() == 9 && upper(word[8]) != 'W')
        sum += static_cast<unsigned>(upper(word[8]) - 'A' + 1) * 9;
    return std::string_view{"WABCDEFGHIJKLMNOPQRSTUV"}[sum % 23] == upper(word[7]);
}

// HMRC, NIM39110.
bool uk_nino(std::string_view word) noexcept {
    if (!has_shape(word, "AA999999A")) return false;
    const char first = upper(word[0]), second = upper(word[1]), last = upper(word[8]);
    const char pair[] = {first, second};
    constexpr std::string_view kNever = "DFIQUV";
    if (kNever.find(first) != npos || kNever.find(second) != npos || second == 'O') return false;
    for (const std::string_view bad : {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
        if (std::string_view{pair, 2} == bad) return false;
    return last >= 'A' && last <= 'D';
}

// RENAPO; the check digit counts with an alphabet in which Ñ stands between N and O.
bool mx_curp(std::string_view word) noexcept {
    if (!has_shape(word, "AAAA999999AAAAAAX9")) return false;
    const char sex = upper(word[10]);
    if ((sex != 'H' && sex != 'M' && sex != 'X') ||
        !is_day(number(word.substr(6, 2)), number(word.substr(8, 2))))
        return false;
    unsigned sum = 0;
    for (std::size_t i = 0; i != 17; ++i) {
        const char c = upper(word[i]);
        const unsigned n = is_digit(c) ? value(c) : static_cast<unsigned>(c - 'A' + 10 + (c > 'N'));
        sum += n * static_cast<unsigned>(18 - i);
    }
    return (10 - sum % 10) % 10 == value(word[17]);
}

// GB 11643-1999; ISO 7064, MOD 11-2.
bool cn_resident_id(std::string_view word) noexcept {
    if (!has_shape(word, "99999999999999999X")) return false;
    constexpr std::array<std::uint8_t, 17> kWeights{7, 9, 10, 5,  8, 4, 2, 1, 6,
                                                    3, 7, 9,  10, 5, 8, 4, 2};
    const unsigned year = number(word.substr(6, 4));
    if (word[0] == '0' || year < 1900 || year > 2099 ||
        !is_day(number(word.substr(10, 2)), number(word.substr(12, 2))))
        return false;
    unsigned sum = 0;
    for (std::size_t i = 0; i != 17; ++i) sum += value(word[i]) * kWeights[i];
    return std::string_view{"10X98765432"}[sum % 11] == upper(word[17]);
}

bool sg_nric(std::string_view word) noexcept {
    if (!has_shape(word, "A9999999A")) return false;
    const char first = upper(word[0]);
    constexpr std::array<std::uint8_t, 7> kWeights{2, 7, 6, 5, 4, 3, 2};
    unsigned sum = first == 'T' || first == 'G' ? 4 : first == 'M' ? 3 : 0;
    for (std::size_t i = 0; i != 7; ++i) sum += value(word[i + 1]) * kWeights[i];
    std::string_view letters;
    if (first == 'S' || first == 'T')
        letters = "JZIHGFEDCBA";
    else if (first == 'F' || first == 'G')
        letters = "XWUTRQPNMLK";
    else if (first == 'M')
        letters = "XWUTRQPNJLK";
    else
        return false;
    return letters[sum % 11] == upper(word[8]);
}

bool in_pan(std::string_view word) noexcept {
    return has_shape(word, "AAAAA9999A") &&
           std::string_view{"ABCFGHJLPT"}.find(upper(word[3])) != npos;
}

// Departments 2A and 2B count as 19 and 18.
bool fr_nir_corsica(std::string_view word) noexcept {
    if (!has_shape(word, "999992A99999999")) return false;
    const char island = upper(word[6]);
    if (island != 'A' && island != 'B') return false;
    std::array<std::uint8_t, 15> digits{};
    for (std::size_t i = 0; i != 15; ++i)
        digits[i] = static_cast<std::uint8_t>(i == 6 ? 0 : value(word[i]));
    digits[5] = 1;
    digits[6] = island == 'A' ? 9 : 8;
    return fr_nir(digits);
}

// ISO 13616: the first four moved to the end, letters as two digits, the rest by 97 is 1.
bool iban(std::string_view word) noexcept {
    if (word.size() < 15) return false;
    const char country[] = {upper(word[0]), upper(word[1])};
    const auto known = std::ranges::find_if(kIbanLengths, [&](const IbanLength& entry) {
        return std::string_view{entry.country, 2} == std::string_view{country, 2};
    });
    if (known == std::end(kIbanLengths) || known->length != word.size()) return false;
    unsigned rest = 0;
    for (std::size_t i = 0; i != word.size(); ++i) {
        const char c = upper(word[(i + 4) % word.size()]);
        if (is_digit(c))
            rest = (rest * 10 + value(c)) % 97;
        else if (is_letter(c))
            rest = (rest * 100 + static_cast<unsigned>(c - 'A' + 10)) % 97;
        else
            return false;
    }
    return rest == 1;
}

bool bitcoin(std::string_view word) noexcept {
    if (word.size() >= 26 && word.size() <= 35 && (word[0] == '1' || word[0] == '3'))
        return base58check(word);
    const bool segwit =
        word.starts_with("bc1") || word.starts_with("BC1") || word.starts_with("tb1");
    return segwit && word.size() >= 42 && word.size() <= 62 && bech32(word);
}

bool ethereum(std::string_view word) noexcept {
    const auto is_hex = [](char c) { return is_digit(c) || (upper(c) >= 'A' && upper(c) <= 'F'); };
    return word.size() == 42 && word.starts_with("0x") &&
           std::ranges::all_of(word.substr(2), is_hex);
}

bool fi_hetu(std::string_view text) noexcept {
    if (text.size() != 11 || !has_shape(text.substr(0, 6), "999999") ||
        !has_shape(text.substr(7, 3), "999"))
        return false;
    if (std::string_view{"+-ABCDEFUVWXY"}.find(text[6]) == npos) return false;
    if (!is_day(number(text.substr(2, 2)), number(text.substr(0, 2)))) return false;
    const unsigned n = number(text.substr(0, 6)) * 1000 + number(text.substr(7, 3));
    return std::string_view{"0123456789ABCDEFHJKLMNPRSTUVWXY"}[n % 31] == upper(text[10]);
}

}  // namespace chaperone::detect

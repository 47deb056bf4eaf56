// SPDX-License-Identifier: Apache-2.0
#include "policy/detect/checks.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace chaperone::detect {
namespace {

template <std::size_t N>
unsigned weighted(Digits digits, const std::array<std::uint8_t, N>& weights) {
    unsigned sum = 0;
    for (std::size_t i = 0; i != N; ++i) sum += digits[i] * weights[i];
    return sum;
}

unsigned number(Digits digits, std::size_t from, std::size_t count) {
    unsigned value = 0;
    for (std::size_t i = from; i != from + count; ++i) value = value * 10 + digits[i];
    return value;
}

unsigned modulo(Digits digits, unsigned by) {
    unsigned rest = 0;
    for (const std::uint8_t digit : digits) rest = (rest * 10 + digit) % by;
    return rest;
}

bool all_same(Digits digits) {
    return std::ranges::all_of(digits, [&](std::uint8_t d) { return d == digits[0]; });
}

bool is_day(unsigned month, unsigned day) {
    constexpr std::array<std::uint8_t, 13> kDays{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 && day <= kDays[month];
}

bool in_range(unsigned value, unsigned low, unsigned high) {
    return value >= low && value <= high;
}

}  // namespace

bool any_digits(Digits) noexcept {
    return true;
}

// ISO/IEC 7812-1, annex B.
bool luhn(Digits digits) noexcept {
    unsigned sum = 0;
    for (std::size_t i = 0; i != digits.size(); ++i) {
        const unsigned digit = digits[digits.size() - 1 - i];
        sum += i % 2 == 0 ? digit : (digit * 2) / 10 + (digit * 2) % 10;
    }
    return sum % 10 == 0;
}

// The brands' number ranges, as they publish them.
bool payment_card(Digits d) noexcept {
    if (d.size() < 13 || d.size() > 19 || all_same(d) || !luhn(d)) return false;
    const unsigned two = number(d, 0, 2), three = number(d, 0, 3), four = number(d, 0, 4);
    const std::size_t n = d.size();
    if (d[0] == 4) return n == 13 || n == 16 || n == 19;                      // Visa
    if (in_range(two, 51, 55) || in_range(four, 2221, 2720)) return n == 16;  // Mastercard
    if (two == 34 || two == 37) return n == 15;                               // Amex
    if (in_range(four, 3528, 3589)) return n >= 16;                           // JCB
    if (in_range(three, 300, 305) || two == 36 || two == 38 || two == 39)     // Diners
        return n == 14 || n >= 16;
    if (four == 6011 || in_range(three, 644, 649) || two == 65) return n >= 16;      // Discover
    if (two == 62 || two == 81) return n >= 16;                                      // UnionPay
    if (in_range(four, 2200, 2204)) return n >= 16;                                  // Mir
    return four == 5018 || four == 5020 || four == 5038 || in_range(two, 56, 58) ||  // Maestro
           four == 6304 || four == 6759 || in_range(four, 6761, 6763);
}

bool imei(Digits d) noexcept {
    return luhn(d) && !all_same(d);
}

// SSA, "Social Security Number Randomization"; two numbers were printed in advertisements.
bool us_ssn(Digits d) noexcept {
    const unsigned area = number(d, 0, 3), whole = number(d, 0, 9);
    return area != 0 && area != 666 && area < 900 && number(d, 3, 2) != 0 && number(d, 5, 4) != 0 &&
           whole != 78051120 && whole != 219099999 && !all_same(d);
}

// IRS, publication 1915.
bool us_itin(Digits d) noexcept {
    const unsigned group = number(d, 3, 2);
    return d[0] == 9 && (in_range(group, 50, 65) || in_range(group, 70, 88) ||
                         in_range(group, 90, 92) || in_range(group, 94, 99));
}

bool aba_routing(Digits d) noexcept {
    const unsigned first = number(d, 0, 2);
    const bool known =
        first <= 12 || in_range(first, 21, 32) || in_range(first, 61, 72) || first == 80;
    return known && !all_same(d) && weighted<9>(d, {3, 7, 1, 3, 7, 1, 3, 7, 1}) % 10 == 0;
}

bool ca_sin(Digits d) noexcept {
    return d[0] != 0 && d[0] != 8 && luhn(d);
}

bool br_cpf(Digits d) noexcept {
    const auto check = [](unsigned sum) { return sum * 10 % 11 % 10; };
    return !all_same(d) && check(weighted<9>(d, {10, 9, 8, 7, 6, 5, 4, 3, 2})) == d[9] &&
           check(weighted<10>(d, {11, 10, 9, 8, 7, 6, 5, 4, 3, 2})) == d[10];
}

bool br_cnpj(Digits d) noexcept {
    const auto check = [](unsigned sum) { return sum % 11 < 2 ? 0 : 11 - sum % 11; };
    return !all_same(d) && check(weighted<12>(d, {5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2})) == d[12] &&
           check(weighted<13>(d, {6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2})) == d[13];
}

// NHS Data Dictionary, "NHS number".
bool uk_nhs(Digits d) noexcept {
    const unsigned check = 11 - weighted<9>(d, {10, 9, 8, 7, 6, 5, 4, 3, 2}) % 11;
    return !all_same(d) && check != 10 && check % 11 == d[9];
}

bool pt_nif(Digits d) noexcept {
    const unsigned check = 11 - weighted<8>(d, {9, 8, 7, 6, 5, 4, 3, 2}) % 11;
    return d[0] != 0 && d[0] != 4 && d[0] != 7 && (check >= 10 ? 0 : check) == d[8];
}

// INSEE: sex, year, month (20 and more where it is not known), department, and 97 less the rest.
bool fr_nir(Digits d) noexcept {
    const unsigned month = number(d, 3, 2);
    const bool sex = d[0] == 1 || d[0] == 2 || d[0] == 3 || d[0] == 4 || d[0] == 7 || d[0] == 8;
    return sex && (in_range(month, 1, 12) || in_range(month, 20, 42) || month >= 50) &&
           97 - modulo(d.first(13), 97) == number(d, 13, 2);
}

// BZSt; ISO 7064, MOD 11,10. Of the first ten digits one is there twice or thrice.
bool de_tax_id(Digits d) noexcept {
    std::array<std::uint8_t, 10> times{};
    for (const std::uint8_t digit : d.first(10)) ++times[digit];
    const auto more = std::ranges::count_if(times, [](auto n) { return n > 1; });
    if (d[0] == 0 || more != 1 || std::ranges::max(times) > 3) return false;
    unsigned product = 10;
    for (const std::uint8_t digit : d.first(10)) {
        const unsigned sum = (digit + product) % 10;
        product = (sum == 0 ? 10 : sum) * 2 % 11;
    }
    return (11 - product) % 10 == d[10];
}

bool nl_bsn(Digits d) noexcept {
    const unsigned sum = weighted<8>(d, {9, 8, 7, 6, 5, 4, 3, 2});
    return !all_same(d) && sum % 11 == d[8] && sum != 0;
}

bool be_national(Digits d) noexcept {
    const unsigned check = number(d, 9, 2), month = number(d, 2, 2) % 20;
    if (month > 12 || number(d, 4, 2) > 31) return false;
    const unsigned first = number(d, 0, 9);
    return 97 - first % 97 == check || 97 - (first + 2'000'000'000U) % 97 == check;
}

// EAN-13 with the country's 756 in front.
bool ch_ahv(Digits d) noexcept {
    return number(d, 0, 3) == 756 &&
           (10 - weighted<12>(d, {1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3}) % 10) % 10 == d[12];
}

bool pl_pesel(Digits d) noexcept {
    return is_day(number(d, 2, 2) % 20, number(d, 4, 2)) &&
           (10 - weighted<10>(d, {1, 3, 7, 9, 1, 3, 7, 9, 1, 3}) % 10) % 10 == d[10];
}

// Skatteverket; the day of a coordination number is 60 more.
bool se_personnummer(Digits d) noexcept {
    if (d.size() == 12) {
        if (!in_range(number(d, 0, 2), 18, 21)) return false;
        d = d.subspan(2);
    }
    const unsigned day = number(d, 4, 2);
    return is_day(number(d, 2, 2), day > 60 ? day - 60 : day) && luhn(d);
}

// Skatteetaten; 40 is added to the day (D number) or to the month (help number).
bool no_fodselsnummer(Digits d) noexcept {
    const unsigned day = number(d, 0, 2) % 40, month = number(d, 2, 2) % 40;
    if (!is_day(month, day)) return false;
    const auto check = [](unsigned sum) { return (11 - sum % 11) % 11; };
    return check(weighted<9>(d, {3, 7, 6, 1, 8, 9, 4, 5, 2})) == d[9] &&
           check(weighted<10>(d, {5, 4, 3, 2, 7, 6, 5, 4, 3, 2})) == d[10];
}

bool dk_cpr(Digits d) noexcept {
    return is_day(number(d, 2, 2), number(d, 0, 2));
}

bool tr_national_id(Digits d) noexcept {
    const unsigned odd = d[0] + d[2] + d[4] + d[6] + d[8], even = d[1] + d[3] + d[5] + d[7];
    return d[0] != 0 && (odd * 7 + 10 * 10 - even) % 10 == d[9] &&
           (odd + even + d[9]) % 10 == d[10];
}

bool za_id(Digits d) noexcept {
    return is_day(number(d, 2, 2), number(d, 4, 2)) && d[10] <= 1 && luhn(d);
}

bool kr_rrn(Digits d) noexcept {
    return is_day(number(d, 2, 2), number(d, 4, 2)) &&
           (11 - weighted<12>(d, {2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5}) % 11) % 10 == d[12];
}

bool jp_my_number(Digits d) noexcept {
    const unsigned rest = weighted<11>(d, {6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2}) % 11;
    return !all_same(d) && (rest <= 1 ? 0 : 11 - rest) == d[11];
}

bool th_tnin(Digits d) noexcept {
    return d[0] != 0 && d[0] != 9 && !all_same(d) &&
           (11 - weighted<12>(d, {13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2}) % 11) % 10 == d[12];
}

// UIDAI; Verhoeff, "Error detecting decimal codes" (1969).
bool in_aadhaar(Digits d) noexcept {
    static constexpr std::uint8_t kProduct[10][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
        {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
        {4, 0, 1, 2, 3, 9, 5, 6, 7, 8}, {5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
        {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
        {8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};
    static constexpr std::uint8_t kPermutation[8][10] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
        {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
        {9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
        {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8}};
    std::uint8_t check = 0;
    for (std::size_t i = 0; i != d.size(); ++i)
        check = kProduct[check][kPermutation[i % 8][d[d.size() - 1 - i]]];
    return d[0] >= 2 && check == 0;
}

bool au_tfn(Digits d) noexcept {
    return !all_same(d) && weighted<9>(d, {1, 4, 3, 7, 5, 8, 6, 9, 10}) % 11 == 0;
}

bool au_medicare(Digits d) noexcept {
    return in_range(d[0], 2, 6) && weighted<8>(d, {1, 3, 7, 9, 1, 3, 7, 9}) % 10 == d[8];
}

bool date_ymd(Digits d) noexcept {
    return in_range(number(d, 0, 4), 1900, 2099) && is_day(number(d, 4, 2), number(d, 6, 2));
}

bool date_dmy(Digits d) noexcept {
    const unsigned first = number(d, 0, 2), second = number(d, 2, 2);
    return in_range(number(d, 4, 4), 1900, 2099) &&
           (is_day(second, first) || is_day(first, second));
}

}  // namespace chaperone::detect

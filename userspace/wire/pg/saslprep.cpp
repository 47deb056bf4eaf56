// SPDX-License-Identifier: Apache-2.0
// SASLprep (RFC 4013) without normalisation; tables of RFC 3454: C.1.2 becomes a space, B.1
// disappears, C.2 to C.9 are prohibited.
#include "userspace/wire/pg/scram.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace chaperone::wire::pg {
namespace {

using Range = std::pair<char32_t, char32_t>;

// clang-format off
constexpr std::array kSpaces = std::to_array<Range>({
    {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200B}, {0x202F, 0x202F}, {0x205F, 0x205F},
    {0x3000, 0x3000}});
constexpr std::array kNothing = std::to_array<Range>({
    {0xAD, 0xAD}, {0x34F, 0x34F}, {0x1806, 0x1806}, {0x180B, 0x180D}, {0x200C, 0x200D},
    {0x2060, 0x2060}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}});
constexpr std::array kProhibited = std::to_array<Range>({
    {0x0, 0x1F}, {0x7F, 0x9F}, {0x340, 0x341}, {0x6DD, 0x6DD}, {0x70F, 0x70F}, {0x180E, 0x180E},
    {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2061, 0x2063}, {0x206A, 0x206F}, {0x2FF0, 0x2FFB},
    {0xD800, 0xF8FF}, {0xFDD0, 0xFDEF}, {0xFFF9, 0xFFFF}, {0x1D173, 0x1D17A}, {0x1FFFE, 0x1FFFF},
    {0x2FFFE, 0x2FFFF}, {0x3FFFE, 0x3FFFF}, {0x4FFFE, 0x4FFFF}, {0x5FFFE, 0x5FFFF},
    {0x6FFFE, 0x6FFFF}, {0x7FFFE, 0x7FFFF}, {0x8FFFE, 0x8FFFF}, {0x9FFFE, 0x9FFFF},
    {0xAFFFE, 0xAFFFF}, {0xBFFFE, 0xBFFFF}, {0xCFFFE, 0xCFFFF}, {0xDFFFE, 0xDFFFF},
    {0xE0001, 0xE0001}, {0xE0020, 0xE007F}, {0xEFFFE, 0x10FFFF}});
// clang-format on

bool in(std::span<const Range> ranges, char32_t c) {
    return std::ranges::any_of(ranges, [c](Range r) { return c >= r.first && c <= r.second; });
}

// The next code point of UTF-8, removed from the front; nullopt for what is not UTF-8.
std::optional<char32_t> next(std::string_view& rest) {
    const auto lead = static_cast<unsigned char>(rest.front());
    const std::size_t size = lead < 0x80       ? 1
                             : lead >> 5 == 6  ? 2
                             : lead >> 4 == 14 ? 3
                             : lead >> 3 == 30 ? 4
                                               : 0;
    if (size == 0 || rest.size() < size) return std::nullopt;
    char32_t c = size == 1 ? lead : lead & (0xFFu >> (size + 1));
    for (std::size_t i = 1; i != size; ++i) {
        const auto byte = static_cast<unsigned char>(rest[i]);
        if (byte >> 6 != 2) return std::nullopt;
        c = c << 6 | (byte & 0x3F);
    }
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (c < least[size] || c > 0x10FFFF) return std::nullopt;
    rest.remove_prefix(size);
    return c;
}

}  // namespace

Secret saslprep(const Secret& password) {
    std::string_view rest = password.expose();
    std::string out;
    out.reserve(rest.size());
    while (!rest.empty()) {
        const std::string_view before = rest;
        const auto c = next(rest);
        if (!c || (in(kProhibited, *c) && !in(kSpaces, *c))) {
            const Secret wiped = Secret::take(out);
            return password.clone();
        }
        if (in(kSpaces, *c))
            out += ' ';
        else if (!in(kNothing, *c))
            out += before.substr(0, before.size() - rest.size());
    }
    return out.empty() ? password.clone() : Secret::take(out);
}

}  // namespace chaperone::wire::pg

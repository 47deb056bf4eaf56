// SPDX-License-Identifier: Apache-2.0
#include "policy/http/letters.h"

#include <array>
#include <cstdint>
#include <optional>

namespace chaperone::policy::http {
namespace {

// The code point that begins here, of two or three bytes, and its size; longer ones mean nothing
// else to anybody.
struct Point {
    std::uint32_t value = 0;
    std::size_t size = 1;
};

Point point_at(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
    };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
    if (byte(0) >= 0xc2 && byte(0) < 0xe0 && follows(1))
        return {(byte(0) & 0x1fU) << 6 | (byte(1) & 0x3fU), 2};
    if ((byte(0) & 0xf0U) == 0xe0U && follows(1) && follows(2))
        return {(byte(0) & 0x0fU) << 12 | (byte(1) & 0x3fU) << 6 | (byte(2) & 0x3fU), 3};
    return {};
}

struct Range {
    std::uint32_t first;
    std::uint32_t last;
};

// Spaces and what has no width: Unicode's White_Space and Default_Ignorable_Code_Point.
constexpr std::array<Range, 13> kNothing{{{0x85, 0x85},
                                          {0xa0, 0xa0},
                                          {0xad, 0xad},
                                          {0x34f, 0x34f},
                                          {0x61c, 0x61c},
                                          {0x1680, 0x1680},
                                          {0x180b, 0x180f},
                                          {0x2000, 0x200f},
                                          {0x2028, 0x202f},
                                          {0x205f, 0x206f},
                                          {0x3000, 0x3000},
                                          {0xfe00, 0xfe0f},
                                          {0xfeff, 0xfeff}}};

struct Twin {
    std::uint32_t point;
    std::string_view plain;
};
constexpr std::array<Twin, 16> kTwins{{{0x130, "I"},
                                       {0x131, "i"},
                                       {0x17f, "s"},
                                       {0x2010, "-"},
                                       {0x2011, "-"},
                                       {0x2024, "."},
                                       {0x2025, ".."},
                                       {0x2026, "..."},
                                       {0x2044, "/"},
                                       {0x2215, "/"},
                                       {0x212a, "K"},
                                       {0x2216, "\\"},
                                       {0x29f5, "\\"},
                                       {0x3002, "."},
                                       {0xfe52, "."},
                                       {0xff61, "."}}};

std::optional<std::string> plain_of(std::uint32_t point) {
    for (const Range& range : kNothing)
        if (point >= range.first && point <= range.last) return std::string{};
    for (const Twin& twin : kTwins)
        if (point == twin.point) return std::string{twin.plain};
    // Full width, and letters in circles.
    if (point >= 0xff01 && point <= 0xff5e)
        return std::string(1, static_cast<char>(point - 0xff01 + '!'));
    if (point >= 0x24b6 && point <= 0x24cf)
        return std::string(1, static_cast<char>(point - 0x24b6 + 'A'));
    if (point >= 0x24d0 && point <= 0x24e9)
        return std::string(1, static_cast<char>(point - 0x24d0 + 'a'));
    return std::nullopt;
}

}  // namespace

std::string plain_letters(std::string_view text) {
    std::string made;
    made.reserve(text.size());
    for (std::size_t at = 0; at != text.size();) {
        const Point point = point_at(text, at);
        const auto plain = point.size == 1 ? std::nullopt : plain_of(point.value);
        made += plain ? std::string_view{*plain} : text.substr(at, point.size);
        at += point.size;
    }
    return made;
}

}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// The tables of the built-in recognisers. A rule names the confidence of a hit that stands alone
// and of one with a context word near it. For .cpp files of this layer only.
#pragma once

#include "policy/detect/builtin.h"
#include "policy/detect/checks.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace chaperone::detect {

// Digits in groups: "3-2-4" is three, a dash, two, a dash, four.
struct NumberRule {
    Kind kind;
    std::string_view shape;
    std::uint8_t alone, near;
    bool (*check)(Digits);
};

// A word of letters and digits.
struct WordRule {
    Kind kind;
    std::uint8_t least, most;  // its length
    std::uint8_t alone, near;
    bool (*check)(std::string_view);
};

// A fixed beginning, then `least` to `most` characters of the classes.
struct PrefixRule {
    Kind kind;
    std::string_view prefix;
    std::uint8_t classes;
    std::uint16_t least, most;
};

enum CharClass : std::uint8_t {
    kDigit = 1,
    kLower = 2,
    kUpper = 4,
    kHex = 8,  // 0-9 a-f A-F
    kUnderscore = 16,
    kDash = 32,
    kPlusSlash = 64,
    kDot = 128,
    kAlnum = kDigit | kLower | kUpper,
    kUrl64 = kAlnum | kUnderscore | kDash,
    kBase64 = kAlnum | kPlusSlash,
};

extern const std::array<std::uint8_t, 256> kClasses;

inline bool is(char c, unsigned classes) noexcept {
    return (kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

std::span<const NumberRule> number_rules() noexcept;
std::span<const WordRule> word_rules() noexcept;
std::span<const PrefixRule> prefix_rules() noexcept;

}  // namespace chaperone::detect

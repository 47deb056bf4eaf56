// SPDX-License-Identifier: Apache-2.0
// The rules that one Detector needs, laid out for the scanner. For .cpp files of this layer only.
#pragma once

#include "policy/detect/rules.h"

#include <array>
#include <bitset>
#include <cstddef>
#include <vector>

namespace chaperone::detect {

constexpr std::size_t kMaxGroups = 8;   // of one number
constexpr std::size_t kMaxDigits = 20;  // of one number

struct Shape {
    std::array<std::uint8_t, kMaxGroups> lengths{};
    std::array<char, kMaxGroups> separators{};  // before each group but the first
    std::size_t groups = 0;
    std::size_t digits = 0;

    bool operator==(const Shape&) const = default;
};

Shape read_shape(std::string_view text);

struct ShapedRule {
    Shape shape;
    const NumberRule* rule;
};

enum Anchor : std::uint8_t {
    kAnchorDigit = 1,
    kAnchorAt = 2,
    kAnchorColon = 4,
    kAnchorDash = 8,
    kAnchorEquals = 16,
    kAnchorUnderscore = 32,
    kAnchorUpper = 64,  // two capitals in a row
};

struct Builtins {
    std::bitset<256> wanted{};
    std::array<std::vector<ShapedRule>, kMaxDigits + 1> numbers{};  // by the count of digits
    std::array<std::vector<const WordRule*>, 64> words{};           // by length
    std::array<std::vector<const PrefixRule*>, 256> prefixes{};     // by first byte
    std::size_t least_digits = kMaxDigits + 1;
    std::uint8_t anchors = 0;

    bool wants(Kind kind) const noexcept { return wanted[id_of(kind)]; }
};

Builtins plan_builtins(std::bitset<256> wanted);

}  // namespace chaperone::detect

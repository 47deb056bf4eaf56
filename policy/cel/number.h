// SPDX-License-Identifier: Apache-2.0
// Doubles from text, the same wherever text becomes one: literals, double("…"), JSON.
#pragma once

#include <charconv>
#include <string_view>

namespace chaperone::cel {

// As std::from_chars, but a number too small for a double is the zero (or subnormal) nearest to it,
// as IEEE 754 rounds; only one too large is out of range.
std::from_chars_result read_double(std::string_view text, double& value);

}  // namespace chaperone::cel

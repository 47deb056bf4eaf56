// SPDX-License-Identifier: Apache-2.0
// Looks for context words. For .cpp files of this layer only.
#pragma once

#include <cstddef>
#include <string_view>

namespace chaperone::detect {

constexpr std::size_t kContextReach = 64;  // bytes before a value

// `words` are in lower case, separated by '|'. A word counts if no letter stands before it, and, if
// it is of up to three letters, none after it; a change from lower to upper case is a border, too
// (customerSsn).
bool context_in(std::string_view words, std::string_view text) noexcept;
bool context_before(std::string_view words, std::string_view text, std::size_t begin) noexcept;

}  // namespace chaperone::detect

// SPDX-License-Identifier: Apache-2.0
// UTF-8 by code point. Strings of values are valid UTF-8; only check() takes doubtful input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel::utf8 {

// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool valid(std::string_view text) noexcept;

// The code point at the front of valid, non-empty text; moves `at` behind it.
char32_t next(std::string_view text, std::size_t& at) noexcept;

void append(std::string& to, char32_t point);
std::size_t count(std::string_view text) noexcept;

// The byte offset of the code point with this index; text.size() if index == count.
std::size_t offset(std::string_view text, std::size_t index) noexcept;

// The text with each malformed sequence replaced by U+FFFD.
std::string repaired(std::string_view text);

}  // namespace chaperone::cel::utf8

// SPDX-License-Identifier: Apache-2.0
// Bytes that people wrote, as UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace chaperone::policy::yaml {

struct CodePoint {
    char32_t value = 0;
    std::size_t size = 0;  // bytes; 0: no valid UTF-8 begins here
};

// The code point at the front of a text that is not empty (RFC 3629: no surrogates, no overlong).
CodePoint first_code_point(std::string_view text) noexcept;
bool is_utf8(std::string_view text) noexcept;
std::size_t code_points(std::string_view text) noexcept;  // of valid UTF-8

}  // namespace chaperone::policy::yaml

// SPDX-License-Identifier: Apache-2.0
// Bytes that people wrote, as UTF-8.
#pragma once

#include <cstddef>
#include <string>
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

// One line that a terminal only shows: controls (C0, DEL and C1) and what is no UTF-8 become '?',
// line ends and tabs a space. For text that an agent may have chosen. At most `most` bytes, cut
// between code points.
std::string one_line(std::string_view text, std::size_t most = std::string::npos);

}  // namespace chaperone::policy::yaml

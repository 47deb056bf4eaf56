// SPDX-License-Identifier: Apache-2.0
// Looks at a text before the parser does: libpg_query recurses once per level of nesting and takes
// the process down when the stack ends (47 KiB of "1+1+1…" are enough on 8 MiB), so what could
// nest too deep never reaches it.
#pragma once

#include <cstddef>
#include <string_view>

namespace chaperone::policy::sql::pg {

// Empty: the parser may have it; else why not. chain: the most tokens that may stand in one
// another's nest, counted as the tokens since the last comma or semicolon of every open bracket.
std::string_view refuse(std::string_view text, std::size_t max_bytes, std::size_t chain) noexcept;

// The same for the body of a procedure, where statements nest by keyword rather than by bracket.
std::string_view refuse_body(std::string_view text, std::size_t max_bytes,
                             std::size_t chain) noexcept;

bool is_utf8(std::string_view text) noexcept;  // RFC 3629: no overlong forms, no surrogates

}  // namespace chaperone::policy::sql::pg

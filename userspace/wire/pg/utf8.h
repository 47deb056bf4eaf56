// SPDX-License-Identifier: Apache-2.0
// Whether a text is ASCII, or UTF-8 as PostgreSQL takes it (RFC 3629: shortest form, no
// surrogates).
#pragma once

#include <string_view>

namespace chaperone::wire {

bool is_ascii(std::string_view text) noexcept;
bool is_utf8(std::string_view text) noexcept;

}  // namespace chaperone::wire

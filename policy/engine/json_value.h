// SPDX-License-Identifier: Apache-2.0
// JSON as values of conditions. No I/O; any thread.
#pragma once

#include "policy/cel/value.h"

#include <string_view>

namespace chaperone::policy::engine {

// The document as an owning value. An error value if it is no JSON (RFC 8259), is nested deeper
// than 64, or names a member twice: two readers would not agree on what it says.
cel::Value json_value(std::string_view text);

}  // namespace chaperone::policy::engine

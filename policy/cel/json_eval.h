// SPDX-License-Identifier: Apache-2.0
// The line protocol of `chaperone policy eval --stdin`: one JSON object in, one out.
#pragma once

#include <string>
#include <string_view>

namespace chaperone::cel {

// Answers one line (without its newline); the answer has no newline either. Any input is answered:
// what is not valid JSON with {"id":null,"error":…}. Work is bounded by the default Limits.
std::string evaluate_json_line(std::string_view line);

}  // namespace chaperone::cel

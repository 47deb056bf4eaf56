// SPDX-License-Identifier: Apache-2.0
// A tool call that a model asks for in its answer: the variable `llm.tool_call`. Owns its values.
#pragma once

#include "policy/cel/value.h"

#include <string>
#include <string_view>

namespace chaperone::policy::http {

struct ToolCall {
    std::string name{};  // of the tool; for a tool of the vendor's own its type
    std::string type{};  // as the vendor calls it: "function", "tool_use", "mcp_call"
    std::string id{};    // empty: none
    // Parsed; {} if there are none, an error value if they are no JSON. Of a tool whose input is
    // free text, that text.
    cel::Value arguments{};
    std::string written{};  // the arguments as the model wrote them, for people
};

// Of the text that a model wrote: JSON, or free text.
cel::Value call_arguments(std::string_view json);
cel::Value call_text(std::string_view text);

}  // namespace chaperone::policy::http

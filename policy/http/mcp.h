// SPDX-License-Identifier: Apache-2.0
// One message of the Model Context Protocol (https://modelcontextprotocol.io/specification), as its
// HTTP transports carry them: JSON-RPC 2.0. Pure.
#pragma once

#include "policy/cel/value.h"

#include <optional>
#include <string>
#include <string_view>

namespace chaperone::policy::http {

struct McpMessage {
    std::string method{};      // "tools/call"; empty: no JSON-RPC request
    std::string tool{};        // tools/call: its name
    std::string prompt{};      // prompts/get: its name
    std::string resource{};    // resources/read, subscribe, unsubscribe: its URI
    cel::Value arguments{};    // of the tool or prompt, else all parameters; {} if there are none
    bool from_server = false;  // sampling, elicitation and the like: asked by the server
    bool response = false;     // the answer to such a question
    // What is asked about is whether a tool is to be seen at all: its arguments are not known.
    bool listed = false;

    bool answers_nothing() const noexcept { return method.empty() && !response; }
};

// Of an owning value made of a body; an error value where several messages came at once or the
// members of one have the wrong types: then nothing can be told. A body that is no JSON-RPC is a
// message without a method.
struct McpRead {
    std::optional<McpMessage> message{};  // none: `error` says why
    std::string error{};
};
McpRead read_mcp(const cel::Value& body);

// JSON text as a value of conditions; an error value if it cannot be one.
cel::Value mcp_value(std::string_view json);

}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// One message of the Model Context Protocol (https://modelcontextprotocol.io/specification), as its
// HTTP transports carry them: JSON-RPC 2.0. Pure.
#pragma once

#include "policy/cel/value.h"
#include "policy/http/facts.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::http {

struct McpMessage {
    std::string method{};      // "tools/call"; empty: no JSON-RPC request
    std::string tool{};        // tools/call: its name
    std::string prompt{};      // prompts/get, completion/complete: its name
    std::string resource{};    // resources/read, subscribe, unsubscribe, completion: its URI
    cel::Value arguments{};    // of the tool or prompt, else all parameters; {} if there are none
    bool from_server = false;  // sampling, elicitation and the like: asked by the server
    bool response = false;     // the answer to such a question
    // What is asked about is whether a tool is to be seen at all: its arguments are not known.
    bool listed = false;

    bool answers_nothing() const noexcept { return method.empty() && !response; }
};

// Of an owning value made of a body; an error where several messages came at once or the members
// of one have the wrong types: then nothing can be told. A body that is no JSON-RPC is a message
// without a method. `facts`: of the request that has this body; its fields must not say otherwise
// (Streamable HTTP of 2026-07-28, Standard Request Headers). Null: there are none.
struct McpRead {
    std::optional<McpMessage> message{};  // none: `error` says why
    std::string error{};
};
McpRead read_mcp(const cel::Value& body, const Facts* facts = nullptr);

// Of such a body: its fields say otherwise than it does ("HeaderMismatch" of 2026-07-28).
bool mcp_fields_disagree(const Facts& facts, const cel::Value& body);

// A few words and nothing else: no JSON, and whatever takes it for something else finds no message.
bool is_bare_words(std::string_view body) noexcept;

// The messages of a batch (JSON-RPC 2.0, 6), each to be decided as if it came alone. Empty: the
// body is none, or something in it cannot be told.
std::vector<McpMessage> read_mcp_batch(const cel::Value& body);

// JSON text as a value of conditions; an error value if it cannot be one.
cel::Value mcp_value(std::string_view json);

}  // namespace chaperone::policy::http

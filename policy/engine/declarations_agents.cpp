// SPDX-License-Identifier: Apache-2.0
// The variables mcp and llm: what bodies of HTTP requests mean to agents' tools and models.
#include "policy/engine/declarations.h"
#include "policy/engine/json_value.h"
#include "policy/http/body_text.h"

namespace chaperone::policy::engine {
namespace {

using cel::Kind;
using cel::Type;
using cel::TypeKind;
using cel::Value;

Value owned(std::string_view text) {
    return yaml::is_utf8(text) ? Value::own_text(text)
                               : Value::error("text that is not valid UTF-8");
}

Value strings_of(const std::vector<std::string>& all) {
    std::vector<Value> made;
    for (const std::string& one : all) made.push_back(owned(one));
    return Value::list_of(std::move(made));
}

// The message, or why it cannot be told.
template <class Read>
Value of(const McpPart& m, Read read) {
    using State = http::Body::State;
    if (m.given == nullptr && m.facts.body.state == State::NotSeen) return Value::unknown();
    if (m.given == nullptr && m.facts.body.state == State::TooLarge)
        return Value::error("a body too large to be examined");
    if (m.given == nullptr && !m.read) {
        const std::string& data = m.facts.body.data;
        const bool none = http::is_bare_words(data) && http::body_text_fault(m.facts).empty();
        m.read = none ? http::McpRead{.message = http::McpMessage{}}
                      : http::read_mcp(json_body(m.facts), &m.facts);
    }
    if (m.given == nullptr && !m.read->message) return Value::error(m.read->error);
    return read(m.given != nullptr ? *m.given : *m.read->message);
}

template <class Read>
Value of(const ToolCallPart& t, Read read) {
    return t.call == nullptr ? Value::unknown() : read(*t.call);
}

Value arguments_of(const http::McpMessage& message) {
    if (message.listed) return Value::unknown();
    return message.arguments.is(Kind::Null) ? Value::map_of({}) : message.arguments;
}

template <class Read>
Value of(const ModelPart& m, Read read) {
    using State = http::Body::State;
    if (!m.read && http::uploads_file(m.facts)) m.read.emplace();
    if (m.read) return read(*m.read);
    if (m.facts.body.state == State::NotSeen) return Value::unknown();
    if (m.facts.body.state == State::TooLarge)
        return Value::error("a body too large to be examined");
    const Value body = json_body(m.facts);
    if (body.is(Kind::Error)) return Value::error("a body that is no JSON");
    if (http::is_ambiguous(body)) return Value::error("a member that some take for another");
    m.read = http::read_model_request(body);
    return read(*m.read);
}

}  // namespace

Value json_body(const http::Facts& facts) {
    if (facts.body.data.empty()) return Value::map_of({});
    if (const std::string_view fault = http::body_text_fault(facts); !fault.empty())
        return Value::error(std::string{fault});
    return json_value(facts.body.data);
}

std::vector<http::McpMessage> mcp_batch(const Request& request) {
    if (request.stage != Stage::Http || request.http == nullptr || request.mcp != nullptr ||
        request.http->body.state != http::Body::State::Whole)
        return {};
    const std::string& data = request.http->body.data;
    const auto begin = data.find_first_not_of(" \t\r\n");
    if (begin == data.npos || data[begin] != '[') return {};
    return http::read_mcp_batch(json_body(*request.http));
}

// clang-format off
template <>
const Declared<McpPart>& declared<McpPart>() {
    using M = http::McpMessage;
    static const Declared<McpPart> made{"Mcp", {
        {"method", TypeKind::String, [](const McpPart& m) { return of(m, [](const M& x) { return owned(x.method); }); }, "The JSON-RPC method, such as tools/call; empty: the request is no such message. Of a batch each message is put to the rules, and one that is denied denies all; a field Mcp-Method or Mcp-Name that says otherwise than the body cannot be evaluated."},
        {"tool", TypeKind::String, [](const McpPart& m) { return of(m, [](const M& x) { return owned(x.tool); }); }, "The tool that is called, else empty."},
        {"arguments", TypeKind::Dyn, [](const McpPart& m) { return of(m, arguments_of); }, "The arguments of the tool or prompt, else the parameters. Not known while tools are listed: a tool is left out of a list if it is denied whatever its arguments are."},
        {"resource", TypeKind::String, [](const McpPart& m) { return of(m, [](const M& x) { return owned(x.resource); }); }, "The URI of the resource that is read, subscribed to or completed, else empty; while templates are listed, the template."},
        {"prompt", TypeKind::String, [](const McpPart& m) { return of(m, [](const M& x) { return owned(x.prompt); }); }, "The prompt that is asked for or completed, else empty."},
        {"server", TypeKind::String, [](const McpPart& m) { return text_value(m.facts.host()); }, "The host that serves it."},
        {"from_server", TypeKind::Bool, [](const McpPart& m) { return of(m, [](const M& x) { return Value::boolean(x.from_server); }); }, "The server asks: sampling/createMessage, elicitation/create, roots/list."},
        {"response", TypeKind::Bool, [](const McpPart& m) { return of(m, [](const M& x) { return Value::boolean(x.response); }); }, "The agent's answer to what a server asked."},
    }};
    return made;
}

template <>
const Declared<ToolCallPart>& declared<ToolCallPart>() {
    using C = http::ToolCall;
    static const Declared<ToolCallPart> made{"ToolCall", {
        {"name", TypeKind::String, [](const ToolCallPart& t) { return of(t, [](const C& c) { return owned(c.name); }); }, "The tool that the model asks for; a tool of the vendor's own without a name has its type's."},
        {"arguments", TypeKind::Dyn, [](const ToolCallPart& t) { return of(t, [](const C& c) { return c.arguments; }); }, "Its arguments, parsed; {} if there are none, text where the tool takes free text. What is no JSON, or names a member twice, cannot be evaluated."},
        {"type", TypeKind::String, [](const ToolCallPart& t) { return of(t, [](const C& c) { return owned(c.type); }); }, "As the vendor calls it: function, tool_use, custom_tool_call … What the provider runs itself (server_tool_use, mcp_call, web_search_call) has run when it is seen."},
        {"id", TypeKind::String, [](const ToolCallPart& t) { return of(t, [](const C& c) { return owned(c.id); }); }, "The call's id; empty: none."},
    }};
    return made;
}

template <>
const Declared<ModelPart>& declared<ModelPart>() {
    using M = http::ModelRequest;
    static const Declared<ModelPart> made{"Llm", {
        {"api", TypeKind::String, [](const ModelPart& m) { return Value::text(http::to_text(http::model_api(m.facts))); }, "openai or anthropic, by the shape of the path; else empty."},
        {"model", TypeKind::String, [](const ModelPart& m) { return of(m, [](const M& x) { return owned(x.model); }); }, "The model that is asked for."},
        {"max_tokens", TypeKind::Int, [](const ModelPart& m) { return of(m, [](const M& x) { return Value::integer(x.max_tokens); }); }, "The most tokens it may answer with; 0: not said."},
        {"messages", TypeKind::Int, [](const ModelPart& m) { return of(m, [](const M& x) { return Value::integer(x.messages); }); }, "How many turns of the conversation are sent."},
        {"stream", TypeKind::Bool, [](const ModelPart& m) { return of(m, [](const M& x) { return Value::boolean(x.stream); }); }, "Whether the answer is to come as events."},
        {"tools", strings(), [](const ModelPart& m) { return of(m, [](const M& x) { return strings_of(x.tools); }); }, "The tools that are offered to the model."},
        {"tool_results", strings(), [](const ModelPart& m) { return of(m, [](const M& x) { return strings_of(x.tool_results); }); }, "The ids of tool calls whose results are sent."},
        {"result_tools", strings(), [](const ModelPart& m) { return of(m, [](const M& x) { return strings_of(x.result_tools); }); }, "The tools of those calls, in the same order; empty text for one whose call is not sent along."},
        {"tool_choice", TypeKind::String, [](const ModelPart& m) { return of(m, [](const M& x) { return owned(x.tool_choice); }); }, "auto, none, required, or the tool that the model must call; empty: not said."},
        {"servers", strings(), [](const ModelPart& m) { return of(m, [](const M& x) { return strings_of(x.servers); }); }, "MCP servers (URLs, or what else names them) whose tools the provider is to call itself, where no rule about mcp sees it."},
        {"tool_call", object_type<ToolCallPart>(), [](const ModelPart& m) { return Value::own_object(new View<ToolCallPart>{m.tool_call}); }, "A tool call in the model's answer. A rule that names it is about these calls and nothing else."},
    }};
    return made;
}
// clang-format on

}  // namespace chaperone::policy::engine

// SPDX-License-Identifier: Apache-2.0
#include "policy/http/mcp.h"

#include "policy/http/tool_call.h"
#include "policy/http/twins.h"

#include "policy/engine/json_value.h"
#include "policy/yaml/text.h"

#include <array>

namespace chaperone::policy::http {

using cel::Kind;
using cel::Value;

namespace {

std::optional<Value> member(const Value& value, std::string_view name) {
    if (!value.is(Kind::Map)) return std::nullopt;
    return value.as_map().find(Value::text(name));
}

// False: it is there, and is no text.
bool take_text(const Value& value, std::string_view name, std::string& to) {
    const auto found = member(value, name);
    if (!found) return true;
    if (!found->is(Kind::String)) return false;
    to = found->as_text();
    return true;
}

constexpr std::array<std::string_view, 6> kMembers{"jsonrpc", "id",     "method",
                                                   "params",  "result", "error"};
constexpr std::array<std::string_view, 3> kParameters{"name", "uri", "arguments"};

McpRead unreadable(std::string why) {
    return {.error = std::move(why)};
}

}  // namespace

McpRead read_mcp(const Value& body) {
    if (body.is(Kind::Error)) return unreadable("a body that is no JSON");
    if (body.is(Kind::List)) return unreadable("several messages in one body");
    McpMessage message;
    message.arguments = Value::map_of({});
    std::string version;
    if (!take_text(body, "jsonrpc", version)) return unreadable("jsonrpc is no text");
    // Of a body that is something else, its members may be called as they like.
    const bool twin = has_twin(body, kMembers);
    if (version.empty() && !(twin && has_twin(body, std::span{kMembers}.first(1))))
        return {.message = std::move(message)};
    if (twin) return unreadable("a member that some take for another");
    if (!take_text(body, "method", message.method)) return unreadable("method is no text");
    message.response = message.method.empty() && (member(body, "result") || member(body, "error"));
    const auto params = member(body, "params");
    if (!params) return {.message = std::move(message)};
    if (has_twin(*params, kParameters)) return unreadable("a parameter that some take for another");
    message.arguments = *params;
    std::string name;
    if (!take_text(*params, "name", name)) return unreadable("the name is no text");
    if (!take_text(*params, "uri", message.resource)) return unreadable("the uri is no text");
    if (message.method == "tools/call") message.tool = name;
    if (message.method == "prompts/get") message.prompt = name;
    if (message.method == "tools/call" || message.method == "prompts/get") {
        const auto arguments = member(*params, "arguments");
        message.arguments = arguments ? *arguments : Value::map_of({});
    }
    return {.message = std::move(message)};
}

Value mcp_value(std::string_view json) {
    return engine::json_value(json);
}

Value call_arguments(std::string_view json) {
    if (json.find_first_not_of(" \t\r\n") == json.npos) return Value::map_of({});
    return engine::json_value(json);
}

Value call_text(std::string_view text) {
    if (!yaml::is_utf8(text)) return Value::error("text that is not valid UTF-8");
    return Value::own_text(text);
}

}  // namespace chaperone::policy::http

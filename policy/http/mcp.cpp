// SPDX-License-Identifier: Apache-2.0
#include "policy/http/mcp.h"

#include "policy/http/tool_call.h"
#include "policy/http/twins.h"

#include "policy/engine/json_value.h"
#include "policy/yaml/text.h"
#include "userspace/base/encoding.h"

#include <algorithm>
#include <array>
#include <utility>

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
constexpr std::array<std::string_view, 4> kParameters{"name", "uri", "arguments", "ref"};
constexpr std::size_t kMaxBatch = 64;  // messages

// Servers exist that do not look for "jsonrpc"; nobody else has methods of these names.
bool is_mcp_method(std::string_view method) {
    static constexpr std::array<std::string_view, 10> kFamilies{
        "tools/",   "prompts/",     "resources/", "completion/", "tasks/",
        "logging/", "elicitation/", "sampling/",  "server/",     "subscriptions/"};
    return std::ranges::any_of(kFamilies, [&](auto one) { return method.starts_with(one); });
}

// A field's value as it is meant: =?base64?...?= stands for what a field cannot say.
std::optional<std::string> field_text(const std::string& value) {
    constexpr std::string_view kBegin = "=?base64?", kEnd = "?=";
    if (!value.starts_with(kBegin) || !value.ends_with(kEnd)) return value;
    if (value.size() < kBegin.size() + kEnd.size()) return std::nullopt;
    auto decoded = from_base64(
        std::string_view{value}.substr(kBegin.size(), value.size() - kBegin.size() - kEnd.size()));
    if (!decoded) return std::nullopt;
    return std::string{as_text(*decoded)};
}

// Gateways choose by the fields, servers by the body.
bool fields_agree(const Facts& facts, const McpMessage& message) {
    if (const auto method = facts.field("mcp-method"); method && *method != message.method)
        return false;
    const auto name = facts.field("mcp-name");
    const std::string& meant = !message.tool.empty()     ? message.tool
                               : !message.prompt.empty() ? message.prompt
                                                         : message.resource;
    return !name || meant.empty() || *name == meant || field_text(*name) == meant;
}

// completion/complete: what is completed, a prompt's argument or a template's.
bool take_reference(const Value& params, McpMessage& message) {
    const auto reference = member(params, "ref");
    if (!reference) return true;
    if (has_twin(*reference, kParameters)) return false;
    return take_text(*reference, "name", message.prompt) &&
           take_text(*reference, "uri", message.resource);
}

McpRead unreadable(std::string why) {
    return {.error = std::move(why)};
}

}  // namespace

namespace {

McpRead read_message(const Value& body) {
    if (body.is(Kind::Error)) return unreadable("a body that is no JSON");
    if (body.is(Kind::List)) return unreadable("several messages in one body");
    McpMessage message;
    message.arguments = Value::map_of({});
    std::string version;
    if (!take_text(body, "jsonrpc", version)) return unreadable("jsonrpc is no text");
    // Of a body that is something else, its members may be called as they like.
    const bool twin = has_twin(body, kMembers);
    const auto named = member(body, "method");
    const bool meant = named && named->is(Kind::String) && is_mcp_method(named->as_text());
    if (version.empty() && !meant && !(twin && has_twin(body, std::span{kMembers}.first(1))))
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
    if (message.method == "completion/complete" && !take_reference(*params, message))
        return unreadable("what is to be completed cannot be told");
    if (message.method == "tools/call") message.tool = name;
    if (message.method == "prompts/get") message.prompt = name;
    if (message.method == "tools/call" || message.method == "prompts/get") {
        const auto arguments = member(*params, "arguments");
        message.arguments = arguments ? *arguments : Value::map_of({});
    }
    return {.message = std::move(message)};
}

}  // namespace

McpRead read_mcp(const Value& body, const Facts* facts) {
    McpRead made = read_message(body);
    if (made.message && facts != nullptr && !fields_agree(*facts, *made.message))
        return unreadable("fields that say otherwise than the body");
    return made;
}

bool mcp_fields_disagree(const Facts& facts, const Value& body) {
    const McpRead made = read_message(body);
    return made.message && !fields_agree(facts, *made.message);
}

bool is_bare_words(std::string_view body) noexcept {
    constexpr std::size_t kMost = 32;  // shorter than any message, also as base64
    return body.size() <= kMost && std::ranges::all_of(body, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      std::string_view{" .,!"}.contains(c);
           });
}

std::vector<McpMessage> read_mcp_batch(const Value& body) {
    if (!body.is(Kind::List)) return {};
    const cel::List& list = body.as_list();
    std::vector<McpMessage> made;
    bool other = false;  // something that is no message; once is enough to ask about that
    for (std::size_t i = 0; i != list.size(); ++i) {
        McpRead one = read_message(list.at(i));
        if (!one.message) return {};
        if (one.message->answers_nothing() && std::exchange(other, true)) continue;
        made.push_back(std::move(*one.message));
        if (made.size() > kMaxBatch) return {};
    }
    return made;
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

// SPDX-License-Identifier: Apache-2.0
#include "policy/http/model_api.h"

#include "policy/http/twins.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace chaperone::policy::http {

using cel::Kind;
using cel::Value;

namespace {

std::optional<Value> member(const Value& value, std::string_view name) {
    if (!value.is(Kind::Map)) return std::nullopt;
    return value.as_map().find(Value::text(name));
}

std::string text_of(const Value& value, std::string_view name) {
    const auto found = member(value, name);
    return found && found->is(Kind::String) ? std::string{found->as_text()} : std::string{};
}

std::int64_t number_of(const Value& value, std::string_view name) {
    const auto found = member(value, name);
    return found && found->is(Kind::Int) ? found->as_int() : 0;
}

template <class Use>
void each(const Value& value, std::string_view name, Use use) {
    const auto found = member(value, name);
    if (!found || !found->is(Kind::List)) return;
    const cel::List& list = found->as_list();
    for (std::size_t i = 0; i != list.size(); ++i) use(list.at(i));
}

// OpenAI: {"type": "function", "function": {"name"}}, or in Responses {"name"}; Anthropic:
// {"name"}.
void add_tool(std::vector<std::string>& tools, const Value& tool) {
    const auto function = member(tool, "function");
    std::string name = text_of(function ? *function : tool, "name");
    if (name.empty()) name = text_of(tool, "type");  // a tool of the vendor's own
    if (!name.empty()) tools.push_back(std::move(name));
}

// OpenAI: {"type": "mcp", "server_url"} or a connector among the tools; Anthropic: mcp_servers.
void add_server(std::vector<std::string>& servers, const Value& entry) {
    for (const std::string_view name :
         {"server_url", "url", "connector_id", "server_label", "name"})
        if (std::string text = text_of(entry, name); !text.empty())
            return servers.push_back(std::move(text));
}

std::string choice_of(const Value& choice) {
    if (choice.is(Kind::String)) return std::string{choice.as_text()};
    const auto function = member(choice, "function");
    if (std::string name = text_of(function ? *function : choice, "name"); !name.empty())
        return name;
    return text_of(choice, "type");
}

using Names = std::map<std::string, std::string>;  // of tools, by the ids of their calls

void add_call(Names& calls, const Value& call, std::string_view id, const Value& named) {
    if (std::string key = text_of(call, id); !key.empty()) calls[key] = text_of(named, "name");
}

// The calls that the model made earlier, where the agent sends them back as part of the talk.
void add_calls(Names& calls, const Value& turn) {
    if (text_of(turn, "type") == "function_call") add_call(calls, turn, "call_id", turn);
    each(turn, "tool_calls", [&](const Value& call) {
        if (const auto function = member(call, "function")) add_call(calls, call, "id", *function);
    });
    each(turn, "content", [&](const Value& part) {
        if (text_of(part, "type").ends_with("tool_use")) add_call(calls, part, "id", part);
    });
}

void add_results(ModelRequest& made, const Names& calls, const Value& turn) {
    const auto add = [&](std::string id) {
        if (id.empty()) return;
        const auto call = calls.find(id);
        made.result_tools.push_back(call == calls.end() ? std::string{} : call->second);
        made.tool_results.push_back(std::move(id));
    };
    add(text_of(turn, "tool_call_id"));
    if (text_of(turn, "type") == "function_call_output") add(text_of(turn, "call_id"));
    each(turn, "content", [&](const Value& part) { add(text_of(part, "tool_use_id")); });
    if (text_of(turn, "role") != "function") return;  // of before there were ids
    made.tool_results.push_back(text_of(turn, "name"));
    made.result_tools.push_back(text_of(turn, "name"));
}

}  // namespace

std::string_view to_text(ModelApi api) noexcept {
    switch (api) {
    case ModelApi::None: return "";
    case ModelApi::OpenAi: return "openai";
    case ModelApi::Anthropic: return "anthropic";
    }
    return "";
}

ModelApi model_api(const Facts& facts) noexcept {
    static constexpr std::array<std::string_view, 8> kOpenAi{
        "/chat/completions", "/v1/responses",          "/openai/responses", "/v1/completions",
        "/v1/embeddings",    "/v1/images/generations", "/v1/realtime",      "/openai/realtime"};
    static constexpr std::array<std::string_view, 3> kAnthropic{
        "/v1/messages", "/v1/messages/count_tokens", "/v1/complete"};
    if (facts.readings().empty()) return ModelApi::None;
    const std::string_view path = facts.readings().front().path;
    const auto ends = [&](std::string_view with) { return path.ends_with(with); };
    // What was answered before is asked for again below the same paths.
    const auto below = [&](std::string_view part) { return path.find(part) != path.npos; };
    if (below("/v1/messages/")) return ModelApi::Anthropic;
    if (below("/v1/responses/") || below("/chat/completions/")) return ModelApi::OpenAi;
    if (std::ranges::any_of(kAnthropic, ends)) return ModelApi::Anthropic;
    if (std::ranges::any_of(kOpenAi, ends)) return ModelApi::OpenAi;
    return ModelApi::None;
}

bool may_call_tools(const Facts& facts) noexcept {
    if (model_api(facts) == ModelApi::None) return false;
    const std::string_view path = facts.readings().front().path;
    return !path.ends_with("/embeddings") && !path.ends_with("/images/generations");
}

bool uploads_file(const Facts& facts) noexcept {
    if (facts.content_type() != "multipart/form-data") return false;
    if (facts.readings().empty() || model_api(facts) != ModelApi::None) return false;
    return std::ranges::all_of(facts.readings(), [](const Reading& reading) {
        const std::string_view path = reading.path;
        return path.ends_with("/v1/files") || path.ends_with("/openai/files") ||
               (path.contains("/v1/uploads/") && path.ends_with("/parts"));
    });
}

bool is_ambiguous(const Value& body) {
    static constexpr std::array<std::string_view, 12> kMembers{
        "model",       "max_tokens",   "max_completion_tokens", "max_output_tokens", "stream",
        "tools",       "functions",    "mcp_servers",           "messages",          "input",
        "tool_choice", "function_call"};
    return has_twin(body, kMembers);
}

ModelRequest read_model_request(const Value& body) {
    ModelRequest made;
    made.model = text_of(body, "model");
    for (const std::string_view name : {"max_tokens", "max_completion_tokens", "max_output_tokens"})
        made.max_tokens = std::max(made.max_tokens, number_of(body, name));
    const auto stream = member(body, "stream");
    made.stream = stream && stream->is(Kind::Bool) && stream->as_bool();
    each(body, "tools", [&](const Value& tool) {
        add_tool(made.tools, tool);
        if (text_of(tool, "type") == "mcp") add_server(made.servers, tool);
    });
    each(body, "functions", [&](const Value& tool) { add_tool(made.tools, tool); });
    each(body, "mcp_servers", [&](const Value& server) { add_server(made.servers, server); });
    for (const std::string_view name : {"tool_choice", "function_call"})
        if (const auto choice = member(body, name)) made.tool_choice = choice_of(*choice);
    if (made.tool_choice == "any") made.tool_choice = "required";
    Names calls;
    for (const std::string_view name : {"messages", "input"})
        each(body, name, [&](const Value& turn) {
            ++made.messages;
            add_calls(calls, turn);
        });
    for (const std::string_view name : {"messages", "input"})
        each(body, name, [&](const Value& turn) { add_results(made, calls, turn); });
    return made;
}

}  // namespace chaperone::policy::http

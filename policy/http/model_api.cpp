// SPDX-License-Identifier: Apache-2.0
#include "policy/http/model_api.h"

#include <algorithm>
#include <array>
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

void add_results(std::vector<std::string>& results, const Value& turn) {
    if (std::string id = text_of(turn, "tool_call_id"); !id.empty()) results.push_back(id);
    if (std::string id = text_of(turn, "call_id");
        !id.empty() && text_of(turn, "type") == "function_call_output")
        results.push_back(id);
    each(turn, "content", [&](const Value& part) {
        if (std::string id = text_of(part, "tool_use_id"); !id.empty()) results.push_back(id);
    });
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
    static constexpr std::array<std::string_view, 5> kOpenAi{"/chat/completions", "/v1/responses",
                                                             "/v1/completions", "/v1/embeddings",
                                                             "/v1/images/generations"};
    static constexpr std::array<std::string_view, 3> kAnthropic{
        "/v1/messages", "/v1/messages/count_tokens", "/v1/complete"};
    if (facts.readings().empty()) return ModelApi::None;
    const std::string_view path = facts.readings().front().path;
    const auto ends = [&](std::string_view with) { return path.ends_with(with); };
    if (std::ranges::any_of(kAnthropic, ends)) return ModelApi::Anthropic;
    if (std::ranges::any_of(kOpenAi, ends)) return ModelApi::OpenAi;
    return ModelApi::None;
}

ModelRequest read_model_request(const Value& body) {
    ModelRequest made;
    made.model = text_of(body, "model");
    for (const std::string_view name : {"max_tokens", "max_completion_tokens", "max_output_tokens"})
        made.max_tokens = std::max(made.max_tokens, number_of(body, name));
    const auto stream = member(body, "stream");
    made.stream = stream && stream->is(Kind::Bool) && stream->as_bool();
    each(body, "tools", [&](const Value& tool) { add_tool(made.tools, tool); });
    for (const std::string_view name : {"messages", "input"})
        each(body, name, [&](const Value& turn) {
            ++made.messages;
            add_results(made.tool_results, turn);
        });
    return made;
}

}  // namespace chaperone::policy::http

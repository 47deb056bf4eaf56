// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/shapes.h"

#include "policy/http/mcp.h"
#include "policy/http/model_api.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <optional>
#include <string>
#include <utility>

namespace chaperone::session {
namespace {

namespace json = boost::json;
using policy::http::Body;
using policy::http::Facts;
using policy::http::ModelApi;

// -32000 to -32019 are an implementation's own; clients' libraries have -32000 for a connection
// that was closed and -32001 for time that ran out, and try again.
constexpr int kDenied = -32003;

constexpr int kHeaderMismatch = -32020;                // MCP's own, with 400
constexpr std::string_view kSaysWhole = "2026-07-28";  // the version of MCP

std::string words(const Refusal& refusal) {
    std::string text = refusal.detail;
    if (!refusal.hint.empty()) text += "; " + refusal.hint;
    return text;
}

json::object meta(const Refusal& refusal) {
    json::object made;
    if (!refusal.rule.empty()) made["chaperone.dev/rule"] = refusal.rule;
    if (!refusal.decision.empty()) made["chaperone.dev/decision"] = refusal.decision;
    if (!refusal.approval.empty()) made["chaperone.dev/approval"] = refusal.approval;
    return made;
}

void answer(LocalResponse& response, int status, const json::value& body) {
    response.status = status;
    response.body = json::serialize(body);
    for (auto& [name, value] : response.fields)
        if (http::same(name, "content-type")) value = "application/json";
}

// Clients of streamable HTTP say that they do (MCP, Streamable HTTP, Sending Messages).
bool reads_answers(const Facts& facts) {
    const std::string accept = http::lower(facts.field("accept").value_or(""));
    return accept.contains("application/json") || accept.contains("text/event-stream");
}

// A model can read why its tool call failed, and do something else; an error of the transport it
// never sees. None: it is no request that is answered.
std::optional<json::object> answer_of(const json::value& value, const Facts& facts,
                                      const Refusal& refusal) {
    const json::object* message = value.if_object();
    if (message == nullptr || !message->contains("jsonrpc") || !message->contains("id") ||
        !message->contains("method"))
        return std::nullopt;
    json::object made{{"jsonrpc", "2.0"}, {"id", message->at("id")}};
    if (message->at("method") != "tools/call") {
        made["error"] =
            json::object{{"code", kDenied}, {"message", words(refusal)}, {"data", meta(refusal)}};
        return made;
    }
    json::object result{
        {"isError", true},
        {"content", json::array{json::object{{"type", "text"}, {"text", words(refusal)}}}},
        {"_meta", meta(refusal)}};
    // Results must say since then that they are whole; versions are dates.
    if (facts.field("mcp-protocol-version").value_or("") >= kSaysWhole)
        result["resultType"] = "complete";
    made["result"] = std::move(result);
    return made;
}

// Of one message, or of each of several.
std::optional<json::value> answers_of(const Facts& facts, const Refusal& refusal) {
    if (facts.body.state != Body::State::Whole || facts.body.data.empty()) return std::nullopt;
    json::error_code error;
    const json::value body = json::parse(facts.body.data, error);
    if (error) return std::nullopt;
    const json::array* batch = body.if_array();
    if (batch == nullptr) return answer_of(body, facts, refusal);
    json::array answers;
    for (const json::value& one : *batch)
        if (auto said = answer_of(one, facts, refusal)) answers.push_back(*std::move(said));
    if (answers.empty()) return std::nullopt;
    return answers;
}

// As a server would say it, had policy not refused what can be taken in two ways.
std::optional<json::value> header_mismatch(const Facts& facts) {
    if (facts.body.state != Body::State::Whole || facts.body.data.empty() ||
        !policy::http::mcp_fields_disagree(facts, policy::http::mcp_value(facts.body.data)))
        return std::nullopt;
    json::error_code error;
    const json::value body = json::parse(facts.body.data, error);
    if (error || !body.is_object()) return std::nullopt;
    const json::value* id = body.get_object().if_contains("id");
    return json::object{{"jsonrpc", "2.0"},
                        {"id", id != nullptr ? *id : json::value{}},
                        {"error", json::object{{"code", kHeaderMismatch},
                                               {"message",
                                                "Header mismatch: a field says otherwise than the "
                                                "request's body (chaperone)"}}}};
}

bool as_mcp(const Facts& facts, const Refusal& refusal, LocalResponse& response) {
    if (const auto mismatch = header_mismatch(facts)) {
        answer(response, 400, *mismatch);
        return true;
    }
    const auto made = answers_of(facts, refusal);
    if (!made) return false;
    // Over the older transport what a POST is answered with nobody reads but for its status.
    answer(response, reads_answers(facts) ? 200 : response.status, *made);
    return true;
}

json::object anthropic_error(const Refusal& refusal) {
    json::object error{{"message", words(refusal)},
                       {"type", refusal.status >= 500 ? "api_error" : "permission_error"}};
    json::object made{{"type", "error"}, {"error", std::move(error)}};
    if (!refusal.decision.empty()) made["request_id"] = refusal.decision;
    return made;
}

json::object openai_error(const Refusal& refusal) {
    return {{"message", words(refusal)},
            {"type", refusal.status >= 500 ? "server_error" : "permission_error"},
            {"param", nullptr},
            {"code", refusal.type}};
}

void as_model_api(ModelApi api, const Refusal& refusal, LocalResponse& response) {
    if (api == ModelApi::Anthropic)
        return answer(response, refusal.status, anthropic_error(refusal));
    answer(response, refusal.status, json::object{{"error", openai_error(refusal)}});
}

std::string anthropic_events(const Refusal& refusal) {
    return "event: error\ndata: " + json::serialize(anthropic_error(refusal)) + "\n\n";
}

// Its clients look for "error" in the data of any event.
std::string chat_events(const Refusal& refusal) {
    const json::object made{{"error", openai_error(refusal)}};
    return "data: " + json::serialize(made) + "\n\ndata: [DONE]\n\n";
}

// Responses: an event of the type "error", whose members are the event's own; its clients look for
// "error" all the same.
std::string response_events(const Refusal& refusal) {
    const json::object error = openai_error(refusal);
    const json::object made{{"type", "error"},
                            {"code", error.at("code")},
                            {"message", error.at("message")},
                            {"param", nullptr},
                            {"error", error}};
    return "event: error\ndata: " + json::serialize(made) + "\n\n";
}

}  // namespace

void shape_for_agents(const Facts& facts, const Refusal& refusal, LocalResponse& response) {
    if (refusal.status == 202 || refusal.type == "malformed") return;
    if (as_mcp(facts, refusal, response)) return;
    const ModelApi api = policy::http::model_api(facts);
    if (api != ModelApi::None) as_model_api(api, refusal, response);
}

std::optional<std::string> answer_in_stream(const Facts& facts, const Refusal& refusal) {
    if (refusal.status == 202 || refusal.type == "malformed" || reads_answers(facts))
        return std::nullopt;
    const auto made = answers_of(facts, refusal);
    if (!made) return std::nullopt;
    return json::serialize(*made);
}

ErrorEvents error_events(const Facts& facts) {
    if (policy::http::model_api(facts) == ModelApi::Anthropic) return anthropic_events;
    const bool responses = facts.readings().front().path.find("/responses") != std::string::npos;
    return responses ? response_events : chat_events;
}

}  // namespace chaperone::session

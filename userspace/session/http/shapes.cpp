// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/shapes.h"

#include "policy/http/model_api.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <string>

namespace chaperone::session {
namespace {

namespace json = boost::json;
using policy::http::Body;
using policy::http::Facts;
using policy::http::ModelApi;

constexpr int kDenied = -32001;  // -32000 to -32019 are an implementation's own

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
// never sees.
bool as_mcp(const Facts& facts, const Refusal& refusal, LocalResponse& response) {
    if (facts.body.state != Body::State::Whole || facts.body.data.empty()) return false;
    json::error_code error;
    const json::value body = json::parse(facts.body.data, error);
    const json::object* message = error ? nullptr : body.if_object();
    if (message == nullptr || !message->contains("jsonrpc") || !message->contains("id") ||
        !message->contains("method"))
        return false;
    json::object made{{"jsonrpc", "2.0"}, {"id", message->at("id")}};
    if (message->at("method") == "tools/call") {
        made["result"] = json::object{
            {"isError", true},
            {"content", json::array{json::object{{"type", "text"}, {"text", words(refusal)}}}},
            {"_meta", meta(refusal)}};
    } else {
        made["error"] =
            json::object{{"code", kDenied}, {"message", words(refusal)}, {"data", meta(refusal)}};
    }
    // Over the older transport answers come in the stream of events, and what a POST is answered
    // with nobody reads but for its status.
    answer(response, reads_answers(facts) ? 200 : response.status, made);
    return true;
}

void as_model_api(ModelApi api, const Refusal& refusal, LocalResponse& response) {
    const bool ours = refusal.status >= 500;
    json::object error{{"message", words(refusal)}};
    if (api == ModelApi::Anthropic) {
        error["type"] = ours ? "api_error" : "permission_error";
        json::object made{{"type", "error"}, {"error", std::move(error)}};
        if (!refusal.decision.empty()) made["request_id"] = refusal.decision;
        answer(response, refusal.status, made);
        return;
    }
    error["type"] = ours ? "server_error" : "permission_error";
    error["param"] = nullptr;
    error["code"] = refusal.type;
    answer(response, refusal.status, json::object{{"error", std::move(error)}});
}

}  // namespace

void shape_for_agents(const Facts& facts, const Refusal& refusal, LocalResponse& response) {
    if (refusal.status == 202 || refusal.type == "malformed") return;
    if (as_mcp(facts, refusal, response)) return;
    const ModelApi api = policy::http::model_api(facts);
    if (api != ModelApi::None) as_model_api(api, refusal, response);
}

}  // namespace chaperone::session

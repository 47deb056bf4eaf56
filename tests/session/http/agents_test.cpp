// SPDX-License-Identifier: Apache-2.0
// What agents' tools and models are shown: lists cut down, questions of servers, refusals.
#include "userspace/session/http/mcp_filter.h"
#include "userspace/session/http/shapes.h"

#include <gtest/gtest.h>

#include <vector>

namespace chaperone::session {
namespace {

using namespace std::string_literals;
using policy::http::McpMessage;

policy::DecisionPtr decision(policy::Effect effect) {
    auto made = std::make_shared<policy::Decision>();
    made->effect = effect;
    return made;
}

// Denies what is called "drop" or asks for sampling; a person is asked about "write".
struct Policy {
    std::vector<std::string> recorded{};

    McpDecider decider() {
        return [this](std::shared_ptr<const McpMessage> message, bool record) {
            if (record) recorded.push_back(message->method);
            EXPECT_EQ(message->listed, !record);
            EXPECT_EQ(message->from_server, record);
            const std::string name = message->tool + message->prompt + message->resource;
            if (name == "drop" || message->method == "sampling/createMessage")
                return decision(policy::Effect::Deny);
            if (name == "unknown") return policy::DecisionPtr{};
            return decision(name == "write" ? policy::Effect::Approve : policy::Effect::Allow);
        };
    }
};

std::string filtered(Policy& policy, std::string_view type, std::string_view body,
                     std::size_t piece) {
    auto filter = make_mcp_filter(type, "", policy.decider());
    EXPECT_TRUE(filter && *filter);
    Buffer out;
    for (std::size_t at = 0; at < body.size(); at += piece)
        EXPECT_TRUE((*filter)->push(as_bytes(body.substr(at, piece)), false, out));
    EXPECT_TRUE((*filter)->push({}, true, out));
    return std::string{as_text(out)};
}

TEST(McpFilter, CutsListsDownAtEveryCut) {
    const std::string_view body =
        R"({"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"drop"},{"name":"write"},{"name":"unknown"},{"x":1}],"nextCursor":"c"}})";
    for (const std::size_t piece : {std::size_t{1}, std::size_t{64}, body.size()}) {
        Policy policy;
        EXPECT_EQ(
            filtered(policy, "application/json", body, piece),
            R"({"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"write"}],"nextCursor":"c"}})");
        EXPECT_TRUE(policy.recorded.empty());
    }
}

TEST(McpFilter, CutsTemplatesDown) {
    Policy policy;
    EXPECT_EQ(
        filtered(
            policy, "application/json",
            R"({"jsonrpc":"2.0","id":1,"result":{"resourceTemplates":[{"uriTemplate":"drop"},{"uriTemplate":"x://{id}"},{"name":"n"}]}})",
            9),
        R"({"jsonrpc":"2.0","id":1,"result":{"resourceTemplates":[{"uriTemplate":"x://{id}"}]}})");
}

TEST(McpFilter, PutsQuestionsWithinAnswersToPolicy) {
    const auto asks = [](std::string_view requests) {
        return R"({"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":)" +
               std::string{requests} + R"(,"requestState":"s"}})";
    };
    Policy policy;
    const std::string fine = asks(R"({"a":{"method":"roots/list"}})");
    EXPECT_EQ(filtered(policy, "application/json", fine, 9), fine);
    for (const char* denied :
         {R"({"a":{"method":"roots/list"},"b":{"method":"sampling/createMessage"}})", R"({"b":1})",
          R"([])"}) {
        const std::string said = filtered(policy, "application/json", asks(denied), 9);
        EXPECT_TRUE(said.starts_with(R"({"jsonrpc":"2.0","id":1,"error":{"code":-32003)")) << said;
        EXPECT_FALSE(said.contains("requestState"));
    }
    EXPECT_EQ(policy.recorded,
              (std::vector<std::string>{"roots/list", "roots/list", "sampling/createMessage"}));
}

TEST(McpFilter, WhatAsksAndAnswersIsBoth) {
    Policy policy;
    EXPECT_EQ(
        filtered(
            policy, "application/json",
            R"({"jsonrpc":"2.0","id":1,"method":"roots/list","result":{"tools":[{"name":"drop"}]}})",
            9),
        R"({"jsonrpc":"2.0","id":1,"method":"roots/list","result":{"tools":[]}})");
}

TEST(McpFilter, PutsQuestionsOfServersToPolicy) {
    const std::string_view events =
        "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"sampling/createMessage\",\"id\":7}\n\n"
        "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"roots/list\",\"id\":8}\n\n"
        ": ping\n\n"
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
    Policy policy;
    EXPECT_EQ(filtered(policy, "text/event-stream", events, 5),
              "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"chaperone/denied\"}\n\n"
              "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"roots/list\",\"id\":8}\n\n"
              ": ping\n\n"
              "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n");
    EXPECT_EQ(policy.recorded, (std::vector<std::string>{"sampling/createMessage", "roots/list"}));
}

TEST(McpFilter, LetsNothingPassThatCanBeReadInTwoWays) {
    const std::string list = R"({"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"drop"}]})";
    Policy policy;
    for (const std::string& body :
         {list + R"(,"result":{"tools":[]}})", list + ",}", list,
          R"({"jsonrpc":"2.0","id":1,"method":"ping","method":"sampling/createMessage"})" + ""s,
          list + ",\"x\":" + std::string(200, '[') + std::string(200, ']') + "}"}) {
        EXPECT_EQ(filtered(policy, "application/json", body, 9), "[]") << body;
        EXPECT_EQ(filtered(policy, "text/event-stream", "data: " + body + "\n\n", 9), "") << body;
    }
    EXPECT_EQ(filtered(policy, "application/json", "\xef\xbb\xbf" + list + "}", 9),
              R"({"jsonrpc":"2.0","id":1,"result":{"tools":[]}})");
    const std::string deep = list + ",\"x\":" + std::string(40, '[') + std::string(40, ']') + "}";
    EXPECT_FALSE(filtered(policy, "application/json", deep, 9).contains("drop"));
    // The older transport says an address this way.
    EXPECT_EQ(filtered(policy, "text/event-stream", "event: endpoint\ndata: /m?s=1\n\n", 9),
              "event: endpoint\ndata: /m?s=1\n\n");
}

TEST(McpFilter, LeavesOtherTypesAlone) {
    Policy policy;
    const auto filter = make_mcp_filter("text/html", "", policy.decider());
    ASSERT_TRUE(filter);
    EXPECT_EQ(*filter, nullptr);
    EXPECT_FALSE(make_mcp_filter("application/json", "dcb", policy.decider()));
}

LocalResponse shaped(std::string_view target, std::string_view body,
                     std::string_view accept = "application/json, text/event-stream",
                     http::Fields more = {}) {
    policy::http::Facts facts;
    more.insert(more.end(), {{"Host", "api.example"}, {"Accept", accept}});
    facts.assign({.method = "POST",
                  .scheme = "https",
                  .authority = "api.example",
                  .target = target,
                  .version = "1.1",
                  .fields = std::move(more)},
                 "api.example", true);
    facts.body.state = policy::http::Body::State::Whole;
    facts.body.data = body;
    Refusal refusal{.detail = "chaperone: denied by policy rule \"p/r\": no", .rule = "p/r"};
    LocalResponse response = render(refusal);
    shape_for_agents(facts, refusal, response);
    return response;
}

TEST(Shapes, OfAToolCallIsAResultThatTheModelReads) {
    const auto response = shaped(
        "/mcp", R"({"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"drop"}})");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(
        response.body,
        R"({"jsonrpc":"2.0","id":"a","result":{"isError":true,"content":[{"type":"text","text":"chaperone: denied by policy rule \"p/r\": no"}],"_meta":{"chaperone.dev/rule":"p/r"}}})");
}

TEST(Shapes, OfOtherMessagesIsAnErrorOfJsonRpc) {
    const auto response = shaped("/mcp", R"({"jsonrpc":"2.0","id":3,"method":"resources/read"})");
    EXPECT_EQ(response.status, 200);
    EXPECT_NE(response.body.find(R"("error":{"code":-32003)"), std::string::npos);
    EXPECT_EQ(shaped("/mcp", R"({"jsonrpc":"2.0","method":"notifications/x"})").status, 403);
}

TEST(Shapes, OfABatchAnswersEachRequest) {
    const auto response = shaped(
        "/mcp",
        R"([{"jsonrpc":"2.0","id":1,"method":"tools/call"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":2,"method":"ping"}])");
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.body.starts_with(R"([{"jsonrpc":"2.0","id":1,"result":{"isError":true)"))
        << response.body;
    EXPECT_TRUE(response.body.contains(R"({"jsonrpc":"2.0","id":2,"error":{"code":-32003)"));
    EXPECT_EQ(shaped("/mcp", R"([{"jsonrpc":"2.0","method":"notifications/x"}])").status, 403);
    EXPECT_EQ(shaped("/mcp", "[]").status, 403);
}

TEST(Shapes, FollowTheVersionOfTheProtocol) {
    constexpr std::string_view kCall =
        R"({"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"x"}})";
    constexpr std::string_view kAccept = "application/json";
    const auto said = [&](http::Fields fields) {
        return shaped("/mcp", kCall, kAccept, std::move(fields));
    };
    EXPECT_TRUE(
        said({{"MCP-Protocol-Version", "2026-07-28"}}).body.contains(R"("resultType":"complete")"));
    EXPECT_FALSE(said({{"MCP-Protocol-Version", "2025-11-25"}}).body.contains("resultType"));
    const auto other = said({{"Mcp-Method", "tools/list"}});
    EXPECT_EQ(other.status, 400);
    EXPECT_TRUE(other.body.starts_with(R"({"jsonrpc":"2.0","id":4,"error":{"code":-32020,)"))
        << other.body;
    EXPECT_EQ(said({{"Mcp-Method", "tools/call"}, {"Mcp-Name", "y"}}).status, 400);
    EXPECT_EQ(said({{"Mcp-Method", "tools/call"}, {"Mcp-Name", "x"}}).status, 200);
}

TEST(Shapes, OverTheOlderTransportTheStatusTells) {
    const auto response =
        shaped("/message", R"({"jsonrpc":"2.0","id":3,"method":"tools/call"})", "*/*");
    EXPECT_EQ(response.status, 403);
    EXPECT_NE(response.body.find("isError"), std::string::npos);
}

TEST(Shapes, OfModelApisAreTheVendors) {
    const auto anthropic = shaped("/v1/messages", R"({"model":"m"})");
    EXPECT_EQ(anthropic.status, 403);
    EXPECT_TRUE(anthropic.body.starts_with(R"({"type":"error","error":{"message":"chaperone: )"));
    const auto openai = shaped("/openai/v1/chat/completions", R"({"model":"m"})");
    EXPECT_EQ(openai.status, 403);
    EXPECT_NE(openai.body.find(R"("code":"denied")"), std::string::npos);
}

}  // namespace
}  // namespace chaperone::session

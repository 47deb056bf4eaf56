// SPDX-License-Identifier: Apache-2.0
// Several messages of MCP in one body, each decided as if it came alone.
#include "policy/bundle/bundle.h"
#include "policy/engine/session_policy.h"
#include "policy/explain.h"
#include "policy/http/facts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

namespace chaperone::policy {
namespace {

constexpr std::string_view kBundle = R"(apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
  - {id: no-drop, when: 'mcp.tool == "drop"', deny: {reason: "no"}}
  - {id: ask, when: 'mcp.tool == "write"', approve: {by: ["group:dba"]}}
  - id: secrets
    when: 'mcp.tool == "read"'
    mask: [{detect: [EMAIL_ADDRESS], with: redact}]
  - {id: calls, when: 'mcp.method == "tools/call"', allow: {}}
  - {id: pings, when: 'mcp.method == "ping"', allow: {}}
  - {id: watched, mode: shadow, when: 'mcp.tool == "watched"', deny: {}}
  - {id: planned, mode: shadow, when: 'mcp.method == "prompts/list"', allow: {}}
)";

std::string call(std::string_view tool) {
    return R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":")" +
           std::string{tool} + "\"}}";
}
constexpr std::string_view kPing = R"({"jsonrpc":"2.0","id":2,"method":"ping"})";

class McpBatch : public ::testing::Test {
protected:
    std::shared_ptr<const bundle::Bundle> loaded() {
        auto made = bundle::load({{"p.yaml", std::string{kBundle}}});
        EXPECT_TRUE(made.bundle) << bundle::to_text(made.issues);
        return made.bundle;
    }
    Request request(std::string body, std::string_view type = "application/json") {
        auto facts = std::make_shared<http::Facts>();
        facts->assign({.method = "POST",
                       .scheme = "http",
                       .authority = "mcp.internal",
                       .target = "/mcp",
                       .version = "1.1",
                       .fields = {{"Content-Type", type}}},
                      "mcp.internal", true);
        facts->body.state = http::Body::State::Whole;
        facts->body.data = std::move(body);
        return {.session = std::make_shared<SessionFacts>(SessionFacts{.protocol = "http"}),
                .stage = Stage::Http,
                .http = facts};
    }
    DecisionPtr decide(std::string body, std::string_view type = "application/json") {
        const Request asked = request(std::move(body), type);
        return SessionPolicy{loaded(), asked.session}.decide(asked);
    }
    Effect effect(std::initializer_list<std::string_view> messages) {
        std::string body = "[";
        for (const std::string_view message : messages) (body += message) += ',';
        body.back() = ']';
        return decide(body)->effect;
    }
};

TEST_F(McpBatch, EachOfItMustBeAllowedByItself) {
    EXPECT_EQ(effect({call("list"), kPing}), Effect::Allow);  // by two rules
    EXPECT_EQ(effect({call("list"), call("drop")}), Effect::Deny);
    EXPECT_EQ(effect({call("drop"), call("list"), kPing}), Effect::Deny);
    EXPECT_EQ(effect({kPing, call("write")}), Effect::Approve);
    EXPECT_EQ(effect({call("write"), call("drop")}), Effect::Deny);
    EXPECT_EQ(effect({kPing, R"({"jsonrpc":"2.0","method":"prompts/get"})"}), Effect::Deny);
    EXPECT_EQ(effect({kPing, "7"}), Effect::Deny);
    EXPECT_EQ(effect({kPing, R"({"jsonrpc":"2.0","method":"ping","Method":"tools/call"})"}),
              Effect::Deny);
}

TEST_F(McpBatch, MasksOfOneAreMasksOfAll) {
    EXPECT_TRUE(decide("[" + call("list") + "]")->masks.empty());
    EXPECT_FALSE(decide("[" + call("list") + "," + call("read") + "]")->masks.empty());
}

TEST_F(McpBatch, WhatIsDeniedInShadowHidesNothing) {
    EXPECT_EQ(effect({call("watched"), call("list")}), Effect::Allow);
    EXPECT_EQ(effect({call("watched"), call("drop")}), Effect::Deny);
    EXPECT_EQ(effect({call("watched"), call("write")}), Effect::Approve);
    EXPECT_EQ(decide("[" + call("watched") + "," + call("list") + "]")->shadow_effect,
              Effect::Deny);
}

TEST_F(McpBatch, WhatIsAllowedInShadowOnlyIsDenied) {
    constexpr std::string_view kPlanned = R"({"jsonrpc":"2.0","id":3,"method":"prompts/list"})";
    EXPECT_EQ(effect({kPlanned}), Effect::Deny);
    EXPECT_EQ(effect({kPing, kPlanned}), Effect::Deny);
    EXPECT_EQ(effect({kPlanned, kPing}), Effect::Deny);
}

TEST_F(McpBatch, IsNotToldInAnotherCharset) {
    EXPECT_EQ(decide(call("list"))->effect, Effect::Allow);
    EXPECT_EQ(decide(call("+AGQAcgBvAHA-"), "application/json; charset=utf-7")->effect,
              Effect::Deny);
    EXPECT_EQ(decide("[" + call("list") + "]", "application/json; charset=utf-7")->effect,
              Effect::Deny);
}

TEST_F(McpBatch, IsExplainedByTheMessageThatARuleSaysMostAbout) {
    const auto body = "[" + call("list") + "," + call("drop") + "," + std::string{kPing} + "]";
    const Explanation made = explain(loaded(), request(body));
    EXPECT_EQ(made.decision->rule, "no-drop");
    const auto rule = [&](std::string_view id) {
        return *std::ranges::find(made.rules, id, &ConsideredRule::id);
    };
    EXPECT_TRUE(rule("p/no-drop").matched);
    EXPECT_NE(rule("p/no-drop").note.find("tools/call drop"), std::string::npos);
    EXPECT_FALSE(rule("p/no-drop").trace.empty());
    EXPECT_TRUE(rule("p/pings").matched);
    EXPECT_NE(rule("p/pings").note.find("ping"), std::string::npos);
    EXPECT_FALSE(rule("p/ask").matched);
    for (const ConsideredRule& one : made.rules) EXPECT_FALSE(one.failed) << one.id;
}

TEST_F(McpBatch, WhatAnAgentCallsAToolDoesNotSpeakToTheOperatorsTerminal) {
    const Explanation made = explain(loaded(), request("[" + call("a\\u001b]0;x\\u0007") + "]"));
    const std::string text = to_text(made);
    EXPECT_NE(text.find("this is tools/call a"), std::string::npos) << text;
    EXPECT_EQ(text.find_first_of("\x1b\x07"), std::string::npos) << text;
}

}  // namespace
}  // namespace chaperone::policy

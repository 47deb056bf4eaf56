// SPDX-License-Identifier: Apache-2.0
// Rules about the tool calls of models' answers.
#include "policy/http/tool_call.h"

#include "tests/policy/http/support.h"

#include <gtest/gtest.h>

namespace chaperone::policy::http {
namespace {

class ToolCallRules : public RulesTest {
protected:
    static std::shared_ptr<Facts> facts(std::string_view path, std::string_view body) {
        auto made = std::make_shared<Facts>();
        made->assign({.method = "POST",
                      .scheme = "https",
                      .authority = "api.example.com",
                      .target = path,
                      .version = "2"},
                     "api.example.com", true);
        if (!body.empty()) made->body = {Body::State::Whole, std::string{body}};
        return made;
    }
    DecisionPtr ask(std::string_view path = "/v1/messages", std::string_view body = {}) {
        return policy_->decide({.stage = Stage::Http, .http = facts(path, body)});
    }
    DecisionPtr calls(std::string name, std::string_view arguments = {},
                      std::string_view body = {}) {
        return policy_->decide({.stage = Stage::Message,
                                .http = facts("/v1/messages", body),
                                .tool_call = std::make_shared<const ToolCall>(
                                    ToolCall{.name = std::move(name),
                                             .type = "tool_use",
                                             .arguments = call_arguments(arguments)})});
    }
};

TEST_F(ToolCallRules, DecideAboutEachCallAndNothingElse) {
    rules(R"(
  - {id: no, when: 'llm.tool_call.name == "drop"', deny: {}}
  - {id: only, when: '!(llm.tool_call.name in ["drop", "read", "sh"])', deny: {}}
  - {id: sh, when: 'llm.tool_call.name == "sh" && llm.tool_call.arguments.command.contains("rm ")', deny: {}}
  - {id: person, when: 'http.method == "POST"', approve: {by: ["group:dba"]}}
  - {id: yes, allow: {}}
)");
    EXPECT_EQ(ask("/v1/messages", "{}")->effect, Effect::Approve);
    EXPECT_TRUE(ask("/v1/messages", "{}")->tool_calls);
    EXPECT_FALSE(ask("/v1/models", "{}")->tool_calls);
    EXPECT_EQ(calls("drop")->rule, "no");
    EXPECT_EQ(calls("write")->rule, "only");
    EXPECT_EQ(calls("read")->effect, Effect::Allow);  // and nobody is asked again
    EXPECT_EQ(calls("sh", R"({"command": "ls"})")->effect, Effect::Allow);
    EXPECT_EQ(calls("sh", R"({"command": "rm x"})")->rule, "sh");
    // What cannot be evaluated is denied.
    for (const char* odd : {"", "{}", R"({"command": 1})", "rm x", R"({"command": "ls)",
                            R"({"command": "rm x", "command": "ls"})"})
        EXPECT_EQ(calls("sh", odd)->rule, "sh") << odd;
}

TEST_F(ToolCallRules, MayAskAPerson) {
    rules(R"(
  - {id: ask, when: 'llm.tool_call.arguments.where == "production"', approve: {by: ["group:dba"]}}
  - {id: no, when: 'llm.tool_call.name == "drop"', deny: {}}
  - {id: yes, allow: {}}
)");
    EXPECT_EQ(ask("/v1/messages", "{}")->effect, Effect::Allow) << "the question is not the call";
    EXPECT_TRUE(ask("/v1/messages", "{}")->tool_calls);
    const DecisionPtr held = calls("deploy", R"({"where": "production"})");
    EXPECT_EQ(held->effect, Effect::Approve);
    ASSERT_EQ(held->approvals.size(), 1U);
    EXPECT_EQ(held->approvals[0].by, std::vector<std::string>{"group:dba"});
    EXPECT_EQ(calls("deploy", R"({"where": "staging"})")->effect, Effect::Allow);
    EXPECT_EQ(calls("drop", R"({"where": "production"})")->effect, Effect::Deny);
    // What cannot be evaluated is asked about.
    EXPECT_EQ(calls("deploy", "{}")->effect, Effect::Approve);
}

TEST_F(ToolCallRules, OfRequestsCountForTheirCalls) {
    rules(R"(
  - {id: no, when: 'http.path == "/v1/messages" && llm.model == "big"', deny: {}}
  - {id: some, when: 'llm.api == "anthropic"', allow: {}}
)");
    EXPECT_FALSE(ask("/v1/messages", R"({"model": "small"})")->tool_calls);
    EXPECT_EQ(calls("x", "", R"({"model": "small"})")->effect, Effect::Allow);
    EXPECT_EQ(calls("x", "", R"({"model": "big"})")->effect, Effect::Deny);
}

TEST_F(ToolCallRules, HaveTheBodyReadThatTheyLookAt) {
    rules(R"(
  - {id: no, when: 'llm.model == "big" && llm.tool_call.name == "drop"', deny: {}}
  - {id: yes, allow: {}}
)");
    EXPECT_TRUE(ask()->needs_body);
    EXPECT_FALSE(ask("/v1/models")->needs_body);
    EXPECT_TRUE(ask("/v1/messages", R"({"model": "big"})")->tool_calls);
    EXPECT_FALSE(ask("/v1/messages", R"({"model": "small"})")->tool_calls);
    EXPECT_EQ(calls("drop", "", R"({"model": "big"})")->effect, Effect::Deny);
    EXPECT_EQ(calls("drop", "", R"({"model": "small"})")->effect, Effect::Allow);
}

TEST_F(ToolCallRules, NeedNoBodyWhereTheyLookAtNone) {
    rules(R"(
  - {id: no, when: 'llm.tool_call.name == "drop"', deny: {}}
  - {id: yes, allow: {}}
)");
    EXPECT_FALSE(ask()->needs_body);
    EXPECT_TRUE(ask()->tool_calls);
    for (const char* path : {"/v1/chat/completions", "/openai/deployments/d/chat/completions?v=1",
                             "/v1/responses/resp_1", "/v1/realtime", "/openai/responses",
                             "/v1/chat/completions/c", "/v1/messages/batches/b/results"})
        EXPECT_TRUE(ask(path)->tool_calls) << path;
    EXPECT_FALSE(ask("/v1/embeddings")->tool_calls);
}

}  // namespace
}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// Rules about gRPC calls and about messages of WebSockets.
#include "policy/http/message.h"

#include "tests/policy/http/support.h"

#include <gtest/gtest.h>

namespace chaperone::policy::http {
namespace {

class MessageRules : public RulesTest {
protected:
    static std::shared_ptr<Facts> facts(RequestHead head) {
        head.scheme = "https";
        head.authority = "api.example.com";
        head.version = "2";
        auto made = std::make_shared<Facts>();
        made->assign(head, "api.example.com", false);
        return made;
    }
    DecisionPtr call(std::string_view path, std::string_view type) {
        return policy_->decide(
            {.stage = Stage::Http,
             .http =
                 facts({.method = "POST", .target = path, .fields = {{"content-type", type}}})});
    }
    static std::shared_ptr<Facts> handshake(std::string_view path) {
        return facts({.method = "GET", .target = path, .protocol = "websocket"});
    }
    DecisionPtr open(std::string_view path) {
        return policy_->decide({.stage = Stage::Http, .http = handshake(path)});
    }
    Effect says(std::string text, bool up = true, bool is_text = true) {
        return policy_
            ->decide({.stage = Stage::Message,
                      .http = handshake("/chat"),
                      .message = std::make_shared<const Message>(
                          Message{.up = up, .text = is_text, .data = std::move(text)})})
            ->effect;
    }
};

TEST_F(MessageRules, GrpcCallsHaveNames) {
    rules(R"(
  - {id: no, when: 'grpc.service == "shop.v1.Orders" && grpc.method == "Drop"', deny: {}}
  - {id: other, when: 'grpc.method == ""', deny: {reason: "no call"}}
  - {id: yes, allow: {}}
)");
    EXPECT_EQ(call("/shop.v1.Orders/Drop", "application/grpc")->rule, "no");
    EXPECT_EQ(call("/shop.v1.Orders/Get", "application/grpc+proto")->effect, Effect::Allow);
    EXPECT_EQ(call("/shop.v1.Orders/Drop", "text/plain")->rule, "other");
}

TEST_F(MessageRules, DecideAboutEachMessageAndNothingElse) {
    rules(R"(
  - {id: no, when: 'ws.direction == "up" && ws.opcode == "text" && ws.json.kind == "delete"', deny: {}}
  - {id: small, when: 'ws.size > 100', deny: {}}
  - {id: person, when: 'http.method == "GET"', approve: {by: ["group:dba"]}}
  - {id: yes, allow: {}}
)");
    EXPECT_EQ(open("/chat")->effect, Effect::Approve);
    EXPECT_TRUE(open("/chat")->messages);
    EXPECT_FALSE(call("/chat", "text/plain")->messages);
    EXPECT_EQ(says(R"({"kind": "read"})"), Effect::Allow);  // and nobody is asked again
    EXPECT_EQ(says(R"({"kind": "delete"})"), Effect::Deny);
    EXPECT_EQ(says(R"({"kind": "delete"})", false), Effect::Allow);
    EXPECT_EQ(says("no json"), Effect::Deny);  // cannot be evaluated
    EXPECT_EQ(says("\xff", true, false), Effect::Allow);
    EXPECT_EQ(says(std::string(101, 'x'), false), Effect::Deny);
}

TEST_F(MessageRules, AreNotAskedWhereTheHandshakeSettlesThem) {
    rules(R"(
  - {id: no, when: 'http.path == "/chat" && ws.text.contains("secret")', deny: {}}
  - {id: yes, allow: {}}
)");
    EXPECT_TRUE(open("/chat")->messages);
    EXPECT_TRUE(open("/x/../chat")->messages);
    EXPECT_FALSE(open("/other")->messages);
}

}  // namespace
}  // namespace chaperone::policy::http

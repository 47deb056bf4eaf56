// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/held_request.h"

#include "policy/http/facts.h"
#include "userspace/base/steady.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::net {
namespace {

using std::chrono::minutes;

policy::SessionFacts session() {
    policy::SessionFacts facts;
    facts.id = "s1";
    facts.workload = "agent";
    facts.identity.subject = "agent:one";
    facts.resource = "orders";
    facts.protocol = "postgresql";
    facts.destination = {.address = "10.0.0.1", .port = 5432, .name = "staging.orders.internal"};
    facts.database = "app";
    facts.user = "deploy";
    facts.uid = 1000;
    return facts;
}

policy::Request deletion() {
    policy::Request request;
    request.stage = policy::Stage::Execute;
    request.statement = "DELETE FROM orders WHERE id = $1";
    request.parameters = {{.text = "7"}};
    return request;
}

policy::Decision decision(policy::ApprovalScope scope = policy::ApprovalScope::Statement) {
    policy::Decision held;
    held.effect = policy::Effect::Approve;
    held.approvals = {{.rule = "ask", .by = {"group:dba"}, .within = minutes{5}, .scope = scope}};
    return held;
}

struct Change {
    const char* what;
    std::function<void(policy::SessionFacts&, policy::Request&)> make;
};

TEST(HeldRequest, WhatDiffersInAnythingIsAnotherOne) {
    const Digest first = digest_of(session(), deletion(), 1);
    const std::vector<Change> changes{
        {"workload", [](auto& s, auto&) { s.workload = "other"; }},
        {"subject", [](auto& s, auto&) { s.identity.subject = "agent:two"; }},
        {"resource", [](auto& s, auto&) { s.resource = "other"; }},
        {"protocol", [](auto& s, auto&) { s.protocol = "mysql"; }},
        {"database", [](auto& s, auto&) { s.database = "prod"; }},
        {"user", [](auto& s, auto&) { s.user = "admin"; }},
        {"database and user, moved", [](auto& s, auto&) { s.database = "appd", s.user = "eploy"; }},
        {"name", [](auto& s, auto&) { s.destination.name = "prod.orders.internal"; }},
        {"no name", [](auto& s, auto&) { s.destination.name.clear(); }},
        {"port", [](auto& s, auto&) { s.destination.port = 5433; }},
        {"stage", [](auto&, auto& r) { r.stage = policy::Stage::Prepare; }},
        {"statement", [](auto&, auto& r) { r.statement = "DELETE FROM orders"; }},
        {"parameter", [](auto&, auto& r) { r.parameters[0].text = "8"; }},
        {"null", [](auto&, auto& r) { r.parameters[0] = {.null = true, .text = "7"}; }},
        {"another parameter", [](auto&, auto& r) { r.parameters.push_back({.text = "7"}); }},
    };
    for (const Change& change : changes) {
        policy::SessionFacts facts = session();
        policy::Request request = deletion();
        change.make(facts, request);
        EXPECT_NE(digest_of(facts, request, 1), first) << change.what;
    }
}

TEST(HeldRequest, ALongValueIsTheSameOnlyIfItsEndIs) {
    std::string begun(4096, 'a');
    const auto digest = [&](std::string_view whole) {
        policy::Request request = deletion();
        request.parameters = {{.truncated = true, .text = begun, .whole = whole}};
        return digest_of(session(), request, 1);
    };
    EXPECT_EQ(digest(begun + "b"), digest(begun + "b"));
    EXPECT_NE(digest(begun + "b"), digest(begun + "c"));
}

TEST(HeldRequest, SaysWhatIsCut) {
    policy::Request request = deletion();
    const std::string statement(256 * 1024 + 1, 'x');
    request.statement = statement;
    request.parameters = {{.truncated = true, .text = "be", .whole = "beginning"}};
    const auto held = held_of(session(), request, decision(), {});
    EXPECT_TRUE(held.statement.ends_with("xx… (262145 bytes)"));
    EXPECT_EQ(held.parameters, std::vector<std::string>{"be… (9 bytes)"});
}

// The name counts where it is known: its addresses may change from one connection to the next.
TEST(HeldRequest, IsTheSameFromAnotherProcessAndAtAnotherAddressOfTheName) {
    policy::SessionFacts facts = session();
    facts.id = "s2";
    facts.pid = 7;
    facts.destination.address = "10.0.0.2";
    EXPECT_EQ(digest_of(facts, deletion(), 1), digest_of(session(), deletion(), 1));
}

TEST(HeldRequest, WithoutANameTheAddressCounts) {
    policy::SessionFacts one = session(), other = session();
    one.destination.name.clear();
    other.destination = {.address = "10.0.0.2", .port = 5432};
    EXPECT_NE(digest_of(one, deletion(), 1), digest_of(other, deletion(), 1));
}

// A libc that waits asks the next resolver.
TEST(HeldRequest, AQuestionIsTheSameAtAnotherResolver) {
    policy::SessionFacts one = session(), other = session();
    one.destination = {.address = "10.0.0.53", .port = 53};
    other.destination = {.address = "10.0.1.53", .port = 53};
    policy::Request question;
    question.statement = "A orders.internal";
    question.dns = std::make_shared<policy::DnsFacts>();
    EXPECT_EQ(digest_of(one, question, 1), digest_of(other, question, 1));
}

TEST(HeldRequest, TellsAnApproverWhereItGoes) {
    const auto held =
        held_of(session(), deletion(), decision(), digest_of(session(), deletion(), 1));
    EXPECT_EQ(held.address, "10.0.0.1");
    EXPECT_EQ(held.port, 5432);
    EXPECT_EQ(held.name, "staging.orders.internal");
    EXPECT_EQ(held.database, "app");
    EXPECT_EQ(held.login, "deploy");
    EXPECT_EQ(held.statement, "DELETE FROM orders WHERE id = $1");
    EXPECT_EQ(held.parameters, std::vector<std::string>{"7"});
}

TEST(HeldRequest, TellsAnApproverTheFieldsThatCount) {
    auto http = std::make_shared<policy::http::Facts>();
    http->assign({.method = "PUT",
                  .scheme = "https",
                  .authority = "files.internal",
                  .target = "/report",
                  .fields = {{"x-amz-acl", "public-read"},
                             {"User-Agent", "curl"},
                             {"X-Api-Key", "opensesame"}}},
                 "", false);
    policy::Request put;
    put.stage = policy::Stage::Http;
    put.http = http;
    EXPECT_EQ(held_of(session(), put, decision(), {}).fields,
              (std::vector<std::string>{"x-amz-acl: public-read", "x-api-key: (hidden)"}));
}

// What comes behind the limit no grant for another one may cover.
TEST(HeldRequest, ABodyThatWasNotReadToItsEndIsEqualToNone) {
    auto http = std::make_shared<policy::http::Facts>();
    http->assign({.method = "POST", .scheme = "https", .authority = "a.internal", .target = "/"},
                 "", true);
    policy::Request upload;
    upload.stage = policy::Stage::Http;
    upload.http = http;
    http->body = {policy::http::Body::State::Whole, "beginning"};
    EXPECT_EQ(digest_of(session(), upload, 1), digest_of(session(), upload, 2));
    http->body.state = policy::http::Body::State::TooLarge;
    EXPECT_NE(digest_of(session(), upload, 1), digest_of(session(), upload, 2));
    EXPECT_EQ(held_of(session(), upload, decision(), {}).parameters,
              std::vector<std::string>{"beginning and more, which was not read"});
}

TEST(HeldRequest, TakesTheNarrowestScopeAndTheShortestTime) {
    policy::Decision several = decision(policy::ApprovalScope::Session);
    several.approvals.push_back({.rule = "too",
                                 .by = {"user:alice"},
                                 .within = minutes{1},
                                 .scope = policy::ApprovalScope::Window,
                                 .window = minutes{15}});
    const auto held = held_of(session(), deletion(), several, {});
    EXPECT_TRUE(std::holds_alternative<approval::SessionScope>(held.scope));
    EXPECT_EQ(held.within, minutes{1});
    EXPECT_EQ(held.requires_.size(), 2U);
}

// A resource may claim many servers; what was granted for one is not for the others.
TEST(HeldRequest, AWindowForOneServerIsNoneForAnother) {
    approval::ApprovalBook book;
    policy::Decision window = decision(policy::ApprovalScope::Window);
    window.approvals[0].window = minutes{15};
    const auto ask = [&](const std::string& name) {
        policy::SessionFacts facts = session();
        facts.destination.name = name;
        const Digest digest = digest_of(facts, deletion(), 1);
        return book
            .request(held_of(facts, deletion(), window, digest), steady_now(), [](const auto&) {})
            .value();
    };
    const approval::Approver dba{.name = "alice", .uid = 2000, .groups = {"dba"}};
    ASSERT_TRUE(book.grant(ask("staging.orders.internal").id, dba, {}, steady_now()));
    EXPECT_TRUE(ask("staging.orders.internal").covered);
    EXPECT_FALSE(ask("prod.orders.internal").covered);
}

}  // namespace
}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Tool calls of models' answers that wait for a person: what is behind them waits, too, and goes on
// or is replaced when the person has decided.
#include "tests/support/http2_fixture.h"
#include "tests/support/http_fixture.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/tool_call_filter.h"
#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

namespace chaperone::session::test {
namespace {

using namespace std::chrono_literals;
using std::string;
using std::string_view;

const string kText = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{}}\n\n";

string call_events(int index, string_view tool) {
    const string at = std::to_string(index);
    return "data: {\"type\":\"content_block_start\",\"index\":" + at +
           ",\"content_block\":{\"type\":\"tool_use\",\"id\":\"t" + at + "\",\"name\":\"" +
           string{tool} + "\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":" + at +
           "}\n\n";
}
const string kStream = kText + call_events(1, "ask") + ": ping\n\n" + kText +
                       call_events(2, "ask_again") + call_events(3, "read") + kText;
const string kDocument = R"({"content":[{"type":"tool_use","id":"t","name":"ask","input":{"a":1}},)"
                         R"({"type":"tool_use","id":"u","name":"ask_again","input":{}}]})";

// --- the filter

struct Filtered {
    explicit Filtered(string_view type, string_view coding = "") {
        static policy::http::Facts facts;
        facts.assign({.method = "POST",
                      .scheme = "https",
                      .authority = "a",
                      .target = "/v1/messages",
                      .version = "1.1"},
                     "a", true);
        filter = *make_tool_call_filter(facts, type, coding, [this](policy::http::ToolCall call) {
            asked.push_back(call.name + call.written);
            if (call.name.starts_with("ask")) return CallAnswer::waiting();
            return CallAnswer{std::nullopt};
        });
    }
    bool push(string_view text) { return filter->push(as_bytes(text), false, out).has_value(); }
    // As the machines do; `why`: what each person says.
    bool finish(const std::optional<Refusal>& why) {
        const auto decided = [&] {
            filter->decide(why);
            return push("");
        };
        while (filter->waits())
            if (!decided()) return false;
        filter->settle();
        while (filter->waits())
            if (!decided())
                return false;
            else
                filter->settle();
        return filter->push({}, true, out).has_value();
    }
    string text() const { return string{as_text(out)}; }

    Buffer out;
    Lines asked;
    std::unique_ptr<ToolCallFilter> filter;
};

class HeldCalls : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Pieces, HeldCalls, testing::Values(1, 3, 50, 200, SIZE_MAX));

void push_all(Filtered& to, string_view body, std::size_t piece) {
    for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
        ASSERT_TRUE(to.push(body.substr(0, piece)));
}

TEST_P(HeldCalls, AllBehindThemWaitsAndComesInOrder) {
    Filtered f{"text/event-stream"};
    push_all(f, kStream, GetParam());
    EXPECT_TRUE(f.filter->waits());
    EXPECT_EQ(f.asked, Lines{"ask"});
    EXPECT_EQ(f.text(), kText + ": ping\n\n") << "what keeps connections alive waits for nothing";
    f.filter->decide(std::nullopt);
    EXPECT_TRUE(f.push(""));
    EXPECT_EQ(f.asked, (Lines{"ask", "ask_again"}));
    EXPECT_EQ(f.text(), kText + ": ping\n\n" + call_events(1, "ask") + kText);
    EXPECT_TRUE(f.finish(std::nullopt));
    EXPECT_EQ(f.asked, (Lines{"ask", "ask_again", "read"}));
    EXPECT_EQ(f.text(), kText + ": ping\n\n" + call_events(1, "ask") + kText +
                            call_events(2, "ask_again") + call_events(3, "read") + kText);
    EXPECT_FALSE(f.filter->over());
}

TEST_P(HeldCalls, WhatIsRefusedEndsTheStream) {
    Filtered f{"text/event-stream"};
    push_all(f, kStream, GetParam());
    EXPECT_TRUE(f.finish(Refusal{.detail = "no"}));
    EXPECT_TRUE(f.text().starts_with(kText + ": ping\n\nevent: error\n")) << f.text();
    EXPECT_EQ(f.text().find("tool_use"), string::npos);
    EXPECT_TRUE(f.filter->over());
    EXPECT_EQ(f.asked, Lines{"ask"});
}

TEST_P(HeldCalls, DocumentsWaitWhole) {
    Filtered f{"application/json"};
    push_all(f, kDocument, GetParam());
    EXPECT_FALSE(f.filter->waits());
    f.filter->settle();
    EXPECT_TRUE(f.filter->waits());
    EXPECT_EQ(f.asked, Lines{R"(ask{"a":1})"});
    EXPECT_EQ(f.text(), "");
    EXPECT_TRUE(f.finish(std::nullopt));
    EXPECT_EQ(f.text(), kDocument);
    EXPECT_EQ(f.asked.size(), 2U);
}

TEST_P(HeldCalls, OfADocumentThatIsRefusedNothingPasses) {
    Filtered f{"application/json"};
    push_all(f, kDocument, GetParam());
    EXPECT_FALSE(f.finish(Refusal{.detail = "no"}));
    EXPECT_EQ(f.text(), "");
    ASSERT_TRUE(f.filter->refusal());
    EXPECT_EQ(f.filter->refusal()->detail, "no");
}

TEST(HeldCallsOnce, WhoDoesNotWaitGetsNothing) {
    for (const char* type : {"text/event-stream", "application/json"}) {
        Filtered f{type};
        EXPECT_TRUE(f.push(string_view{type}.starts_with("text") ? kStream : kDocument));
        EXPECT_FALSE(f.filter->push({}, true, f.out));
        EXPECT_EQ(f.text().find("tool_use"), string::npos);
    }
}

TEST(HeldCallsOnce, WaitBehindCodings) {
    Buffer packed;
    const auto encoder = wire::make_encoder(wire::Coding::Gzip);
    encoder->push(as_bytes(kStream), [&](Bytes piece) { append(packed, piece); });
    encoder->finish([&](Bytes piece) { append(packed, piece); });
    Filtered f{"text/event-stream", "gzip"};
    EXPECT_TRUE(f.push(as_text(packed)));
    EXPECT_TRUE(f.filter->waits());
    const std::size_t before = f.out.size();
    f.filter->decide(std::nullopt);
    EXPECT_TRUE(f.push(""));
    EXPECT_GT(f.out.size(), before) << "it comes at once";
    EXPECT_TRUE(f.finish(std::nullopt));
    string plain;
    const auto decoder = wire::make_decoder(wire::Coding::Gzip);
    EXPECT_TRUE(decoder->push(f.out, [&](Bytes piece) { plain += as_text(piece); }));
    EXPECT_TRUE(decoder->finish());
    EXPECT_TRUE(plain.ends_with(call_events(3, "read") + kText)) << plain;
}

TEST(HeldCallsOnce, WhatIsKeptIsBounded) {
    Filtered f{"text/event-stream"};
    EXPECT_TRUE(f.push(call_events(1, "ask")));
    const string large = "data: {\"x\":\"" + string(1 << 20, 'x') + "\"}\n\n";
    for (int i = 0; i != 10 && !f.filter->over(); ++i) EXPECT_TRUE(f.push(large));
    EXPECT_TRUE(f.filter->over());
    EXPECT_FALSE(f.filter->waits());
    EXPECT_EQ(f.text().find("tool_use"), string::npos);
}

// --- in sessions

policy::DecisionPtr watching(policy::Effect effect) {
    auto made = std::make_shared<policy::Decision>();
    made->effect = effect;
    made->rule = "r";
    made->reason = "not without a person";
    made->tool_calls = true;
    return made;
}

std::optional<Answer> at_gate(const policy::Request& request) {
    if (request.tool_call != nullptr) return std::nullopt;
    return Answer{
        .verdict = Verdict::Allowed, .decision = watching(policy::Effect::Allow), .request = 1};
}

Answer said(Verdict verdict, Tag tag) {
    return {.verdict = verdict,
            .decision = watching(policy::Effect::Approve),
            .request = 2,
            .approval = "A1",
            .reason = "bad idea",
            .tag = tag};
}

class Http1Held : public testing::TestWithParam<std::size_t> {
protected:
    Http1Held() {
        f.script.gate(at_gate);
        f.script.probed = watching(policy::Effect::Approve);
        f.script
            .client_sends("POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            .forget();
    }
    static HttpConfig config() {
        HttpConfig made = http_config();
        made.reshape = shape_for_agents;
        return made;
    }
    // The call is asked about, and nothing of it has come.
    Tag answers(string_view type, string_view body, bool length = true) {
        f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Type: " + string{type} +
                              (length ? "\r\nContent-Length: " + std::to_string(body.size()) : "") +
                              "\r\n\r\n" + string{body});
        EXPECT_EQ(f.script.to_client.find("tool_use"), string::npos) << f.script.to_client;
        if (f.script.asked.size() != 1) {
            ADD_FAILURE() << f.script.asked.size();
            return 0;
        }
        EXPECT_EQ(f.script.asked.front().statement, "tool call ask");
        return f.script.asked.front().tag;
    }
    bool tells(string_view what) const { return f.script.to_client.contains(what); }

    const string one = R"({"content":[{"type":"tool_use","id":"t","name":"ask","input":{}}]})";
    HttpFixture f{config(), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1Held, testing::Values(1, 7, SIZE_MAX));

TEST_P(Http1Held, AGrantedOnePassesAndTheConnectionLivesOn) {
    const Tag tag = answers("application/json", one);
    EXPECT_EQ(f.script.to_client, "");
    EXPECT_FALSE(f.machine->wants(Side::Server));
    f.script.held("A1", {}, tag).decided(said(Verdict::Allowed, tag));
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 200 OK\r\n")) << f.script.to_client;
    EXPECT_TRUE(tells(one) && f.script.to_client.ends_with("\r\n0\r\n\r\n"));
    EXPECT_FALSE(f.script.ended);
    ASSERT_EQ(f.script.outcomes.size(), 2U);
    EXPECT_TRUE(f.script.outcomes[0].ok && f.script.outcomes[1].ok);
    f.script.forget().client_sends("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(f.script.to_server.empty());
}

TEST_P(Http1Held, ARefusedOneIsTheVendorsError) {
    const Tag tag = answers("application/json", one);
    f.script.held("A1", {}, tag).decided(said(Verdict::Refused, tag));
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 403 ")) << f.script.to_client;
    EXPECT_TRUE(tells(R"({"type":"error","error":{"message":"chaperone: )") && tells("bad idea"));
    EXPECT_FALSE(f.script.ended);
}

TEST_P(Http1Held, AStreamGoesOnWhereItWaited) {
    const Tag tag = answers("text/event-stream", kText + call_events(1, "ask") + kText);
    EXPECT_TRUE(tells(kText)) << "what came before has come";
    f.script.held("A1", {}, tag).decided(said(Verdict::Allowed, tag));
    EXPECT_TRUE(tells("\"name\":\"ask\"") && f.script.to_client.ends_with("\r\n0\r\n\r\n"))
        << f.script.to_client;
    EXPECT_FALSE(f.script.ended);
}

TEST_P(Http1Held, ARefusedOneEndsItsStream) {
    const Tag tag = answers("text/event-stream", kText + call_events(1, "ask") + kText);
    f.script.held("A1", {}, tag).decided(said(Verdict::Refused, tag));
    EXPECT_TRUE(tells("event: error\n") && tells("bad idea"));
    EXPECT_FALSE(tells("tool_use"));
    EXPECT_TRUE(f.script.to_client.ends_with("\r\n0\r\n\r\n"));
}

TEST_P(Http1Held, WhereNobodyDecidesTheClientComesAgain) {
    const Tag tag = answers("application/json", one);
    f.script.held("A1", {}, tag);
    f.machine->on_tick(Time{} + 10min, f.script);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 403 ")) << f.script.to_client;
    EXPECT_TRUE(tells("Retry-After: ") && tells("waiting for approval A1"));
    f.script.does("leave " + std::to_string(tag));
}

TEST_P(Http1Held, AStreamThatWaitsSaysSo) {
    constexpr string_view kSign = ": chaperone waits for approval A1\n\n";
    const Tag tag = answers("text/event-stream", kText + call_events(1, "ask") + kText);
    f.script.held("A1", {}, tag).forget();
    const auto at = [&](std::chrono::seconds now) {
        f.script.forget();
        f.machine->on_tick(Time{} + now, f.script);
        return tells(kSign);
    };
    EXPECT_TRUE(at(1s));
    EXPECT_FALSE(at(2s));
    EXPECT_FALSE(at(5s));
    EXPECT_TRUE(at(6s));
    f.script.forget().decided(said(Verdict::Allowed, tag));
    EXPECT_TRUE(tells("\"name\":\"ask\"") && f.script.to_client.ends_with("\r\n0\r\n\r\n"))
        << f.script.to_client;
    EXPECT_FALSE(tells(kSign));
}

TEST_P(Http1Held, ADocumentThatWaitsSaysNothing) {
    const Tag tag = answers("application/json", one);
    f.script.held("A1", {}, tag).forget();
    f.machine->on_tick(Time{} + 6s, f.script);
    EXPECT_EQ(f.script.to_client, "");
}

TEST_P(Http1Held, WhoWouldRatherComeAgainIsToldAtOnce) {
    f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .client_sends(
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nPrefer: respond-async\r\n"
            "Content-Length: 2\r\n\r\n{}")
        .forget();
    const Tag tag = answers("application/json", one);
    f.script.held("A1", {}, tag);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 202 ")) << f.script.to_client;
}

TEST_P(Http1Held, AClientThatLeavesWithdrawsIt) {
    const Tag tag = answers("text/event-stream", kText + call_events(1, "ask") + kText);
    f.script.held("A1", {}, tag).closed(Side::Client);
    f.script.does("withdraw " + std::to_string(tag));
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1Held, TheEndOfTheServerLosesNothing) {
    const Tag tag = answers("text/event-stream", kText + call_events(1, "ask") + kText, false);
    f.script.held("A1", {}, tag).closed(Side::Server);
    EXPECT_FALSE(f.script.ended);
    f.script.decided(said(Verdict::Allowed, tag));
    EXPECT_TRUE(tells("\"name\":\"ask\"")) << f.script.to_client;
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1Held, ADrainSendsThemAway) {
    const Tag tag = answers("application/json", one);
    f.script.held("A1", {}, tag).drained("stopping");
    EXPECT_TRUE(tells("waiting for approval A1")) << f.script.to_client;
    EXPECT_TRUE(f.script.ended);
}

class Http2Held : public testing::TestWithParam<std::size_t>, protected Http2Fixture {
protected:
    Http2Held() : Http2Fixture(GetParam()) {
        gate = at_gate;
        probed = watching(policy::Effect::Approve);
        id = post("/v1/messages", "{}");
        server.took();
        asked.clear();
    }
    void answers(string_view type, string_view body, bool end = true) {
        at_server->respond(1, {{":status", "200"}, {"content-type", string{type}}}, false);
        talk();
        at_server->data(1, as_bytes(body));
        if (end) at_server->finish(1);
        talk();
        EXPECT_EQ(agent.bodies[id].find("tool_use"), string::npos);
        EXPECT_EQ(asked, Lines{"tool call ask"});
        machine->on_held(id, "A1", {}, *this);
        talk();
    }
    void says(Verdict verdict) {
        machine->on_decided(said(verdict, id), *this);
        talk();
    }
    StreamId id{};
    const string one = R"({"content":[{"type":"tool_use","name":"ask","input":{}}]})";
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http2Held, testing::Values(1, 7, SIZE_MAX));

TEST_P(Http2Held, AGrantedOnePasses) {
    answers("application/json", one);
    EXPECT_TRUE(agent.took().empty());
    get("/other");
    EXPECT_FALSE(server.took().empty()) << "other streams go on";
    says(Verdict::Allowed);
    EXPECT_EQ(agent.bodies[id], one);
    EXPECT_TRUE(agent.took()[0].starts_with("1 response :status=200 "));
}

TEST_P(Http2Held, ARefusedOneIsARefusal) {
    answers("application/json", one);
    says(Verdict::Refused);
    EXPECT_TRUE(agent.took()[0].starts_with("1 response :status=403 "));
    EXPECT_TRUE(agent.bodies[id].contains("bad idea")) << agent.bodies[id];
}

TEST_P(Http2Held, AStreamGoesOnWhereItWaited) {
    const string body = kText + call_events(1, "ask") + kText;
    answers("text/event-stream", body, false);
    EXPECT_EQ(agent.bodies[id], kText);
    at_server->data(1, as_bytes(kText));
    at_server->finish(1);
    talk();
    EXPECT_EQ(agent.bodies[id], kText);
    says(Verdict::Allowed);
    EXPECT_EQ(agent.bodies[id], body + kText);
    EXPECT_EQ(agent.took().back(), "1 closed NO_ERROR");
}

TEST_P(Http2Held, ARefusedOneEndsItsStream) {
    answers("text/event-stream", kText + call_events(1, "ask") + kText, false);
    says(Verdict::Refused);
    EXPECT_TRUE(agent.bodies[id].starts_with(kText + "event: error\n")) << agent.bodies[id];
    EXPECT_EQ(agent.took().back(), "1 closed NO_ERROR");
    EXPECT_EQ(server.took(), Lines{"1 closed CANCEL"});
}

TEST_P(Http2Held, WhereNobodyDecidesTheClientComesAgain) {
    answers("application/json", one);
    tick(10min);
    EXPECT_TRUE(agent.bodies[id].contains("waiting for approval A1")) << agent.bodies[id];
    EXPECT_EQ(events, Lines{"leave 1"});
}

TEST_P(Http2Held, AStreamThatWaitsSaysSo) {
    const string sign = ": chaperone waits for approval A1\n\n";
    const string body = kText + call_events(1, "ask") + kText;
    answers("text/event-stream", body);
    tick(1s);
    EXPECT_EQ(agent.bodies[id], kText + sign);
    tick(2s);
    EXPECT_EQ(agent.bodies[id], kText + sign);
    says(Verdict::Allowed);
    EXPECT_EQ(agent.bodies[id], kText + sign + call_events(1, "ask") + kText);
    EXPECT_EQ(agent.took().back(), "1 closed NO_ERROR");
}

TEST_P(Http2Held, AResetWithdrawsIt) {
    answers("text/event-stream", kText + call_events(1, "ask"), false);
    at_agent->reset(id, wire::http2::Code::Cancel);
    talk();
    EXPECT_EQ(events, Lines{"withdraw 1"});
}

TEST_P(Http2Held, TheEndOfTheServerLosesNothing) {
    answers("application/json", one);
    machine->on_closed(Side::Server, *this);
    talk();
    says(Verdict::Allowed);
    EXPECT_EQ(agent.bodies[id], one);
}

}  // namespace
}  // namespace chaperone::session::test

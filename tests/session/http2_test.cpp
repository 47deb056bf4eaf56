// SPDX-License-Identifier: Apache-2.0
// An agent and a server that speak HTTP/2, and the machine between them, at any cut.
#include "tests/support/http2_fixture.h"
#include "tests/support/http_fixture.h"

namespace chaperone::session::test {
namespace {

using wire::http2::Code;
using wire::http2::Fields;

class Http2Session : public testing::TestWithParam<std::size_t>, protected Http2Fixture {
protected:
    Http2Session() : Http2Fixture(GetParam()) {}
};

TEST_P(Http2Session, AnAllowedRequestAndItsAnswerPass) {
    const auto id = get("/a?b=c", {{"cookie", "x=1"}, {"cookie", "y=2"}, {"te", "trailers"}});
    EXPECT_EQ(asked, Lines{"GET https://a.test/a?b=c"});
    EXPECT_EQ(server.took(),
              (Lines{"1 request :method=GET :scheme=https :authority=a.test :path=/a?b=c "
                     "cookie=x=1; y=2 te=trailers end"}));
    at_server->informational(1, {{":status", "103"}, {"link", "</x>"}});
    at_server->respond(1, {{":status", "200"}, {"content-length", "5"}}, false);
    at_server->data(1, as_bytes("hello"));
    at_server->finish(1, {{"x-checksum", "9"}});
    talk();
    EXPECT_EQ(agent.took(), (Lines{"1 informational :status=103 link=</x>",
                                   "1 response :status=200 content-length=5",
                                   "1 trailers x-checksum=9 end", "1 ended", "1 closed NO_ERROR"}));
    EXPECT_EQ(agent.bodies[id], "hello");
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_TRUE(outcomes[0].ok);
    EXPECT_EQ(outcomes[0].bytes_down, 5U);
}

TEST_P(Http2Session, ARefusedRequestNeverGoesUpAndTheConnectionLivesOn) {
    gate = [](const policy::Request& request) {
        return answer(request.statement.find("secret") == std::string_view::npos ? Verdict::Allowed
                                                                                 : Verdict::Denied);
    };
    const auto id = post("/secret", std::string(100'000, 'x'));
    EXPECT_EQ(server.took(), Lines{});
    const auto got = agent.took();
    ASSERT_FALSE(got.empty());
    EXPECT_TRUE(got[0].starts_with("1 response :status=403 content-type=application/problem+json"))
        << got[0];
    EXPECT_NE(got[0].find("proxy-status=chaperone"), std::string::npos) << got[0];
    EXPECT_NE(agent.bodies[id].find("no, never"), std::string::npos) << agent.bodies[id];
    EXPECT_EQ(got.back(), "1 closed NO_ERROR");  // its body was drained, nothing was reset
    get("/public");
    EXPECT_EQ(server.took().size(), 1U);
}

TEST_P(Http2Session, HeadIsRefusedWithoutABody) {
    gate = [](const policy::Request&) { return answer(Verdict::Denied); };
    request({{":method", "HEAD"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}});
    EXPECT_TRUE(agent.took()[0].ends_with(" end"));
    EXPECT_EQ(agent.bodies[1], "");
}

TEST_P(Http2Session, AHeldStreamStallsNoOtherAndItsBodyWaits) {
    gate = [](const policy::Request& request) -> std::optional<Answer> {
        if (request.statement.find("held") == std::string_view::npos)
            return answer(Verdict::Allowed);
        return std::nullopt;
    };
    const auto held = post("/held", std::string(200'000, 'h'));
    machine->on_held(1, "A1", now + std::chrono::minutes{5}, *this);
    talk();
    const auto other = post("/other", "quick");
    EXPECT_EQ(server.bodies[1], "quick");
    at_server->respond(1, {{":status", "204"}}, true);
    talk();
    EXPECT_EQ(agent.took(), (Lines{"3 response :status=204 end", "3 ended", "3 closed NO_ERROR"}));
    server.took();
    decided(held, Verdict::Allowed);
    EXPECT_EQ(server.bodies[3].size(), 200'000U);
    EXPECT_EQ(server.took().front().substr(0, 22), "3 request :method=POST");
    (void)other;
}

TEST_P(Http2Session, AResetWithdrawsWhatIsHeldAndCancelsWhatRuns) {
    gate = [](const policy::Request&) { return std::nullopt; };
    const auto held = get("/held");
    machine->on_held(1, "A1", now + std::chrono::minutes{5}, *this);
    at_agent->reset(held, Code::Cancel);
    talk();
    EXPECT_EQ(events, Lines{"withdraw 1"});
    EXPECT_EQ(server.took(), Lines{});
    gate = [](const policy::Request&) { return answer(Verdict::Allowed); };
    const auto running = get("/running");
    server.took();
    at_agent->reset(running, Code::Cancel);
    talk();
    EXPECT_EQ(server.took(), Lines{"1 closed CANCEL"});
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_FALSE(outcomes[0].ok);
}

TEST_P(Http2Session, AHoldThatLastsTooLongIsToldToComeAgain) {
    gate = [](const policy::Request&) { return std::nullopt; };
    get("/held");
    machine->on_held(1, "A1", now + std::chrono::minutes{5}, *this);
    tick(std::chrono::seconds{29});
    EXPECT_EQ(agent.took(), Lines{});
    tick(std::chrono::seconds{2});
    const auto got = agent.took();
    ASSERT_FALSE(got.empty());
    EXPECT_TRUE(got[0].starts_with("1 response :status=403")) << got[0];
    EXPECT_NE(got[0].find("retry-after="), std::string::npos) << got[0];
    EXPECT_EQ(events, Lines{"leave 1"});
}

TEST_P(Http2Session, PolicySeesABodyBeforeItGoesUp) {
    gate = [](const policy::Request& request) {
        if (request.http->body.state == policy::http::Body::State::NotSeen)
            return answer(Verdict::NeedsBody);
        return answer(request.http->body.data == "good" ? Verdict::Allowed : Verdict::Denied);
    };
    post("/a", "good", {{"expect", "100-continue"}});
    EXPECT_EQ(server.bodies[1], "good");
    post("/b", "bad");
    EXPECT_EQ(server.took().size(), 1U);  // the first
    const auto got = agent.took();
    EXPECT_EQ(got[0], "1 informational :status=100");
    EXPECT_TRUE(got[1].starts_with("3 response :status=403")) << got[1];
}

TEST_P(Http2Session, ABodyTooLongForPolicyIsRefusedOrGoesWhole) {
    gate = [](const policy::Request& request) {
        using State = policy::http::Body::State;
        if (request.http->body.state == State::NotSeen) return answer(Verdict::NeedsBody);
        const bool forbidden = request.statement.find("no") != std::string_view::npos;
        return answer(forbidden ? Verdict::Denied : Verdict::Allowed);
    };
    const std::string body = std::string(1'500'000, 'b') + "end";
    post("/yes", body);
    EXPECT_EQ(server.bodies[1], body);
    post("/no", body);
    EXPECT_TRUE(agent.took()[0].starts_with("3 response :status=413"));
}

TEST_P(Http2Session, FlowControlIsCarriedThrough) {
    server.take = false;
    const std::string body(2'000'000, 'u');
    post("/up", body);
    EXPECT_EQ(server.bodies[1].size(), 65'535U);  // the server's own window
    EXPECT_LE(memory_up(), 700'000U);
    server.take = true;
    at_server->taken(1, 65'535);
    talk();
    EXPECT_EQ(server.bodies[1], body);
    agent.take = false;
    at_server->respond(1, {{":status", "200"}}, false);
    at_server->data(1, as_bytes(body));
    at_server->finish(1);
    talk();
    EXPECT_EQ(agent.bodies[1].size(), 65'535U);
    EXPECT_GE(at_server->queued(1), 1'300'000U);  // it waits where it came from
    agent.take = true;
    at_agent->taken(1, 65'535);
    talk();
    EXPECT_EQ(agent.bodies[1], body);
    EXPECT_EQ(agent.took().back(), "1 closed NO_ERROR");
}

TEST_P(Http2Session, AnAnswerBeforeTheRequestEndedEndsIt) {
    const auto id = *at_agent->request(
        {{":method", "POST"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}},
        false);
    talk();
    at_server->respond(1, {{":status", "429"}}, true);
    talk();
    at_server->reset(1, Code::NoError);
    talk();
    EXPECT_EQ(agent.took(), (Lines{"1 response :status=429 end", "1 ended"}));
    at_agent->data(id, as_bytes("too late"));
    at_agent->finish(id);
    talk();
    EXPECT_EQ(agent.took(), Lines{"1 closed NO_ERROR"});
}

TEST_P(Http2Session, ResetsOfTheServerKeepTheirCode) {
    get("/");
    get("/");
    at_server->reset(1, Code::RefusedStream);
    at_server->respond(3, {{":status", "200"}}, false);
    talk();
    at_server->reset(3, Code::InternalError);
    talk();
    EXPECT_EQ(agent.took(), (Lines{"1 closed REFUSED_STREAM", "3 response :status=200",
                                   "3 closed INTERNAL_ERROR"}));
}

TEST_P(Http2Session, ALostServerIsA502OrAResetAndTheAgentIsToldToLeave) {
    get("/waiting");
    get("/running");
    at_server->respond(3, {{":status", "200"}}, false);
    gate = [](const policy::Request&) { return std::nullopt; };
    get("/held");
    talk();
    machine->on_closed(Side::Server, *this);
    talk();
    auto got = agent.took();
    std::ranges::sort(got);
    EXPECT_EQ(std::count(got.begin(), got.end(), "3 closed INTERNAL_ERROR"), 1);
    EXPECT_EQ(std::count(got.begin(), got.end(), "5 closed REFUSED_STREAM"), 1);
    EXPECT_TRUE(std::ranges::any_of(got, [](const std::string& line) {
        return line.starts_with("1 response :status=502") &&
               line.find("error=connection_terminated") != std::string::npos;
    }));
    EXPECT_EQ(std::count(got.begin(), got.end(), "goaway 5 NO_ERROR"), 1);
    EXPECT_TRUE(ended);
}

// Whom a GOAWAY alone sends away asks again, seven times in a minute where it is Go's client.
TEST(Http2Alone, AServerThatDoesNotSpeakItIsA502) {
    using namespace std::literals;
    const std::string request =
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
        "\0\0\6\1\5\0\0\0\1\x82\x87\x84\x41\1a"s;
    for (const std::string& said : {"HTTP/1.1 400 Bad Request\r\n\r\n"s, ""s}) {
        HttpConfig config = http_config();
        config.scheme = "https";
        const auto machine = make_http2_machine(std::move(config));
        SessionScript script{*machine};
        script.gate([](const policy::Request&) { return Answer{.verdict = Verdict::Denied}; });
        script.client_sends(request).server_sends(said).closed(Side::Server);
        EXPECT_NE(script.to_client.find("the server failed: it "), std::string::npos) << said;
        EXPECT_FALSE(script.ended) << "the next one is told, too";
        script.server_sends("more").closed(Side::Client);
        EXPECT_TRUE(script.ended);
    }
}

TEST_P(Http2Session, AServerThatGoesAwayFinishesWhatItHas) {
    get("/one");
    at_server->go_away(Code::NoError);
    talk();
    EXPECT_EQ(agent.took(), Lines{"goaway 1 NO_ERROR"});
    EXPECT_FALSE(ended);
    at_server->respond(1, {{":status", "200"}}, true);
    talk();
    EXPECT_EQ(agent.took(), (Lines{"1 response :status=200 end", "1 ended", "1 closed NO_ERROR"}));
    EXPECT_TRUE(ended);
}

// RFC 9113, 6.8: the notice, what was on its way meanwhile, the last word, and what runs ends.
TEST_P(Http2Session, ADrainLetsRunningStreamsEndAndTakesThoseOnTheirWay) {
    const auto running = get("/running");
    machine->on_drain("shutting down", *this);
    const auto late = get("/on-its-way");  // sent before the notice is read
    EXPECT_EQ(agent.took(), Lines{"goaway 2147483647 NO_ERROR"});
    EXPECT_EQ(server.took().size(), 2U);
    tick(std::chrono::seconds{2});
    EXPECT_EQ(agent.took(), Lines{"goaway 3 NO_ERROR"});
    for (const StreamId id : {1, 3}) {
        EXPECT_FALSE(ended);
        at_server->respond(id, {{":status", "200"}}, false);
        at_server->data(id, as_bytes("the end"));
        at_server->finish(id);
        talk();
    }
    EXPECT_EQ(agent.bodies[running], "the end");
    EXPECT_EQ(agent.bodies[late], "the end");
    EXPECT_TRUE(ended);
}

TEST_P(Http2Session, ADrainSendsHeldStreamsAwayAndEndsWhenNoneIsLeft) {
    gate = [](const policy::Request&) { return std::nullopt; };
    get("/held");
    machine->on_held(1, "A1", now + std::chrono::minutes{5}, *this);
    machine->on_drain("shutting down", *this);
    talk();
    EXPECT_EQ(events, Lines{"leave 1"});
    EXPECT_TRUE(std::ranges::any_of(agent.took(), [](const std::string& line) {
        return line.starts_with("1 response :status=403");
    }));
    EXPECT_FALSE(ended);
    tick(std::chrono::seconds{2});
    EXPECT_TRUE(ended);
}

// What it sends to a socket that is closed would reset the connection, and our last words with it.
TEST_P(Http2Session, AnAgentIsLetCloseBehindTheLastWords) {
    get("/one");
    at_server->respond(1, {{":status", "204"}}, true);
    talk();
    at_agent->go_away(Code::NoError);
    talk();
    EXPECT_TRUE(ended);
    EXPECT_FALSE(over);
    agent.took();
    const auto more = as_bytes("whatever it says");
    EXPECT_EQ(machine->on_received(Side::Client, more, *this), more.size());
    EXPECT_EQ(machine->on_received(Side::Server, more, *this), more.size());
    machine->on_closed(Side::Server, *this);
    EXPECT_FALSE(over);
    EXPECT_EQ(agent.took(), Lines{});
    machine->on_closed(Side::Client, *this);
    EXPECT_TRUE(over);
}

TEST_P(Http2Session, AnAgentThatBreaksTheProtocolReadsWhyAndIsNotWaitedForLong) {
    get("/one");
    const std::array<std::byte, 9> settings_with_ack_and_payload{
        std::byte{0}, std::byte{0}, std::byte{8}, std::byte{4}, std::byte{1}};
    machine->on_received(Side::Client, settings_with_ack_and_payload, *this);
    machine->on_received(Side::Client, as_bytes("12345678"), *this);
    talk();
    ASSERT_TRUE(ended);
    EXPECT_EQ(agent.took(), Lines{"goaway 1 FRAME_SIZE_ERROR"});
    EXPECT_FALSE(over);
    machine->on_tick(now += std::chrono::seconds{1}, *this);
    EXPECT_FALSE(over);
    machine->on_tick(now += std::chrono::seconds{1}, *this);
    EXPECT_TRUE(over);
}

TEST_P(Http2Session, AClosedAgentCancelsAll) {
    get("/one");
    server.took();
    machine->on_closed(Side::Client, *this);
    talk();
    EXPECT_TRUE(ended);
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_FALSE(outcomes[0].ok);
}

TEST_P(Http2Session, WhatNoServerMayBeShownIsAnsweredHere) {
    const std::pair<Fields, std::string> table[] = {
        {{{":method", "CONNECT"}, {":authority", "a.test:443"}}, "405"},
        {{{":method", "GET"},
          {":scheme", "https"},
          {":authority", "a.test"},
          {":path", "/"},
          {"host", "b.test"}},
         "400"},
        {{{":method", "GET"},
          {":scheme", "https"},
          {":authority", "a.test"},
          {":path", "/"},
          {"big", std::string(70'000, 'x')}},
         "431"},
        {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}},
         "400"},
        {{{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/a#b"}},
         "400"},
        {{{":method", "GET"}, {":scheme", "https"}, {":authority", "u:p@a.test"}, {":path", "/"}},
         "400"},
    };
    int id = 1;
    for (const auto& [fields, status] : table) {
        request(fields);
        const auto got = agent.took();
        ASSERT_FALSE(got.empty()) << status;
        EXPECT_TRUE(got[0].starts_with(std::to_string(id) + " response :status=" + status))
            << got[0];
        id += 2;
    }
    EXPECT_EQ(server.took(), Lines{});
}

TEST_P(Http2Session, GrpcIsRefusedInItsOwnWords) {
    gate = [](const policy::Request&) { return answer(Verdict::Denied); };
    post("/shop.Orders/Drop", "", {{"content-type", "application/grpc"}, {"te", "trailers"}});
    const auto got = agent.took();
    ASSERT_FALSE(got.empty());
    EXPECT_TRUE(got[0].starts_with("1 response :status=200")) << got[0];
    EXPECT_NE(got[0].find("content-type=application/grpc"), std::string::npos);
    EXPECT_NE(got[0].find("grpc-status=7 grpc-message=chaperone: no, never"), std::string::npos)
        << got[0];
    EXPECT_TRUE(got[0].ends_with(" end"));
}

TEST_P(Http2Session, AWebSocketPassesAndEnds) {
    const auto id = connect_websocket({{"sec-websocket-extensions", "x-odd, permessage-deflate"}});
    EXPECT_NE(server.took().front().find("sec-websocket-extensions=permessage-deflate"),
              std::string::npos);
    at_server->respond(1, {{":status", "200"}}, false);
    talk();
    EXPECT_EQ(agent.took(), Lines{"1 response :status=200"});
    at_agent->data(id, as_bytes("\x81\x85\x01\x02\x03\x04Iffhn"));
    at_server->data(1, as_bytes("\x81\x02hi"));
    talk();
    EXPECT_EQ(server.bodies[1], "\x81\x85\x01\x02\x03\x04Iffhn");
    EXPECT_EQ(agent.bodies[id], "\x81\x02hi");
    at_agent->finish(id);
    talk();
    at_server->finish(1);
    talk();
    EXPECT_EQ(agent.took(), (Lines{"1 ended", "1 closed NO_ERROR"}));
}

TEST_P(Http2Session, ARefusedMessageClosesItsWebSocketAlone) {
    gate = [](const policy::Request& request) {
        auto given = answer(Verdict::Allowed);
        if (request.stage == policy::Stage::Http) {
            auto decision = std::make_shared<policy::Decision>(*given->decision);
            decision->messages = true;
            given->decision = decision;
        } else if (request.message->data.find("secret") != std::string::npos) {
            given = answer(Verdict::Denied);
        }
        return given;
    };
    const auto id = connect_websocket({});
    at_server->respond(1, {{":status", "200"}}, false);
    at_agent->data(id, as_bytes(std::string{"\x81\x82\0\0\0\0ok\x81\x86\0\0\0\0secret", 20}));
    talk();
    EXPECT_EQ(asked, (Lines{"CONNECT https://a.test/chat", "message to https://a.test/chat",
                            "message to https://a.test/chat"}));
    EXPECT_EQ(server.bodies[1].substr(0, 8), (std::string{"\x81\x82\0\0\0\0ok", 8}));
    EXPECT_EQ(server.bodies[1].find("secret"), std::string::npos);
    EXPECT_EQ(server.bodies[1].size(), 8U + 8U);  // and a Close
    EXPECT_EQ(agent.bodies[id].substr(0, 1), "\x88");
    EXPECT_EQ(agent.bodies[id].substr(2, 2), "\x03\xf0");  // 1008
    EXPECT_NE(agent.bodies[id].find("no, never"), std::string::npos);
    EXPECT_FALSE(ended);
    get("/other");
    EXPECT_EQ(asked.size(), 4U);
}

INSTANTIATE_TEST_SUITE_P(Cuts, Http2Session, testing::Values(SIZE_MAX, 1, 10'000));

TEST_P(Http2Session, AConnectionWithoutAStreamIsToldToGo) {
    const auto quiet = [&](Duration later) {
        tick(later);
        machine->on_quiet(now, *this);
        talk();
    };
    get("/running");
    for (int i = 0; i != 5; ++i) quiet(std::chrono::minutes{10});
    server.took();
    at_server->respond(1, {{":status", "204"}}, true);
    talk();
    agent.took();
    quiet(std::chrono::minutes{1});
    quiet(std::chrono::minutes{8});
    EXPECT_EQ(agent.took(), Lines{});
    now += std::chrono::minutes{1};
    machine->on_tick(now, *this);
    machine->on_quiet(now, *this);
    get("/late");  // sent before the notice is read
    EXPECT_EQ(agent.took(), Lines{"goaway 2147483647 NO_ERROR"});
    EXPECT_FALSE(server.took().empty());
    at_server->respond(3, {{":status", "204"}}, true);
    talk();
    EXPECT_FALSE(agent.took().empty());
    EXPECT_FALSE(ended);
    tick(std::chrono::seconds{2});
    EXPECT_TRUE(ended);
}

TEST_P(Http2Session, ANewConnectionMayTakeItsTime) {
    tick(std::chrono::hours{24 * 365 * 50});
    machine->on_quiet(now, *this);
    talk();
    tick(std::chrono::seconds{2});
    EXPECT_FALSE(ended);
    get("/x");
    EXPECT_FALSE(server.took().empty());
}

}  // namespace
}  // namespace chaperone::session::test

// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x in scripts: order, persistence, bodies, refusals, and what ends a session.
#include "tests/support/http_fixture.h"

namespace chaperone::session::test {
namespace {

using std::string;

string get(std::string_view path, std::string_view more = {}) {
    return "GET " + string{path} + " HTTP/1.1\r\nHost: a\r\n" + string{more} + "\r\n";
}
string post(std::string_view path, std::string_view body, std::string_view more = {}) {
    return "POST " + string{path} +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           string{more} + "\r\n" + string{body};
}
string ok(std::string_view body, std::string_view more = {}) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           string{more} + "\r\n" + string{body};
}
int status_of(const string& response) {
    return response.size() > 12 ? std::stoi(response.substr(9, 3)) : 0;
}

class Http1 : public testing::TestWithParam<std::size_t> {
protected:
    HttpFixture f{http_config(), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1, testing::Values(1, 3, 64, SIZE_MAX));

TEST_P(Http1, PassesWhatIsAllowedAsItIs) {
    const string request = get("/x?y", "X-Odd:  Case \r\n");
    f.script.client_sends(request).asks("GET http://a/x?y").sends(Side::Server, request);
    f.script.server_sends(ok("hello")).sends(Side::Client, ok("hello")).nothing_more();
    ASSERT_EQ(f.script.outcomes.size(), 1u);
    EXPECT_EQ(f.script.outcomes[0].sqlstate, "200");
    EXPECT_TRUE(f.script.outcomes[0].ok);
    EXPECT_EQ(f.script.outcomes[0].bytes_up, request.size());
    EXPECT_EQ(f.script.outcomes[0].bytes_down, ok("hello").size());
}

TEST_P(Http1, WritesFramingAnewWhereReadersDiffer) {
    for (const char* odd : {"Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked\t",
                            "Transfer-Encoding:  chunked", "transfer-encoding: chunked "}) {
        const string head = "POST / HTTP/1.1\r\nHost: a\r\nX:\t1 \r\n";
        const string body = "3\r\nabc\r\n0\r\n\r\n";
        f.script.client_sends(head + odd + "\r\n\r\n" + body);
        const string name{std::string_view{odd}.substr(0, 17)};
        f.script.sends(Side::Server, "POST / HTTP/1.1\r\nHost: a\r\nX: 1\r\n" + name +
                                         ": chunked\r\n\r\n" + body);
        f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Length:\t2\r\n\r\nok");
        f.script.sends(Side::Client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").forget();
    }
}

TEST_P(Http1, PassesBodiesOfEveryFraming) {
    const string chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: "
        "1\r\n\r\n";
    for (const string& request : {post("/", "body"), chunked, post("/", "")}) {
        f.script.client_sends(request).sends(Side::Server, request);
        const string response =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        f.script.server_sends(response).sends(Side::Client, response).forget();
    }
    EXPECT_FALSE(f.script.ended);
}

TEST_P(Http1, AnswersPipelinedRequestsInOrder) {
    f.script.client_sends(get("/1") + get("/deny") + get("/2") + get("/deny/x"));
    f.script.sends(Side::Server, get("/1") + get("/2"));
    EXPECT_EQ(f.script.to_client, "") << "the refusals wait for their turn";
    f.script.server_sends(ok("one"));
    EXPECT_TRUE(f.script.to_client.starts_with(ok("one") + "HTTP/1.1 403 Forbidden\r\n"));
    f.script.to_client.clear();
    f.script.server_sends(ok("two"));
    EXPECT_TRUE(f.script.to_client.starts_with(ok("two") + "HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_FALSE(f.script.ended);
    EXPECT_EQ(f.script.outcomes.size(), 4u);
}

TEST_P(Http1, RefusesAndGoesOn) {
    f.script.client_sends(post("/deny", string(5000, 'x')));
    EXPECT_EQ(status_of(f.script.to_client), 403);
    for (const auto* part :
         {"Content-Type: application/problem+json\r\n", "x-proxy-error: blocked-by-policy\r\n",
          "Proxy-Status: chaperone; error=http_request_denied; details=\"r\"\r\n", "\"rule\":\"r\"",
          "because", "\"status\":403"})
        EXPECT_NE(f.script.to_client.find(part), string::npos) << part;
    EXPECT_EQ(f.script.to_client.find("Connection:"), string::npos);
    EXPECT_EQ(f.script.to_server, "");
    f.script.forget().client_sends(get("/x")).sends(Side::Server, get("/x"));
}

TEST_P(Http1, RefusesHeadWithoutBody) {
    f.script.client_sends("HEAD /deny HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(f.script.to_client.ends_with("\r\n\r\n"));
    EXPECT_EQ(f.script.to_client.find('{'), string::npos);
}

TEST_P(Http1, RefusesMalformedRequestsAndReadsNoFurther) {
    f.script.client_sends(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n" +
        get("/smuggled"));
    EXPECT_EQ(status_of(f.script.to_client), 400);
    EXPECT_NE(f.script.to_client.find("Connection: close\r\n"), string::npos);
    EXPECT_EQ(f.script.to_server, "");
    EXPECT_TRUE(f.script.asked.empty());
    f.script.does("finish client");
    EXPECT_FALSE(f.script.ended) << "what the client still sends would cost it the answer";
    f.script.closed(Side::Client);
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1, AnswersBeforeItRefuses) {
    f.script.client_sends(get("/1") + "GET / HTTP/1.1\nHost: a\n\n" + get("/2"));
    EXPECT_EQ(f.script.to_client, "");
    f.script.server_sends(ok("one"));
    EXPECT_TRUE(f.script.to_client.starts_with(ok("one") + "HTTP/1.1 400 Bad Request\r\n"));
    EXPECT_EQ(f.script.to_server, get("/1"));
}

TEST_P(Http1, LetsNothingBehindABadChunkThrough) {
    f.script.client_sends(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc"
        "\r\nzz\r\n" +
        get("/smuggled"));
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_server.find("zz"), string::npos);
    EXPECT_EQ(f.script.to_server.find("smuggled"), string::npos);
}

TEST_P(Http1, ReadsTheBodyThatIsAskedFor) {
    const string good = post("/body", "good");
    f.script.client_sends(good).sends(Side::Server, good);
    EXPECT_EQ(f.bodies, (std::vector<string>{"", "good"}));
    f.script.server_sends(ok("1")).sends(Side::Client, ok("1"));
    f.script.client_sends(post("/body", "bad"));
    EXPECT_EQ(status_of(f.script.to_client), 403);
    EXPECT_EQ(f.script.to_server, "");
    f.script.forget().client_sends(get("/x")).sends(Side::Server, get("/x"));
}

TEST_P(Http1, FramesAChunkedBodyAnewThatItRead) {
    const string head = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    f.script.client_sends(head + "2\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n");
    f.script.sends(Side::Server, head + "3\r\nabc\r\n0\r\nT: 1\r\n\r\n");
}

TEST_P(Http1, RefusesABodyThatIsTooLargeToSee) {
    f.script.client_sends(post("/body", string(3 << 20, 'x')));
    EXPECT_EQ(status_of(f.script.to_client), 413);
    EXPECT_EQ(f.script.to_server, "");
    f.script.forget().client_sends(get("/x")).sends(Side::Server, get("/x"));
}

TEST_P(Http1, SaysContinueItselfWhereItReadsTheBody) {
    const string request =
        "POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n";
    f.script.client_sends(request).sends(Side::Client, "HTTP/1.1 100 Continue\r\n\r\n");
    f.script.client_sends("ok");
    f.script.sends(Side::Server, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
}

TEST_P(Http1, PassesContinueAndOtherInterimAnswers) {
    const string request =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    f.script.client_sends(request).sends(Side::Server, request);
    f.script.server_sends("HTTP/1.1 100 Continue\r\n\r\n");
    f.script.sends(Side::Client, "HTTP/1.1 100 Continue\r\n\r\n");
    f.script.client_sends("ok").sends(Side::Server, "ok");
    const string hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    f.script.server_sends(hints + ok("1")).sends(Side::Client, hints + ok("1"));
}

TEST_P(Http1, ClosesBehindARefusalThatMayOrMayNotHaveABody) {
    f.script.client_sends(
        "POST /deny HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n");
    EXPECT_EQ(status_of(f.script.to_client), 403);
    EXPECT_NE(f.script.to_client.find("Connection: close\r\n"), string::npos);
    f.script.client_sends(get("/smuggled"));
    EXPECT_EQ(f.script.to_server, "");
}

TEST_P(Http1, HoldsTheConnectionForAPerson) {
    f.script.client_sends(get("/hold") + get("/next")).held("A", {}, 1);
    EXPECT_EQ(f.script.to_client + f.script.to_server, "");
    EXPECT_FALSE(f.machine->wants(Side::Client));
    f.script.decided(f.granted(1)).sends(Side::Server, get("/hold") + get("/next"));
}

TEST_P(Http1, LetsAHeldRequestComeAgain) {
    f.script.client_sends(get("/hold")).held("A", {}, 1);
    f.machine->on_tick(Time{} + std::chrono::seconds{31}, f.script);
    f.script.does("leave 1");
    EXPECT_EQ(status_of(f.script.to_client), 403);
    EXPECT_NE(f.script.to_client.find("Retry-After: "), string::npos);
    EXPECT_NE(f.script.to_client.find("/approval-pending\""), string::npos);
    f.script.to_client.clear();
    f.script.client_sends(get("/x")).sends(Side::Server, get("/x"));
}

TEST_P(Http1, AnswersAtOnceWhereTheClientPrefersThat) {
    f.script.client_sends(get("/hold", "Prefer: respond-async\r\n")).held("A", {}, 1);
    f.script.does("leave 1");
    EXPECT_EQ(status_of(f.script.to_client), 202);
    EXPECT_NE(f.script.to_client.find("Location: http://chaperone.internal/v1/approvals/A\r\n"),
              string::npos);
}

TEST_P(Http1, WithdrawsWhatNobodyWaitsFor) {
    f.script.client_sends(get("/hold")).held("A", {}, 1).closed(Side::Client).does("withdraw 1");
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_server, "");
}

TEST_P(Http1, TellsTheServerThatTheClientIsDone) {
    for (const auto* last : {"", "Connection: close\r\n"}) {
        HttpFixture half{http_config(), GetParam()};
        half.script.client_sends(get("/x", last)).closed(Side::Client).does("finish server");
        EXPECT_FALSE(half.script.ended) << "it may have closed its half only";
        half.script.server_sends(ok("1"));
        half.script.sends(Side::Client, ok("1"));

        HttpFixture gone{http_config(), GetParam()};
        gone.script.client_sends(get("/x", last)).closed(Side::Client);
        gone.script.closed(Side::Server);
        EXPECT_TRUE(gone.script.ended);
        EXPECT_EQ(gone.script.to_client, "") << "nobody is there to be told";
        EXPECT_FALSE(gone.script.outcomes.at(0).ok);
    }
}

TEST_P(Http1, EndsWithACloseDelimitedAnswer) {
    f.script.client_sends(get("/x")).server_sends("HTTP/1.0 200 OK\r\n\r\nall of it");
    f.script.closed(Side::Server);
    f.script.sends(Side::Client, "HTTP/1.0 200 OK\r\n\r\nall of it");
    EXPECT_TRUE(f.script.ended);
    EXPECT_TRUE(f.script.outcomes.at(0).ok);
}

// A client that reads until the end must not take a part for all of it.
TEST_P(Http1, EndsAnAnswerAsTheServerDid) {
    const string open = "HTTP/1.1 200 OK\r\n\r\nall of";
    const string sized = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall of";
    struct Case {
        string answer;
        std::optional<Cut> cut;
        string event;
    };
    for (const Case& c : {Case{open, Cut::Reset, "drop"},
                          {open, Cut::Untold, "end untold"},
                          {sized, Cut::Reset, "drop"},
                          {sized, Cut::Untold, "end untold"},
                          {"", Cut::Reset, "drop"},
                          {"", std::nullopt, ""}}) {
        HttpFixture one{http_config(), GetParam()};
        one.script.client_sends(get("/x")).server_sends(c.answer);
        if (c.cut) one.machine->on_cut(Side::Server, *c.cut);
        one.script.closed(Side::Server).sends(Side::Client, c.answer);
        if (!c.event.empty()) one.script.does(c.event);
        EXPECT_TRUE(one.script.ended && one.script.events.empty()) << c.answer << c.event;
        EXPECT_FALSE(one.script.outcomes.at(0).ok);
    }
    HttpFixture half{http_config(), GetParam()};
    half.script.client_sends(get("/x")).server_sends("HTTP/1.1 200 OK\r\nX").closed(Side::Server);
    EXPECT_EQ(status_of(half.script.to_client), 502);
    HttpFixture killed{http_config(), GetParam()};
    killed.script.client_sends(get("/x")).server_sends(open).terminated("by an operator");
    killed.script.does("drop");
}

TEST_P(Http1, EndsBehindTheLastAnswer) {
    f.script.client_sends(get("/x", "Connection: close\r\n") + get("/y"));
    f.script.server_sends(ok("1", "Connection: close\r\n"));
    f.script.sends(Side::Client, ok("1", "Connection: close\r\n"));
    EXPECT_EQ(f.script.to_server, get("/x", "Connection: close\r\n"));
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1, ADrainEndsAnIdleConnection) {
    f.script.client_sends(get("/x")).server_sends(ok("1")).drained("shutting down");
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.end_reason, "shutting down");
}

TEST_P(Http1, ADrainLetsAnswersComeAndSaysThatTheyAreTheLast) {
    f.script.client_sends(get("/x") + get("/y")).drained("shutting down");
    EXPECT_FALSE(f.script.ended);
    f.script.server_sends(ok("1"));
    f.script.sends(Side::Client, ok("1"));
    f.script.client_sends(get("/z"));
    f.script.server_sends(ok("2", "Keep-Alive: timeout=5\r\n"));
    f.script.sends(Side::Client, ok("2", "Connection: close\r\n"));
    EXPECT_EQ(f.script.to_server, get("/x") + get("/y"));
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1, ADrainCutsNoBodyAndNoHead) {
    f.script.client_sends(get("/x")).server_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    f.script.drained("shutting down");
    EXPECT_FALSE(f.script.ended);
    f.script.server_sends("llo");
    f.script.sends(Side::Client, ok("hello"));
    EXPECT_TRUE(f.script.ended);

    HttpFixture other{http_config(), GetParam()};
    other.script.client_sends("GET /x HTTP/1.1\r\nHo").drained("shutting down");
    EXPECT_FALSE(other.script.ended);
    other.script.client_sends("st: a\r\n\r\n").server_sends(ok("1"));
    other.script.sends(Side::Client, ok("1", "Connection: close\r\n"));
    EXPECT_TRUE(other.script.ended);
}

TEST_P(Http1, ADrainSendsHeldRequestsAway) {
    f.script.client_sends(get("/hold")).held("A1", {}, 1).drained("shutting down");
    EXPECT_EQ(status_of(f.script.to_client), 403);
    EXPECT_NE(f.script.to_client.find("Connection: close\r\n"), string::npos);
    f.script.closed(Side::Client);
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1, TellsOfAServerThatCannotBeUnderstood) {
    for (const auto* bad : {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n",
                            "HTTP/1.1 101 Switching\r\n\r\n", "nonsense\r\n"}) {
        HttpFixture one{http_config(), GetParam()};
        one.script.client_sends(get("/x")).server_sends(bad);
        EXPECT_EQ(status_of(one.script.to_client), 502) << bad;
        EXPECT_TRUE(one.script.ended);
    }
}

TEST_P(Http1, UnfoldsWhatServersFold) {
    f.script.client_sends(get("/x"));
    f.script.server_sends(
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length:\r\n 2\r\n\r\nok");
    f.script.sends(Side::Client, "HTTP/1.1 200 OK\r\nX: a   b  \tc\r\nContent-Length: 2\r\n\r\nok");
    f.script.client_sends(get("/y")).server_sends(ok("y")).forget();
    EXPECT_FALSE(f.script.ended);
    for (const auto* bad : {"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 2\r\n\r\nok",
                            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nok",
                            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nY : c\r\n\r\nok",
                            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\n"}) {
        HttpFixture one{http_config(), GetParam()};
        one.script.client_sends(get("/x")).server_sends(bad);
        EXPECT_EQ(status_of(one.script.to_client), 502) << bad;
    }
}

TEST_P(Http1, EndsWhereTheServerSpeaksUnasked) {
    f.script.client_sends(get("/x")).server_sends(ok("1") + ok("poison"));
    f.script.sends(Side::Client, ok("1"));
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1, StripsWhatIsForThisHop) {
    f.script.client_sends(get("/x",
                              "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: "
                              "5\r\nX-End: 2\r\n"));
    f.script.sends(Side::Server,
                   "GET /x HTTP/1.1\r\nHost: a\r\nX-End: 2\r\nConnection: keep-alive\r\n\r\n");
    HttpFixture other{http_config(), GetParam()};
    other.script.client_sends(get("/x", "Connection: Content-Length, close\r\n"));
    EXPECT_EQ(status_of(other.script.to_client), 400);
}

TEST_P(Http1, IgnoresTheWishForHttp2) {
    f.script.client_sends(
        get("/x", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"));
    f.script.sends(Side::Server, get("/x"));
}

TEST_P(Http1, RefusesConnect) {
    f.script.client_sends("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    EXPECT_EQ(status_of(f.script.to_client), 403);
    EXPECT_FALSE(f.script.asked.front().refused.empty()) << "it is recorded";
}

TEST_P(Http1, LeavesItToTheServerToIgnoreAnUpgrade) {
    const string wish = get("/x", "Connection: Upgrade\r\nUpgrade: spdy/3.1\r\n");
    f.script.client_sends(wish + get("/y")).sends(Side::Server, wish);
    f.script.server_sends(ok("1")).sends(Side::Client, ok("1"));
    f.script.sends(Side::Server, get("/y"));
    HttpFixture agreed{http_config(), GetParam()};
    agreed.script.client_sends(wish + "spdy")
        .server_sends(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: spdy/3.1\r\nConnection: "
            "Upgrade\r\n\r\nx");
    EXPECT_EQ(status_of(agreed.script.to_client), 502);
    EXPECT_EQ(agreed.script.to_server, wish);
    EXPECT_TRUE(agreed.script.ended);
}

TEST_P(Http1, RefusesEverythingWhereThereIsNoServer) {
    HttpConfig config = http_config();
    config.refuse_all = upstream_failed(502, "connection_refused", "the server refuses");
    HttpFixture one{config, GetParam()};
    one.script.client_sends(get("/x"));
    EXPECT_EQ(status_of(one.script.to_client), 502);
    EXPECT_NE(one.script.to_client.find("error=connection_refused"), string::npos);
    EXPECT_TRUE(one.script.asked.empty());
}

TEST(Http1Times, AHeadThatDoesNotEndIsRefused) {
    HttpFixture f;
    f.script.client_sends("GET / HTTP/1.1\r\nHo");
    f.machine->on_tick(Time{} + std::chrono::seconds{30}, f.script);
    EXPECT_EQ(f.script.to_client, "");
    f.machine->on_tick(Time{} + std::chrono::seconds{61}, f.script);
    EXPECT_EQ(status_of(f.script.to_client), 408);
    EXPECT_EQ(f.script.recorded.size(), 1U);
    f.machine->on_tick(Time{} + std::chrono::seconds{64}, f.script);
    EXPECT_TRUE(f.script.ended);
}

TEST(Http1Times, ABodyThatPolicyWaitsForInVainIsRefusedAndRecorded) {
    HttpFixture f;
    f.script.client_sends("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    f.machine->on_tick(Time{} + std::chrono::minutes{1}, f.script);
    EXPECT_EQ(f.script.to_client, "");
    f.machine->on_tick(Time{} + std::chrono::minutes{3}, f.script);
    EXPECT_EQ(status_of(f.script.to_client), 408);
    ASSERT_EQ(f.script.recorded.size(), 1U);
    EXPECT_NE(f.script.recorded[0].find("took too long"), string::npos);
    EXPECT_EQ(f.script.to_server, "");
}

// At whatever step one side goes, the session ends, and nothing is left open.
TEST(Http1Ends, AreCleanAtEveryByte) {
    const string client = get("/1") + post("/body", "ok") + get("/hold");
    const string server = ok("1") + ok("2");
    for (std::size_t at = 0; at <= client.size(); ++at)
        for (const Side side : {Side::Client, Side::Server}) {
            HttpFixture f;
            f.script.client_sends(client.substr(0, at));
            if (f.script.to_server.find("\r\n\r\n") != string::npos) f.script.server_sends(ok("1"));
            f.script.closed(side);
            f.script.closed(Side::Server).closed(Side::Client);
            EXPECT_TRUE(f.script.ended) << at;
        }
}

class Http1Quiet : public testing::Test {
protected:
    void at(int seconds) {
        const Time now{std::chrono::seconds{seconds}};
        f.machine->on_tick(now, f.script);
        f.machine->on_quiet(now, f.script);
    }
    static HttpConfig config() {
        HttpConfig made = http_config();
        made.limits.idle = std::chrono::seconds{100};
        made.limits.rest_time = std::chrono::seconds{10};
        return made;
    }
    HttpFixture f{config()};
};

TEST_F(Http1Quiet, AConnectionWithoutARequestEnds) {
    for (int s = 0; s != 100; s += 10) at(s);
    EXPECT_FALSE(f.script.ended);
    f.script.client_sends(get("/x"));
    for (int s = 100; s != 900; s += 100) at(s);  // the server may take its time
    EXPECT_FALSE(f.script.ended);
    f.script.server_sends(ok("1"));
    at(900);
    at(999);
    EXPECT_FALSE(f.script.ended);
    f.machine->on_tick(Time{std::chrono::seconds{2000}}, f.script);  // bytes have come
    f.script.client_sends(get("/y")).server_sends(ok("2"));
    at(2001);
    at(2100);
    EXPECT_FALSE(f.script.ended);
    at(2101);
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.end_reason, "no request came for long");
}

TEST_F(Http1Quiet, ANewConnectionMayTakeItsTime) {
    at(1'000'000);
    at(1'000'099);
    EXPECT_FALSE(f.script.ended);
    at(1'000'100);
    EXPECT_TRUE(f.script.ended);
}

TEST_F(Http1Quiet, AHeadThatHasBegunIsNoIdleness) {
    at(0);
    f.script.client_sends("GET /x HT");
    at(99);
    at(101);
    EXPECT_FALSE(f.script.ended && f.script.end_reason == "no request came for long");
}

// Some servers forget a request that they have answered before its body came, and take what comes
// later for the next one.
TEST_F(Http1Quiet, WhatIsAnsweredMayNotPause) {
    f.script.client_sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
        .server_sends(ok("1"))
        .forget();
    at(0);
    at(9);
    f.script.client_sends("0123456789").sends(Side::Server, "0123456789");
    at(10);
    at(19);
    EXPECT_FALSE(f.script.ended);
    at(20);
    EXPECT_TRUE(f.script.ended);
    f.script.client_sends("GET /admin HTTP/1.1\r\nHost: a\r\n").nothing_more();
}

TEST_F(Http1Quiet, WhatIsNotAnsweredMayPause) {
    f.script.client_sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    for (int s = 0; s != 500; s += 50) at(s);
    EXPECT_FALSE(f.script.ended);
}

}  // namespace
}  // namespace chaperone::session::test

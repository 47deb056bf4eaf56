// SPDX-License-Identifier: Apache-2.0
// Which connections of servers are left for other sessions, and what goes over such a one.
#include "tests/support/http_fixture.h"
#include "userspace/session/http/reuse.h"

namespace chaperone::session::test {
namespace {

using std::string;

string get(std::string_view path, std::string_view more = {}) {
    return "GET " + string{path} + " HTTP/1.1\r\nHost: a\r\n" + string{more} + "\r\n";
}
string post(std::string_view body, std::string_view more = {}) {
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
           string{more} + "\r\n" + string{body};
}
string answer(std::string_view status, std::string_view more = {}) {
    return "HTTP/1.1 " + string{status} + "\r\nContent-Length: 2\r\n" + string{more} + "\r\nok";
}
const string kOk = answer("200 OK");

HttpConfig reusing(bool reused) {
    HttpConfig config = http_config();
    config.reuse = true;
    config.reused = reused;
    return config;
}

class Keeps : public testing::TestWithParam<std::size_t> {
protected:
    bool kept() const {
        return f.script.ended && std::ranges::count(f.script.events, "keep server") == 1;
    }
    HttpFixture f{reusing(false), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Pieces, Keeps, testing::Values(1, 3, SIZE_MAX));

TEST_P(Keeps, WhatIsIdleWhenTheClientLeaves) {
    f.script.client_sends(get("/1")).server_sends(kOk).client_sends(post("b")).server_sends(kOk);
    f.script.closed(Side::Client);
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, TheServerWhereTheClientWantsNoOtherAnswer) {
    f.script.client_sends(get("/1", "Connection: close\r\n")).sends(Side::Server, get("/1"));
    f.script.server_sends(kOk).sends(Side::Client, answer("200 OK", "Connection: close\r\n"));
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, OtherOptionsOfTheConnection) {
    f.script.client_sends(get("/1", "TE: trailers\r\nConnection: close, TE\r\n"));
    f.script.sends(Side::Server, get("/1", "TE: trailers\r\nConnection: TE\r\n"));
    f.script.server_sends(answer("200 OK", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"));
    EXPECT_EQ(f.script.to_client, answer("200 OK", "Connection: close\r\n"));
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, ItBehindARefusalOfOurs) {
    f.script.client_sends(get("/1")).server_sends(kOk);
    f.script.client_sends(get("/deny", "Connection: close\r\n")).closed(Side::Client);
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, ItWhereTheClientLeavesARefusalUnread) {
    f.script.client_sends(get("/1")).server_sends(kOk);
    f.script.client_sends(get("/1") +
                          "POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    f.script.server_sends(kOk).closed(Side::Client);
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, NoneThatNeverAnswered) {
    f.script.client_sends(get("/deny")).closed(Side::Client);
    EXPECT_FALSE(kept());
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Keeps, NoneThatOwesAnAnswer) {
    f.script.client_sends(get("/1")).closed(Side::Client);
    f.script.server_sends(kOk);
    EXPECT_TRUE(f.script.ended);
    EXPECT_FALSE(kept());
}

TEST_P(Keeps, NoneInAHalfSentRequest) {
    f.script.client_sends(get("/1")).server_sends(kOk);
    f.script.client_sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    f.script.closed(Side::Client);
    EXPECT_FALSE(kept());
}

TEST_P(Keeps, NoneThatAnsweredBeforeItHadHeardAll) {
    f.script.client_sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    f.script.server_sends(kOk).client_sends("cd").closed(Side::Client);
    EXPECT_TRUE(f.script.ended);
    EXPECT_FALSE(kept());
}

TEST_P(Keeps, NoneThatIsBoundToWhoAskedOrSaysOtherwise) {
    const string negotiates = get("/", "Authorization: Negotiate YII=\r\n");
    const string ntlm = get("/", "authorization:  NTLM TlRM\r\n");
    const string old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    const std::vector<std::pair<string, string>> cases{
        {negotiates, kOk},
        {ntlm, kOk},
        {get("/", "Authorization: Unheard-Of x\r\n"), kOk},
        {get("/", "Proxy-Authorization: Kerberos x\r\n"), kOk},
        {old, kOk},
        {get("/"), answer("200 OK", "Connection: close\r\n")},
        {get("/"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
        {get("/"), answer("401 Unauthorized", "WWW-Authenticate: NTLM\r\n")},
        {get("/"), answer("400 Bad Request")},
        {get("/"), answer("421 Misdirected Request")},
        {get("/"), answer("503 Service Unavailable")},
    };
    for (const auto& [request, response] : cases) {
        HttpFixture one{reusing(false), GetParam()};
        one.script.client_sends(request).server_sends(response).closed(Side::Client);
        EXPECT_TRUE(one.script.ended) << request << response;
        EXPECT_EQ(std::ranges::count(one.script.events, "keep server"), 0) << request << response;
    }
}

TEST_P(Keeps, OneThatWasAskedWithABearerToken) {
    f.script.client_sends(get("/", "Authorization: Bearer x\r\n")).server_sends(kOk);
    f.script.closed(Side::Client);
    EXPECT_TRUE(kept());
}

TEST_P(Keeps, NoneThatSpokeUnasked) {
    f.script.client_sends(get("/1")).server_sends(kOk + "HTTP/1.1 200 OK\r\n");
    EXPECT_TRUE(f.script.ended);
    EXPECT_FALSE(kept());
}

TEST_P(Keeps, NoneWhenItIsEndedFromOutside) {
    f.script.client_sends(get("/1")).server_sends(kOk).terminated("by an operator");
    EXPECT_FALSE(kept());
    HttpFixture other{reusing(false), GetParam()};
    other.script.client_sends(get("/1")).server_sends(kOk).drained("shutting down");
    EXPECT_EQ(std::ranges::count(other.script.events, "keep server"), 0);
}

TEST_P(Keeps, NothingWhereItIsNotWanted) {
    HttpFixture one{http_config(), GetParam()};
    const string request = get("/1", "Connection: close\r\n");
    one.script.client_sends(request).sends(Side::Server, request);
    one.script.server_sends(kOk).sends(Side::Client, kOk);
    EXPECT_TRUE(one.script.ended);
    EXPECT_TRUE(one.script.events.empty());
}

class Takes : public testing::TestWithParam<std::size_t> {
protected:
    HttpFixture f{reusing(true), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Pieces, Takes, testing::Values(1, 3, SIZE_MAX));

TEST_P(Takes, SafeRequestsAtOnce) {
    f.script.client_sends(get("/1")).sends(Side::Server, get("/1"));
    f.script.server_sends(kOk).sends(Side::Client, kOk);
    f.script.client_sends(post("b")).sends(Side::Server, post("b"));
    f.script.server_sends(kOk).sends(Side::Client, kOk).closed(Side::Client);
    f.script.does("keep server");
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Takes, AFreshOneForWhatMustNotBeSentTwice) {
    const string chunked =
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for (const string& request :
         {post("b"), post(""), chunked, string{"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"},
          string{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"}}) {
        HttpFixture one{reusing(true), GetParam()};
        one.script.client_sends(request).does("reconnect, unused").sends(Side::Server, "");
        one.script.connected().sends(Side::Server, request);
        one.script.server_sends(kOk).sends(Side::Client, kOk);
        EXPECT_FALSE(one.script.ended);
    }
}

TEST_P(Takes, AFreshOneForWhatWasReadBeforeItWasDecided) {
    const string request = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ngood";
    f.script.client_sends(request).does("reconnect, unused").sends(Side::Server, "");
    f.script.connected().sends(Side::Server, request);
    f.script.server_sends(kOk).sends(Side::Client, kOk);
    f.script.client_sends(get("/2")).sends(Side::Server, get("/2"));
}

TEST_P(Takes, AFreshOneAndAsksAgainWhereTheServerHadLeft) {
    f.script.client_sends(get("/1")).sends(Side::Server, get("/1"));
    f.script.closed(Side::Server).does("reconnect");
    EXPECT_FALSE(f.script.ended);
    f.script.connected().sends(Side::Server, get("/1"));
    f.script.server_sends(kOk).sends(Side::Client, kOk);
    ASSERT_EQ(f.script.outcomes.size(), 1u);
    EXPECT_TRUE(f.script.outcomes[0].ok);
}

TEST_P(Takes, NoThirdOneWhereTheFreshOneCloses) {
    f.script.client_sends(get("/1")).closed(Side::Server).does("reconnect").connected();
    f.script.forget().closed(Side::Server);
    EXPECT_TRUE(f.script.events.empty());
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_client, "");
}

TEST_P(Takes, AFreshOneWhereTheServerLeftBeforeItWasAsked) {
    f.script.closed(Side::Server).nothing_more();
    f.script.client_sends(get("/1")).does("reconnect").sends(Side::Server, "");
    f.script.connected().sends(Side::Server, get("/1"));
}

TEST_P(Takes, NothingThatTheServerSaidUnasked) {
    f.script.server_sends(answer("200 OK", "X-Poison: 1\r\n")).nothing_more();
    f.script.client_sends(get("/1")).does("reconnect").sends(Side::Server, "");
    f.script.server_sends(kOk).connected().sends(Side::Server, get("/1"));
    f.script.server_sends(kOk).sends(Side::Client, kOk);
}

TEST_P(Takes, NoSecondTryOnceAnAnswerHasBegun) {
    f.script.client_sends(get("/1")).server_sends("HTTP/1.1 2").closed(Side::Server);
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(std::ranges::count(f.script.events, "reconnect"), 0);
}

TEST_P(Keeps, NoPatienceOfServersFromAPerson) {
    const string late = answer("408 Request Timeout", "Connection: close\r\n");
    for (const bool speaks : {false, true}) {
        for (const bool before : {false, true}) {
            HttpFixture one{reusing(false), GetParam()};
            if (before) one.script.client_sends(get("/1")).server_sends(kOk).forget();
            const Tag tag = before ? 2 : 1;
            one.script.client_sends(get("/hold")).held("A", {}, tag);
            if (speaks) one.script.server_sends(late);
            one.script.closed(Side::Server);
            EXPECT_FALSE(one.script.ended) << speaks << before;
            one.script.decided(one.granted(tag)).does("reconnect").sends(Side::Server, "");
            one.script.connected().sends(Side::Server, get("/hold"));
            one.script.server_sends(kOk).sends(Side::Client, kOk);
        }
    }
}

TEST_P(Keeps, NoPatienceOfServersFromABodyThatIsJudged) {
    const string request = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    f.script.client_sends(request + "go").closed(Side::Server);
    f.script.client_sends("od").does("reconnect").connected();
    f.script.sends(Side::Server, request + "good");
    f.script.server_sends(kOk).sends(Side::Client, kOk);
}

TEST_P(Takes, A408ThatCrossedItForAnEnd) {
    f.script.client_sends(get("/1"));
    f.script.server_sends(answer("408 Request Timeout", "Connection: close\r\n"));
    f.script.does("reconnect").sends(Side::Client, "").forget();
    f.script.connected().sends(Side::Server, get("/1"));
    f.script.server_sends(answer("408 Request Timeout", "Connection: close\r\n"));
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 408 ")) << "it is the server's answer now";
}

TEST_P(Takes, OnePipelinedRequestAtATimeUntilItIsAnswered) {
    f.script.client_sends(get("/1") + post("b") + get("/3")).sends(Side::Server, get("/1"));
    f.script.closed(Side::Server).does("reconnect").connected();
    f.script.sends(Side::Server, get("/1") + post("b") + get("/3"));
    f.script.server_sends(kOk + kOk + kOk).sends(Side::Client, kOk + kOk + kOk);
}

TEST_P(Takes, ThePipelinedRestBehindTheFirstAnswer) {
    f.script.client_sends(get("/1") + post("b") + get("/3")).sends(Side::Server, get("/1"));
    f.script.server_sends(kOk).sends(Side::Server, post("b") + get("/3"));
    f.script.server_sends(kOk + kOk).sends(Side::Client, kOk + kOk + kOk);
}

TEST_P(Takes, AnErrorWhereNobodyAnswersAnyMore) {
    for (const string& request : {get("/1"), post("b")}) {
        HttpFixture one{reusing(true), GetParam()};
        one.script.client_sends(request).closed(Side::Server);
        one.script.connected(fail(Errc::Denied, "nobody listens"));
        EXPECT_TRUE(one.script.to_client.starts_with("HTTP/1.1 502 ")) << request;
        EXPECT_NE(one.script.to_client.find("connection_refused"), string::npos);
        EXPECT_NE(one.script.to_client.find("Connection: close\r\n"), string::npos);
        EXPECT_EQ(std::ranges::count(one.script.events, "keep server"), 0);
    }
}

TEST_P(Takes, NothingOfItWhereTheClientLeavesWithoutAWord) {
    f.script.closed(Side::Client).does("keep server").nothing_more();
    EXPECT_TRUE(f.script.ended);
}

TEST(Reuse, KnowsWhichFieldsBindAConnection) {
    const auto binds = [](std::string_view name, std::string_view value) {
        return binds_connection({{name, value}});
    };
    for (const auto* value : {"Basic eA==", "bearer x", "Digest a=b", "AWS4-HMAC-SHA256 C=1"})
        EXPECT_FALSE(binds("Authorization", value)) << value;
    for (const auto* value : {"NTLM x", "negotiate", "Basics x", "", "Kerberos"})
        EXPECT_TRUE(binds("authorization", value)) << value;
    EXPECT_FALSE(binds("X-Authorization", "NTLM x"));
}

}  // namespace
}  // namespace chaperone::session::test

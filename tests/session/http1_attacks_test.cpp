// SPDX-License-Identifier: Apache-2.0
// What an agent sends over HTTP/1.x so that a rule and the server see two requests.
#include "tests/support/http_fixture.h"

namespace chaperone::session::test {
namespace {

using std::string;

string get(std::string_view path, std::string_view more = {}) {
    return "GET " + string{path} + " HTTP/1.1\r\nHost: a\r\n" + string{more} + "\r\n";
}
int status_of(const string& response) {
    return response.size() > 12 ? std::stoi(response.substr(9, 3)) : 0;
}

class Http1Attacks : public testing::TestWithParam<std::size_t> {
protected:
    HttpFixture f{http_config(), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1Attacks, testing::Values(1, 3, SIZE_MAX));

TEST_P(Http1Attacks, ShowsRulesNothingThatDoesNotGoOn) {
    std::string seen = "not asked";
    f.script.gate([&](const policy::Request& request) {
        seen = request.http->field("x-dry-run").value_or("") +
               request.http->field("x-kept").value_or("");
        return f.decide(request);
    });
    f.script.client_sends(
        get("/", "Connection: keep-alive, X-Dry-Run\r\nX-Dry-Run: yes\r\nX-Kept: 1\r\n"));
    EXPECT_EQ(seen, "1");
    f.script.sends(Side::Server, get("/", "X-Kept: 1\r\nConnection: keep-alive\r\n"));
}

TEST_P(Http1Attacks, RefusesMethodsThatAreNobodys) {
    for (const string method : {"TRACE", "trace", "TRACK", "Track", "PRI", "connect",
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"}) {
        f.script.client_sends(method + " / HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_EQ(status_of(f.script.to_client), 403) << method;
        EXPECT_EQ(f.script.to_server, "") << method;
        f.script.to_client.clear();
    }
    for (const string field :
         {"X-HTTP-Method-Override: TRACE", "X-Method-Override: connect", "X_HTTP_METHOD: Track"}) {
        f.script.client_sends(get("/", field + "\r\n"));
        EXPECT_EQ(status_of(f.script.to_client), 403) << field;
        f.script.to_client.clear();
    }
    f.script.client_sends(get("/?_method=trace"));
    EXPECT_EQ(status_of(f.script.to_client), 403);
    f.script.to_client.clear();
    EXPECT_EQ(f.script.to_server, "");
    EXPECT_FALSE(f.script.ended) << "the connection goes on";
    const string request = "PROPFIND /TRACE HTTP/1.1\r\nHost: a\r\n\r\n";
    f.script.client_sends(request).sends(Side::Server, request);
}

TEST_P(Http1Attacks, RefusesAuthoritiesThatAreReadInTwoWays) {
    for (const string host : {"127.1", "0x7f.0.0.1", "2130706433", "a..b", "a:080", "a:0", "a;b",
                              "[::1%25lo]", "[a]", "b\xc3\xbc"}) {
        HttpFixture one{http_config(), GetParam()};
        one.script.client_sends("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        EXPECT_EQ(status_of(one.script.to_client), 400) << host;
        one.script.client_sends("GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        EXPECT_EQ(one.script.to_server, "") << host;
    }
}

TEST(Http1Host, IsWhatTheConnectionWasOpenedToWhereNoNameTells) {
    HttpConfig config = http_config();
    std::vector<string> asked;
    config.elsewhere = [&asked](const string& host, std::uint16_t port) {
        asked.push_back(host + " " + std::to_string(port));
        return host == "other";
    };
    HttpFixture f{std::move(config)};
    string fronted;
    f.script.gate([&](const policy::Request& request) {
        fronted += request.http->fronted() ? "yes " : "no ";
        return f.decide(request);
    });
    for (const char* host : {"A", "Other.:81", "a"})
        f.script.client_sends("GET / HTTP/1.1\r\nHost: " + string{host} + "\r\n\r\n");
    EXPECT_EQ(fronted, "no yes no ");
    EXPECT_EQ(asked, (std::vector<string>{"a 80", "other 81", "a 80"}));
}

// Bodies that are read for policy count together over the sessions of a workload.
TEST(BodyRoom, IsSharedByTheSessionsOfAWorkload) {
    const auto room = std::make_shared<BodyRoom>(10);
    const auto config = [&room] {
        HttpConfig made = http_config();
        made.body_room = room;
        return made;
    };
    const string head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";
    HttpFixture second{config()};
    {
        HttpFixture first{config()};
        first.script.client_sends(head + "1234567");
        EXPECT_EQ(room->used(), 7u);
        second.script.client_sends(head + "12345678");
        EXPECT_EQ(status_of(second.script.to_client), 413) << "it cannot be seen whole";
        EXPECT_EQ(second.script.to_server, "");
        first.script.client_sends("8");
        EXPECT_EQ(first.script.to_server, head + "12345678");
    }
    second.script.to_client.clear();
    second.script.client_sends(head + "12345678");
    EXPECT_EQ(second.script.to_server, head + "12345678");
}

}  // namespace
}  // namespace chaperone::session::test

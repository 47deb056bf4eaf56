// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 with what is ours in it: a credential that goes up and does not come back, the desk
// that answers instead of a server, and what a server says of TLS as it goes.
#include "tests/support/http_fixture.h"
#include "userspace/session/http/blotter.h"

#include <algorithm>

namespace chaperone::session::test {
namespace {

using std::string;

const std::vector<string> kSecret{"sekret-token"};

// Shouts bodies, and blots its token out.
class Shout final : public BodyFilter {
public:
    Result<> push(Bytes data, bool, Buffer& out) override {
        string text{as_text(data)};
        std::ranges::transform(text, text.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
        append(out, text);
        return {};
    }
    bool keeps_length() const override { return true; }
};
class Token final : public CredentialInjector {
public:
    Result<Step> inject(const policy::http::Facts&, Time, HeadEdits& edits) override {
        edits.set("authorization", "Bearer sekret-token");
        return Step::Done;
    }
    std::unique_ptr<BodyFilter> request() override { return std::make_unique<Shout>(); }
    std::unique_ptr<BodyFilter> response(const http::ResponseHead& head,
                                         HeadEdits& edits) override {
        for (const http::Field& field : head.fields) {
            string value{field.value};
            if (blot(value, kSecret)) edits.set(field.name, value);
        }
        return make_blotter(kSecret);
    }
    bool scrub(std::span<std::byte> text) override {
        return blot({reinterpret_cast<char*>(text.data()), text.size()}, kSecret);
    }
};

HttpConfig with_token() {
    HttpConfig config = http_config();
    config.credential = std::make_shared<Token>();
    return config;
}

class Own : public testing::TestWithParam<std::size_t> {
protected:
    HttpFixture f{with_token(), GetParam()};
    const string asked = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
};
INSTANTIATE_TEST_SUITE_P(Pieces, Own, testing::Values(1, 3, 64, SIZE_MAX));

TEST_P(Own, LengthsStayWhereOctetsAreReplaced) {
    f.script.client_sends(asked).sends(
        Side::Server, "GET /x HTTP/1.1\r\nHost: a\r\nauthorization: Bearer sekret-token\r\n\r\n");
    f.script.server_sends(
        "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nX-Echo: <sekret-token>\r\n\r\n<sekret-token>.");
    f.script.sends(Side::Client,
                   "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nX-Echo: <************>\r\n\r\n"
                   "<************>.");
    EXPECT_FALSE(f.script.ended);
}

TEST_P(Own, ChunksDoNotHideIt) {
    f.script.client_sends(asked).forget().server_sends(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nx sekret\r\n6\r\n-token\r\n0\r\n"
        "X: sekret-token\r\n\r\n");
    EXPECT_EQ(f.script.to_client.find("sekret-token"), string::npos) << f.script.to_client;
    EXPECT_EQ(std::ranges::count(f.script.to_client, '*'), 24) << f.script.to_client;
    EXPECT_TRUE(f.script.to_client.ends_with("0\r\nX: ************\r\n\r\n"));
}

TEST_P(Own, InterimAnswersAreSearched) {
    f.script.client_sends(asked).forget().server_sends(
        "HTTP/1.1 103 Early Hints\r\nLink: sekret-token\r\n\r\n");
    f.script.sends(Side::Client, "HTTP/1.1 103 Early Hints\r\nLink: ************\r\n\r\n");
}

TEST_P(Own, BodiesMayBeChangedWithinTheirLength) {
    f.script.client_sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    f.script.sends(Side::Server,
                   "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                   "authorization: Bearer sekret-token\r\n\r\nHELLO");
    f.script.server_sends("HTTP/1.1 204 No Content\r\n\r\n").forget();
    // Also what was read before it was decided.
    f.script.client_sends("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_TRUE(f.script.to_server.ends_with("\r\n\r\nHELLO")) << f.script.to_server;
    EXPECT_NE(f.script.to_server.find("Content-Length: 5\r\n"), string::npos);
}

TEST_P(Own, AnAlertIsTold) {
    f.script.client_sends(asked);
    f.machine->on_alert(Side::Server, "the server wants a client certificate");
    f.script.closed(Side::Server);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 502")) << f.script.to_client;
    EXPECT_NE(f.script.to_client.find("tls_alert_received"), string::npos);
    EXPECT_NE(f.script.to_client.find("wants a client certificate"), string::npos);
}

class Clerk final : public Desk {
public:
    std::optional<LocalResponse> answer(const policy::SessionFacts& who,
                                        const policy::http::Facts& request, Time since,
                                        Time now) override {
        if (request.raw_path() == "/wait" && now - since < std::chrono::seconds{2})
            return std::nullopt;
        return LocalResponse{.status = 200, .body = who.id + string{request.raw_path()}};
    }
};

TEST(Desk, AnswersInsteadOfAServer) {
    HttpConfig config = http_config();
    config.desk = std::make_shared<Clerk>();
    HttpFixture f{config};
    f.script.client_sends("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    f.script.sends(Side::Client, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nS/one");
    f.script.client_sends("POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    f.script.sends(Side::Client, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nS/two")
        .nothing_more();
    EXPECT_FALSE(f.script.ended);

    f.script.client_sends("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").nothing_more();
    f.machine->on_tick(Time{std::chrono::seconds{1}}, f.script);
    f.script.nothing_more();
    f.machine->on_tick(Time{std::chrono::seconds{3}}, f.script);
    f.script.sends(Side::Client, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nS/wait");
    EXPECT_TRUE(f.script.outcomes.empty());
}

}  // namespace
}  // namespace chaperone::session::test

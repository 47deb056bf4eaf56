// SPDX-License-Identifier: Apache-2.0
// Refusals over MCP's older transport: told in the stream that the client reads.
#include "userspace/session/http/mcp_streams.h"

#include "tests/support/http2_fixture.h"
#include "tests/support/http_fixture.h"
#include "userspace/session/http/shapes.h"

#include <gtest/gtest.h>

namespace chaperone::session::test {
namespace {

using Texts = std::vector<std::string>;

class Streams : public testing::Test {
protected:
    static policy::SessionFacts agent(std::string workload, std::string resource = "mcp") {
        policy::SessionFacts made;
        made.workload = std::move(workload);
        made.resource = std::move(resource);
        return made;
    }
    static std::unique_ptr<policy::http::Facts> request(std::string_view target,
                                                        std::string_view authority = "a") {
        auto made = std::make_unique<policy::http::Facts>();
        made->assign({.method = "GET",
                      .scheme = "http",
                      .authority = authority,
                      .target = target,
                      .version = "1.1"},
                     {}, false);
        return made;
    }
    bool deliver(std::string_view target, std::string_view workload = "w",
                 std::string_view authority = "a") {
        return streams.deliver(agent(std::string{workload}), *request(target, authority), "m");
    }
    McpStreams streams;
};

TEST_F(Streams, AreFoundByWhatTheyNamed) {
    struct Case {
        const char* endpoint;
        const char* at;
        const char* post;
    };
    for (const Case& one :
         {Case{"/m?s=1", "/sse", "/m?s=1"}, Case{"http://a/m?s=1", "/sse", "/m?s=1"},
          Case{"m?s=1", "/x/sse?y=/z", "/x/m?s=1"}, Case{"?s=1", "/sse", "/sse?s=1"},
          Case{"/m?u=http://b/#f", "/sse", "/m?u=http://b/"}, Case{"http://a", "/sse", "/"}}) {
        const auto inbox = streams.open(agent("w"), *request(one.at), one.endpoint);
        ASSERT_TRUE(inbox);
        EXPECT_TRUE(deliver(one.post)) << one.endpoint;
        EXPECT_FALSE(inbox->empty());
        EXPECT_EQ(inbox->take(), Texts{"m"});
        EXPECT_TRUE(inbox->empty());
    }
}

TEST_F(Streams, AreNobodyElses) {
    const auto inbox = streams.open(agent("w"), *request("/sse"), "/m?s=1");
    EXPECT_FALSE(deliver("/m?s=2"));
    EXPECT_FALSE(deliver("/m?s=1", "other"));
    EXPECT_FALSE(deliver("/m?s=1", "w", "b"));
    EXPECT_FALSE(streams.deliver(agent("w", "else"), *request("/m?s=1"), "m"));
    EXPECT_TRUE(inbox->empty());
}

TEST_F(Streams, EndWithTheirHolderAndAreBounded) {
    auto inbox = streams.open(agent("w"), *request("/sse"), "/m?s=1");
    for (std::size_t i = 0; i != McpStreams::kMaxWaiting; ++i) EXPECT_TRUE(deliver("/m?s=1"));
    EXPECT_FALSE(deliver("/m?s=1"));
    inbox.reset();
    EXPECT_FALSE(deliver("/m?s=1"));
    inbox = streams.open(agent("w"), *request("/sse"), "/m?s=1");
    EXPECT_TRUE(deliver("/m?s=1"));
    inbox->close();
    EXPECT_FALSE(deliver("/m?s=1"));
    EXPECT_EQ(inbox->take(), Texts{"m"});
    std::vector<std::shared_ptr<McpStreams::Inbox>> all;
    for (std::size_t i = 0; i != McpStreams::kMaxStreams; ++i)
        all.push_back(streams.open(agent("w"), *request("/sse"), "/m?s=" + std::to_string(i)));
    EXPECT_TRUE(all.back());
    EXPECT_FALSE(streams.open(agent("w"), *request("/sse"), "/m?s=more"));
}

// Two connections of one agent: a stream, and a POST that is denied.
class OlderTransport : public testing::TestWithParam<std::size_t> {
protected:
    static policy::DecisionPtr decision(policy::Effect effect) {
        auto made = std::make_shared<policy::Decision>();
        made->effect = effect;
        made->mcp = true;
        return made;
    }
    HttpConfig config() {
        HttpConfig made = http_config();
        made.reshape = shape_for_agents;
        made.streams = streams;
        return made;
    }
    static constexpr std::string_view kBody =
        R"({"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"drop"}})";
    void denied(HttpFixture& post) {
        // As if policy had asked to see it.
        bool asked = false;
        post.script.gate([asked](const policy::Request& request) mutable {
            if (!std::exchange(asked, true)) return Answer{.verdict = Verdict::NeedsBody};
            EXPECT_EQ(request.http->body.data, kBody);
            return Answer{.verdict = Verdict::Denied,
                          .decision = decision(policy::Effect::Deny),
                          .request = 1};
        });
        post.script.client_sends(
            "POST /m?s=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nContent-Length: " +
            std::to_string(kBody.size()) + "\r\n\r\n" + std::string{kBody});
    }
    std::shared_ptr<McpStreams> streams = std::make_shared<McpStreams>();
};
INSTANTIATE_TEST_SUITE_P(Pieces, OlderTransport, testing::Values(1, 7, SIZE_MAX));

TEST_P(OlderTransport, TellsInTheStreamWhatWasDenied) {
    HttpFixture stream{config(), GetParam()};
    stream.script.gate([](const policy::Request&) {
        return Answer{
            .verdict = Verdict::Allowed, .decision = decision(policy::Effect::Allow), .request = 1};
    });
    stream.script.client_sends("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.script.server_sends(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1e\r\nevent: endpoint\ndata: /m?s=1\n\n\r\n");
    HttpFixture post{config(), GetParam()};
    denied(post);
    EXPECT_TRUE(post.script.to_client.starts_with("HTTP/1.1 202 Accepted\r\n"))
        << post.script.to_client;
    EXPECT_TRUE(post.script.to_client.ends_with("\r\n\r\nAccepted"));
    EXPECT_FALSE(post.script.ended);
    stream.script.forget();
    stream.machine->on_tick(Time{} + std::chrono::seconds{1}, stream.script);
    EXPECT_TRUE(
        stream.script.to_client.contains("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,"
                                         "\"result\":{\"isError\":true"))
        << stream.script.to_client;
    stream.script.forget().server_sends("b\r\ndata: end\n\n\r\n");
    EXPECT_TRUE(stream.script.to_client.contains("data: end\n\n"));
}

TEST_P(OlderTransport, OverHttp2Too) {
    HttpConfig shared;
    shared.reshape = shape_for_agents;
    shared.streams = streams;
    Http2Fixture f{GetParam(), shared};
    f.gate = [](const policy::Request& request) {
        const bool post = request.http->head().method == "POST";
        if (post && request.http->body.state == policy::http::Body::State::NotSeen)
            return Answer{.verdict = Verdict::NeedsBody};
        return Answer{.verdict = post ? Verdict::Denied : Verdict::Allowed,
                      .decision = decision(post ? policy::Effect::Deny : policy::Effect::Allow),
                      .request = 1};
    };
    const auto id = f.get("/sse");
    f.at_server->respond(1, {{":status", "200"}, {"content-type", "text/event-stream"}}, false);
    f.at_server->data(1, as_bytes("event: endpoint\ndata: /m?s=1\n\n"));
    f.talk();
    f.agent.took();
    const auto post = f.post("/m?s=1", kBody);
    EXPECT_TRUE(f.agent.took()[0].contains(" :status=202 "));
    EXPECT_EQ(f.agent.bodies[post], "Accepted");
    f.tick(std::chrono::seconds{1});
    EXPECT_TRUE(f.agent.bodies[id].contains("\"id\":7,\"result\":{\"isError\":true"))
        << f.agent.bodies[id];
    f.at_server->data(1, as_bytes("data: end\n\n"));
    f.at_server->finish(1);
    f.talk();
    EXPECT_TRUE(f.agent.bodies[id].ends_with("data: end\n\n"));
    EXPECT_EQ(f.agent.took().back(), "1 closed NO_ERROR");
    // Its stream has ended.
    f.post("/m?s=1", kBody);
    EXPECT_TRUE(f.agent.took()[0].contains(" :status=403 "));
}

TEST_P(OlderTransport, WithoutAStreamTheStatusTells) {
    HttpFixture post{config(), GetParam()};
    denied(post);
    EXPECT_TRUE(post.script.to_client.starts_with("HTTP/1.1 403 ")) << post.script.to_client;
}

}  // namespace
}  // namespace chaperone::session::test

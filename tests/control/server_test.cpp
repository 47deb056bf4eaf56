// SPDX-License-Identifier: Apache-2.0
// The server and the client over a real socket.
#include "userspace/control/server.h"
#include "tests/control/fake_service.h"
#include "userspace/control/client.h"
#include "userspace/control/connection.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

namespace chaperone::control {
namespace {

namespace fs = std::filesystem;

struct Api : testing::Test {
    fs::path root = fs::temp_directory_path() / ("chaperone-api-" + std::to_string(::getpid()));
    FakeService service;
    bool governed = false;
    std::unique_ptr<Server> server;
    Client client{root};

    Api() {
        fs::create_directories(root / "run/chaperone");
        start({});
    }
    ~Api() override {
        server.reset();
        fs::remove_all(root);
    }
    void start(ServerOptions options) {
        options.socket = client.socket();
        options.is_governed = [this](pid_t) { return governed; };
        server.reset();
        auto started = Server::start(std::move(options), service);
        ASSERT_TRUE(started) << started.error().message();
        server = *std::move(started);
    }
    // Sends raw bytes and reads to the end.
    std::string raw(std::string_view text) {
        auto connection = Connection::open(client.socket());
        EXPECT_TRUE(connection && connection->write(text, std::chrono::seconds{5}));
        std::string all;
        while (true) {
            const auto part = connection->read(std::chrono::seconds{5});
            if (!part || part->empty()) return all;
            all += *part;
        }
    }
};

TEST_F(Api, AnswersCalls) {
    const auto status = client.call<v1::Status>("GET", "/v1/status");
    ASSERT_TRUE(status) << status.error().error.message();
    EXPECT_EQ(status->pid(), static_cast<std::uint32_t>(::getpid()));
    v1::ListSessionsRequest request;
    request.set_text("a&b=c %");
    request.mutable_since()->set_seconds(1'700'000'000);
    const auto sessions = client.call<v1::ListSessionsResponse>("GET", "/v1/sessions", request);
    ASSERT_TRUE(sessions) << sessions.error().error.message();
    EXPECT_EQ(sessions->sessions(0).bytes_down(), 5e9);
    EXPECT_EQ(service.listed.text(), "a&b=c %");
    EXPECT_EQ(service.listed.since().seconds(), 1'700'000'000);
}

TEST_F(Api, TellsErrorsAndThatNobodyIsThere) {
    const auto missing = client.call<v1::Session>("GET", "/v1/sessions/x");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().error.code, Errc::NotFound);
    EXPECT_EQ(missing.error().error.detail, "session x");
    EXPECT_FALSE(missing.error().unreachable);
    server.reset();
    EXPECT_FALSE(fs::exists(client.socket()));
    const auto gone = client.call<v1::Status>("GET", "/v1/status");
    ASSERT_FALSE(gone);
    EXPECT_TRUE(gone.error().unreachable);
}

TEST_F(Api, AsksForEveryRequestWhetherTheCallerIsGoverned) {
    EXPECT_TRUE(client.call<v1::ListWorkloadsResponse>("GET", "/v1/workloads"));
    governed = true;
    const auto refused = client.call<v1::ListWorkloadsResponse>("GET", "/v1/workloads");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.code, Errc::Denied);
}

TEST_F(Api, StreamsToTheEndAndTellsAnErrorAfterTheFirstLine) {
    int lines = 0;
    const auto count = [&](std::string_view) { return ++lines, true; };
    EXPECT_TRUE(client.stream("/v1/sessions/x/entries", v1::Empty{}, count));
    EXPECT_EQ(lines, 3);
    service.journal_broken = true;
    const auto broken = client.stream("/v1/sessions/x/entries", v1::Empty{}, count);
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().error.code, Errc::Corrupt);
    EXPECT_EQ(lines, 6);
}

TEST_F(Api, EndsAStreamWhoseReaderIsGone) {
    ASSERT_TRUE(client.stream("/v1/events", v1::Empty{}, [](std::string_view) { return false; }));
    for (int i = 0; i < 500 && !service.reader_gone; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    EXPECT_TRUE(service.reader_gone);
}

TEST_F(Api, EndsStreamsWhenItStops) {
    std::promise<void> first_line;
    std::thread reader{[&] {
        (void)client.stream("/v1/events", v1::Empty{}, [&](std::string_view) {
            first_line.set_value();
            return true;
        });
    }};
    first_line.get_future().wait();
    server.reset();
    reader.join();
    EXPECT_TRUE(service.reader_gone);
}

TEST_F(Api, KeepsAConnectionForTheNextRequest) {
    const std::string two =
        raw("GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n"
            "GET /v1/nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(two.starts_with("HTTP/1.1 200 OK\r\n")) << two;
    EXPECT_NE(two.find("HTTP/1.1 404 Not Found\r\n"), std::string::npos) << two;
}

TEST_F(Api, RefusesWhatIsNotHttpAndWhatComesTooSlowly) {
    EXPECT_TRUE(raw("hello\r\n\r\n").starts_with("HTTP/1.1 400 ")) << raw("hello\r\n\r\n");
    start({.request_time = std::chrono::milliseconds{50}});
    EXPECT_TRUE(raw("GET /v1/status HTTP/1.1\r\n").starts_with("HTTP/1.1 410 "));
}

TEST_F(Api, RefusesConnectionsOverItsLimit) {
    start({.connections = 1});
    auto first = Connection::open(client.socket());
    ASSERT_TRUE(first && first->write("GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n",
                                      std::chrono::seconds{5}));
    ASSERT_TRUE(first->read(std::chrono::seconds{5}));
    const auto second = client.call<v1::Status>("GET", "/v1/status");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().error.code, Errc::Unavailable);
}

}  // namespace
}  // namespace chaperone::control

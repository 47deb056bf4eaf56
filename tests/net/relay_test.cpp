// SPDX-License-Identifier: Apache-2.0
// What is relayed as it is: through memory while it is little, through a pipe once it is much.
#include "tests/net/runner.h"
#include "userspace/net/pipe.h"
#include "userspace/record/reader.h"
#include "userspace/session/tcp_session.h"

#include <array>
#include <csignal>
#include <cstddef>

namespace chaperone::net {
namespace {

using asio::ip::tcp;

constexpr std::size_t kMuch = std::size_t{24} << 20;

// Octets of which no long run repeats, so that a lost or doubled piece shows.
Buffer octets(std::size_t size, std::uint32_t seed) {
    Buffer made(size);
    for (std::byte& one : made) {
        seed = seed * 1664525 + 1013904223;
        one = static_cast<std::byte>(seed >> 24);
    }
    return made;
}

class Relay : public Runner {
protected:
    void SetUp() override {
        std::signal(SIGPIPE, SIG_IGN);  // as chaperoned does
        Runner::SetUp();
    }

    Stream agent() {
        auto target = std::make_shared<Target>();
        target->host = "127.0.0.1";
        target->port = listener_.local_endpoint().port();
        return begin(
            "agent:one", [](auto facts) { return session::make_tcp_session(std::move(facts)); },
            target);
    }

    asio::awaitable<Stream> server() {
        tcp::socket accepted = co_await listener_.async_accept(asio::use_awaitable);
        co_return Stream(std::move(accepted));
    }

    asio::awaitable<void> say(Stream& by, Bytes what) {
        EXPECT_TRUE(co_await write_all(by, what));
        by.shutdown_write();
    }

    asio::awaitable<void> hear(Stream& by, const Buffer& what) {
        const Buffer got = co_await read_up_to(by, what.size() + 1);
        EXPECT_EQ(got.size(), what.size());
        EXPECT_TRUE(got == what);
    }

    // The one that the journal has.
    record::ResultEntry outcome() {
        auto reader = record::Reader::open(folder_ / "journal");
        EXPECT_TRUE(reader);
        for (auto stored = reader->next(); stored && *stored; stored = reader->next())
            if ((*stored)->entry.has_result()) return (*stored)->entry.result();
        ADD_FAILURE() << "no outcome";
        return {};
    }

    tcp::acceptor listener_{context_, {asio::ip::address_v4::loopback(), 0}};
};

TEST_F(Relay, CarriesMuchBothWaysAtOnceAndEachHalfToItsEnd) {
    Stream agent = this->agent();
    const Buffer up = octets(kMuch, 1), down = octets(kMuch - 12345, 2);
    std::optional<Stream> server;
    const auto script = [&]() -> asio::awaitable<void> {
        server = co_await this->server();
        spawn(context_, say(*server, down));
        spawn(context_, hear(*server, up));
        spawn(context_, say(agent, up));
        co_await hear(agent, down);
    };
    play(script());
    EXPECT_EQ(shared_.registry.size(), 0U);
    EXPECT_EQ(outcome().bytes_up(), up.size());
    EXPECT_EQ(outcome().bytes_down(), down.size());
}

TEST_F(Relay, AReaderThatDoesNotReadStopsTheWriter) {
    Stream agent = this->agent();
    const Buffer down = octets(3 * kMuch, 3);  // more than four sockets of loopback hold
    const auto script = [&]() -> asio::awaitable<void> {
        Stream server = co_await this->server();
        // As much as the sockets, the pipe and the runner take: then nothing until somebody reads.
        std::size_t sent = 0;
        asio::steady_timer quiet{context_};
        for (bool moved = true; moved;) {
            const iovec piece{const_cast<std::byte*>(down.data()) + sent, down.size() - sent};
            const Stream::Moved step = server.write({&piece, 1});
            moved = step.bytes != 0;
            sent += step.bytes;
            quiet.expires_after(std::chrono::milliseconds{200});
            co_await quiet.async_wait(asio::use_awaitable);
        }
        EXPECT_LT(sent, down.size());
        spawn(context_, hear(agent, down));
        const Bytes rest = Bytes{down}.subspan(sent);
        co_await say(server, rest);
        agent.shutdown_write();
    };
    play(script());
    EXPECT_EQ(outcome().bytes_down(), down.size());
}

TEST_F(Relay, EndsWhenTheReaderIsGone) {
    std::optional<Stream> agent = this->agent();
    const Buffer down = octets(kMuch, 4);
    const auto script = [&]() -> asio::awaitable<void> {
        Stream server = co_await this->server();
        bool ended = false;
        const auto talk = [&]() -> asio::awaitable<void> {
            ended = !co_await write_all(server, down);
        };
        const auto leave = [&]() -> asio::awaitable<void> {
            co_await read_up_to(*agent, 1 << 20);
            agent->reset();
        };
        spawn(context_, leave());
        co_await talk();
        EXPECT_TRUE(ended);
    };
    play(script());
    EXPECT_EQ(shared_.registry.size(), 0U);
}

TEST(Pipe, IsRefilledOnlyWhenItIsEmptyAndTellsBlocking) {
    asio::io_context context{1};
    Wire from = connected(context), to = connected(context);
    auto pipe = Pipe::make();
    ASSERT_TRUE(pipe);
    EXPECT_EQ(from.theirs.read(*pipe).state, Stream::State::WouldBlock);
    const Buffer word = copy(as_bytes("word"));
    const iovec piece{const_cast<std::byte*>(word.data()), word.size()};
    from.ours.write({&piece, 1});
    const Stream::Moved in = from.theirs.read(*pipe);
    EXPECT_EQ(in.state, Stream::State::Done);
    EXPECT_EQ(pipe->holds(), word.size());
    EXPECT_EQ(to.ours.write(*pipe).bytes, word.size());
    EXPECT_EQ(pipe->holds(), 0U);
    std::array<std::byte, 8> got{};
    EXPECT_EQ(to.theirs.read(got).bytes, word.size());
    from.ours.close();
    EXPECT_EQ(from.theirs.read(*pipe).state, Stream::State::Closed);
}

}  // namespace
}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/poller.h"

#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

namespace chaperone::net {
namespace {

struct Told final : Poller::Listener {
    std::function<void()> then;
    int times = 0;
    void ready() noexcept override {
        ++times;
        if (then) then();
    }
};

class PollerTest : public testing::Test {
protected:
    // A watched end of a pair of sockets; the other end is written to.
    struct Watched {
        UniqueFd mine, theirs;
        std::shared_ptr<Told> told = std::make_shared<Told>();
        std::unique_ptr<Poller::Slot> slot;

        std::string read() {
            std::array<char, 64> room;
            const ssize_t n = ::recv(mine.get(), room.data(), room.size(), MSG_DONTWAIT);
            slot->readable = false;
            return n > 0 ? std::string(room.data(), static_cast<std::size_t>(n)) : "";
        }
        void write(const char* text) const {
            ASSERT_GT(::send(theirs.get(), text, std::strlen(text), 0), 0);
        }
    };

    Watched watched() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        Watched made{.mine = UniqueFd{ends[0]}, .theirs = UniqueFd{ends[1]}};
        auto slot = Poller::of(context_).add(made.mine.get(), made.told);
        EXPECT_TRUE(slot);
        made.slot = std::move(*slot);
        return made;
    }

    asio::io_context context_{1};
};

TEST_F(PollerTest, TellsOfEachArrivalAndEndsWithTheLastSlot) {
    Watched socket = watched();
    std::string got;
    socket.told->then = [&] {
        if (!socket.slot->readable) return;
        got += socket.read();
        if (got == "abc") socket.slot.reset();
    };
    socket.write("a");
    asio::post(context_, [&] {
        socket.write("b");
        asio::post(context_, [&] { socket.write("c"); });
    });
    context_.run();
    EXPECT_EQ(got, "abc");
    context_.restart();
    EXPECT_EQ(context_.run(), 0u);  // nothing of it keeps the context alive
}

TEST_F(PollerTest, TellsOfTheEndTogetherWithTheLastBytes) {
    Watched socket = watched();
    socket.write("last");
    socket.theirs.reset();
    socket.told->then = [&] {
        EXPECT_TRUE(socket.slot->hangup);
        socket.slot.reset();
    };
    context_.run();
    EXPECT_EQ(socket.told->times, 1);
}

TEST_F(PollerTest, ASlotThatIsGivenUpInATurnIsNotToldInIt) {
    Watched one = watched(), other = watched();
    const auto give_up = [&] {
        one.slot.reset();
        other.slot.reset();
    };
    one.told->then = other.told->then = give_up;
    one.write("x");
    other.write("x");
    context_.run();
    EXPECT_EQ(one.told->times + other.told->times, 1);
}

TEST_F(PollerTest, LaterComesAfterWhatIsReady) {
    Watched socket = watched();
    std::string order;
    const auto late = std::make_shared<Told>();
    late->then = [&] {
        order += "late ";
        socket.slot.reset();
    };
    socket.told->then = [&] {
        if (order.empty()) Poller::of(context_).later(late);
        order += "socket ";
        if (order == "socket ") socket.write("more");
        (void)socket.read();
    };
    std::array<char, 1> none{};
    ASSERT_EQ(::send(socket.mine.get(), none.data(), 1, 0), 1);
    socket.write("x");
    context_.run();
    EXPECT_EQ(order.rfind("socket ", 0), 0u);
    EXPECT_EQ(order.substr(order.size() - 5), "late ");
}

TEST_F(PollerTest, WhatIsPostedFromAnotherThreadIsDoneWhileSocketsAreBusy) {
    Watched socket = watched();
    bool done = false;
    // Ready again in every turn, so that the io_context itself never gets to wait.
    socket.told->then = [&] {
        (void)socket.read();
        if (done) return socket.slot.reset();
        socket.write("again");
    };
    socket.write("first");
    std::thread other{[&] { Poller::of(context_).post([&] { done = true; }); }};
    context_.run();
    other.join();
    EXPECT_TRUE(done);
}

// A post that nobody was woken for would wait for the end of the thread's patience each time.
TEST_F(PollerTest, WhatIsPostedWhileSocketsAreQuietIsDoneAtOnce) {
    constexpr int kPosts = 500;
    Watched socket = watched();
    std::atomic<int> done = 0;
    socket.told->then = [&] { (void)socket.read(); };
    socket.write("first");  // from here on the thread waits for sockets
    const auto since = std::chrono::steady_clock::now();
    std::thread other{[&] {
        for (int i = 0; i != kPosts; ++i) {
            Poller::of(context_).post([&] {
                if (++done == kPosts) socket.slot.reset();
                done.notify_one();
            });
            done.wait(i);
        }
    }};
    context_.run();
    other.join();
    EXPECT_EQ(done, kPosts);
    EXPECT_LT(std::chrono::steady_clock::now() - since, kPosts * std::chrono::milliseconds{15});
}

TEST_F(PollerTest, TimersGoOffWhileSocketsAreBusy) {
    Watched socket = watched();
    asio::steady_timer timer{context_, std::chrono::milliseconds{5}};
    bool off = false;
    timer.async_wait([&](boost::system::error_code) { off = true; });
    socket.told->then = [&] {
        (void)socket.read();
        if (off) return socket.slot.reset();
        socket.write("again");
    };
    socket.write("first");
    context_.run();
    EXPECT_TRUE(off);
}

TEST_F(PollerTest, LetsListenersGoWhenTheContextEnds) {
    std::weak_ptr<Told> kept;
    std::unique_ptr<Poller::Slot> slot;
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    {
        asio::io_context context{1};
        auto told = std::make_shared<Told>();
        kept = told;
        auto added = Poller::of(context).add(ends[0], told);
        ASSERT_TRUE(added);
        // The listener owns its slot, as a session does.
        told->then = [held = std::shared_ptr{std::move(*added)}] {};
    }
    EXPECT_TRUE(kept.expired());
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace chaperone::net

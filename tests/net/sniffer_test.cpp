// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/sniffer.h"

#include "tests/net/wires.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::net {
namespace {

class SnifferTest : public testing::Test {
protected:
    static constexpr Sniffer::Clock::time_point kUntil{std::chrono::hours{1}};

    void start() {
        auto found = [this](Stream stream, const AskedName& asked, Buffer early) {
            ++times_;
            given_.emplace(std::move(stream));
            name_ = asked.name;
            early_ = as_text(early);
        };
        auto sniffer = std::make_shared<Sniffer>(std::move(wire_.ours), kUntil, std::move(found));
        ASSERT_TRUE(sniffer->start(Poller::of(context_)));
        sniffer_ = sniffer;
    }
    void write(std::string_view text) {
        const iovec piece{const_cast<char*>(text.data()), text.size()};
        ASSERT_EQ(wire_.theirs.write({&piece, 1}).bytes, text.size());
    }
    void run() {
        while (times_ == 0 && context_.run_one() != 0) {
        }
    }

    asio::io_context context_{1};
    Wire wire_ = connected(context_);
    std::weak_ptr<Sniffer> sniffer_;
    int times_ = 0;
    std::optional<Stream> given_;
    std::string name_, early_;
};

TEST_F(SnifferTest, TellsTheNameAndGivesTheBytesOn) {
    write("GET / HTTP/1.1\r\nHost: a.exam");
    start();
    asio::post(context_, [this] { write("ple\r\n\r\n"); });
    run();
    EXPECT_EQ(name_, "a.example");
    EXPECT_EQ(early_, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    EXPECT_EQ(times_, 1);
    EXPECT_TRUE(given_->is_open());
}

TEST_F(SnifferTest, OfWhomIsGoneTellsNothing) {
    write("GET");
    wire_.theirs.close();
    start();
    run();
    EXPECT_EQ(name_, "");
    EXPECT_EQ(early_, "GET");
}

TEST_F(SnifferTest, WaitsNoLongerThanItMay) {
    write("GET");
    start();
    auto sniffer = sniffer_.lock();
    sniffer->tick(kUntil - std::chrono::seconds{1});
    EXPECT_EQ(times_, 0);
    sniffer->tick(kUntil);
    EXPECT_EQ(times_, 1);
    sniffer->tick(kUntil);
    EXPECT_EQ(times_, 1);
}

TEST_F(SnifferTest, IsGoneOnceSomebodyElseIsTold) {
    struct Nobody final : Poller::Listener {
        void ready() noexcept override {}
    };
    write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    start();
    run();
    ASSERT_TRUE(given_->watch(Poller::of(context_), std::make_shared<Nobody>()));
    EXPECT_TRUE(sniffer_.expired());
}

}  // namespace
}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/acceptor.h"

#include "userspace/net/io_thread.h"
#include "userspace/net/listener.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <string>
#include <vector>

namespace chaperone::net {
namespace {

// Two threads that accept on one socket.
class AcceptorTest : public testing::Test {
protected:
    AcceptorTest() {
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto fd =
            make_listener(SOCK_STREAM, reinterpret_cast<const sockaddr*>(&any), sizeof any, {});
        entrance_ = *Entrance::make(*std::move(fd));
        for (std::size_t i = 0; i != threads_.size(); ++i) {
            threads_[i] = *IoThread::start(static_cast<unsigned>(i));
            acceptors_[i] = std::make_shared<Acceptor>(
                poller(i), entrance_,
                [this](UniqueFd connection, const boost::asio::ip::tcp::endpoint& client) {
                    ports_[taken_++ % ports_.size()] = client.port();
                    std::array<char, 16> name{};
                    socklen_t size = name.size();
                    ::getsockopt(connection.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &size);
                    within_ += std::string{name.data()} == "reno" ? 1 : 0;
                });
            on(i, [this, i] { acceptors_[i]->start(); });
        }
    }
    ~AcceptorTest() override {
        for (std::size_t i = 0; i != threads_.size(); ++i)
            on(i, [this, i] { acceptors_[i]->stop(); });
        for (auto& thread : threads_) thread->join();
    }

    Poller& poller(std::size_t i) { return Poller::of(threads_[i]->context()); }
    // On the thread, to its end.
    void on(std::size_t i, const std::function<void()>& run) {
        std::promise<void> done;
        poller(i).post([&] {
            run();
            done.set_value();
        });
        done.get_future().wait();
    }
    UniqueFd connect() {
        UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        EXPECT_EQ(
            ::connect(fd.get(), entrance_->at.data(), static_cast<socklen_t>(entrance_->at.size())),
            0);
        return fd;
    }
    // Closed by whoever accepted it and let it go.
    static void wait_for_end(const UniqueFd& connection) {
        char byte = 0;
        EXPECT_EQ(::recv(connection.get(), &byte, 1, 0), 0);
    }

    std::shared_ptr<const Entrance> entrance_;
    std::array<std::unique_ptr<IoThread>, 2> threads_;
    std::array<std::shared_ptr<Acceptor>, 2> acceptors_;
    std::array<std::atomic<unsigned>, 512> ports_{};
    std::atomic<std::size_t> taken_{0};
    std::atomic<std::size_t> within_{0};
};

TEST_F(AcceptorTest, EachConnectionIsAcceptedOnce) {
    std::vector<UniqueFd> all;
    for (int i = 0; i != 256; ++i) all.push_back(connect());
    for (const UniqueFd& one : all) wait_for_end(one);
    EXPECT_EQ(taken_, 256u);
    EXPECT_EQ(within_, 256u);  // what it accepts has the listener's options
}

TEST_F(AcceptorTest, TellsWhoCame) {
    const UniqueFd one = connect();
    sockaddr_in name{};
    socklen_t size = sizeof name;
    ::getsockname(one.get(), reinterpret_cast<sockaddr*>(&name), &size);
    wait_for_end(one);
    EXPECT_EQ(ports_[0], ntohs(name.sin_port));
}

TEST_F(AcceptorTest, WhatComesAfterOneHasStoppedIsTheOthers) {
    on(0, [this] { acceptors_[0]->stop(); });
    for (int i = 0; i != 64; ++i) wait_for_end(connect());
    EXPECT_EQ(taken_, 64u);
    on(1, [this] { acceptors_[1]->stop(); });
    const UniqueFd waiting = connect();  // in the backlog
    on(0, [this] { acceptors_[0]->start(); });
    wait_for_end(waiting);
    EXPECT_EQ(taken_, 65u);
}

}  // namespace
}  // namespace chaperone::net

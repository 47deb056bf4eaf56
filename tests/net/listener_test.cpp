// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <span>
#include <string>
#include <vector>

namespace chaperone::net {
namespace {

sockaddr_in local(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = port;
    return at;
}

const sockaddr* as_any(const sockaddr_in& at) {
    return reinterpret_cast<const sockaddr*>(&at);
}

sockaddr_in name_of(const UniqueFd& fd) {
    sockaddr_in at{};
    socklen_t size = sizeof at;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size);
    return at;
}

UniqueFd made(const sockaddr_in& at, std::span<const int> kept = {}) {
    auto fd = make_listener(SOCK_STREAM, as_any(at), sizeof at, kept);
    EXPECT_TRUE(fd) << fd.error().message();
    return fd ? *std::move(fd) : UniqueFd{};
}

bool is_same(const UniqueFd& one, const UniqueFd& other) {
    struct stat first{}, second{};
    ::fstat(one.get(), &first);
    ::fstat(other.get(), &second);
    return first.st_ino == second.st_ino;
}

TEST(Listener, IsTheKeptOneThatListensExactlyThere) {
    const UniqueFd kept = made(local(0));
    ASSERT_NE(name_of(kept).sin_port, 0);
    const std::vector<int> offered{-1, 0, kept.get()};
    const UniqueFd found = made(name_of(kept), offered);
    EXPECT_TRUE(is_same(found, kept));
    EXPECT_NE(found.get(), kept.get());
    EXPECT_FALSE(is_same(made(local(0), offered), kept));
}

// What is offered at the address and is not the very socket: the port is taken, and nothing else.
void expect_refused(int type, const UniqueFd& offered) {
    const std::vector<int> kept{offered.get()};
    const sockaddr_in there = name_of(offered);
    const auto found = make_listener(type, as_any(there), sizeof there, kept);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::Unavailable);
    EXPECT_NE(found.error().detail.find(std::to_string(ntohs(there.sin_port))), std::string::npos);
}

UniqueFd bound(int type, int option = 0) {
    UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
    const int on = 1;
    if (option != 0) ::setsockopt(fd.get(), SOL_SOCKET, option, &on, sizeof on);
    const sockaddr_in any = local(0);
    EXPECT_EQ(::bind(fd.get(), as_any(any), sizeof any), 0);
    return fd;
}

TEST(Listener, IsNotOneThatIsOnlyBound) {
    expect_refused(SOCK_STREAM, bound(SOCK_STREAM));
}

TEST(Listener, IsNotOneThatOthersCouldShare) {
    const UniqueFd shared = bound(SOCK_STREAM, SO_REUSEPORT);
    ASSERT_EQ(::listen(shared.get(), 1), 0);
    expect_refused(SOCK_STREAM, shared);
}

TEST(Listener, IsNotAConnection) {
    const UniqueFd listener = made(local(0));
    const sockaddr_in there = name_of(listener);
    const UniqueFd client = bound(SOCK_STREAM);
    ASSERT_EQ(::connect(client.get(), as_any(there), sizeof there), 0);
    expect_refused(SOCK_STREAM, client);
}

TEST(Listener, OfDatagramsIsTheKeptOneThatHasNoPeer) {
    const UniqueFd kept = bound(SOCK_DGRAM);
    const sockaddr_in there = name_of(kept);
    const std::vector<int> offered{kept.get()};
    const auto found = make_listener(SOCK_DGRAM, as_any(there), sizeof there, offered);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_TRUE(is_same(*found, kept));
    const UniqueFd peer = bound(SOCK_DGRAM);
    const sockaddr_in its = name_of(peer);
    ASSERT_EQ(::connect(kept.get(), as_any(its), sizeof its), 0);
    expect_refused(SOCK_DGRAM, kept);
}

TEST(Listener, IsMadeForBothFamiliesOnOnePort) {
    const UniqueFd v4 = made(local(0));
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    at.sin6_port = name_of(v4).sin_port;
    const auto* any = reinterpret_cast<const sockaddr*>(&at);
    const auto v6 = make_listener(SOCK_STREAM, any, sizeof at, {});
    ASSERT_TRUE(v6);
    const std::vector<int> offered{v4.get(), v6->get()};
    const auto found = make_listener(SOCK_STREAM, any, sizeof at, offered);
    ASSERT_TRUE(found);
    EXPECT_TRUE(is_same(*found, *v6));
}

}  // namespace
}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/netns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

namespace chaperone::net {
namespace {

constexpr int kBacklog = 4096;
// linux/in6.h, which netinet/in.h does not bear beside it.
constexpr int kIpv6Freebind = 78;

Result<UniqueFd> listen_at(int type, const sockaddr* at, socklen_t size) {
    UniqueFd fd{::socket(at->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!fd) return system_error("open a socket", errno);
    const int on = 1;
    const bool v6 = at->sa_family == AF_INET6;
    // Two datagram sockets would share the port by it, and the questions.
    if (type == SOCK_STREAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (v6 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return system_error("keep a socket to IPv6", errno);
    const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
    if (::setsockopt(fd.get(), level, v6 ? kIpv6Freebind : IP_FREEBIND, &on, sizeof on) != 0)
        return system_error("bind before the address is there", errno);
    if (::bind(fd.get(), at, size) != 0 ||
        (type == SOCK_STREAM && ::listen(fd.get(), kBacklog) != 0)) {
        if (errno == EADDRINUSE) return fail(Errc::Unavailable, "the port is taken");
        return system_error("listen on loopback", errno);
    }
    return fd;
}

Result<std::vector<UniqueFd>> on_loopback(int type, std::uint16_t port) {
    std::vector<UniqueFd> made;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto fd = listen_at(type, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    if (!fd) return fail(fd.error());
    made.push_back(*std::move(fd));

    // Where IPv6 is switched off there is nobody who could connect by it.
    const UniqueFd probe{::socket(AF_INET6, type | SOCK_CLOEXEC, 0)};
    if (!probe && errno == EAFNOSUPPORT) return made;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_addr = in6addr_loopback;
    fd = listen_at(type, reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
    if (!fd) return fail(fd.error());
    made.push_back(*std::move(fd));
    return made;
}

}  // namespace

Result<> in_netns(int netns_fd, const std::function<Result<>()>& run) {
    std::optional<Result<>> done;
    const auto body = [&] {
        if (::setns(netns_fd, CLONE_NEWNET) != 0)
            done = system_error("enter a network namespace", errno);
        else
            done = run();
    };
    try {
        std::thread{body}.join();
    } catch (const std::system_error& error) {
        return system_error("start a thread", error.code().value());
    }
    return *done;
}

Result<std::vector<UniqueFd>> listen_on_loopback(std::uint16_t port) {
    return on_loopback(SOCK_STREAM, port);
}

Result<std::vector<UniqueFd>> bind_on_loopback(std::uint16_t port) {
    return on_loopback(SOCK_DGRAM, port);
}

}  // namespace chaperone::net

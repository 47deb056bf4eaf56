// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/netns.h"

#include "userspace/net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <system_error>
#include <thread>

namespace chaperone::net {
namespace {

Result<std::vector<UniqueFd>> on_loopback(int type, std::uint16_t port, std::span<const int> kept) {
    std::vector<UniqueFd> made;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto fd = make_listener(type, reinterpret_cast<const sockaddr*>(&v4), sizeof v4, kept);
    if (!fd) return fail(fd.error());
    made.push_back(*std::move(fd));

    // Where IPv6 is switched off there is nobody who could connect by it.
    const UniqueFd probe{::socket(AF_INET6, type | SOCK_CLOEXEC, 0)};
    if (!probe && errno == EAFNOSUPPORT) return made;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_addr = in6addr_loopback;
    fd = make_listener(type, reinterpret_cast<const sockaddr*>(&v6), sizeof v6, kept);
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

Result<std::vector<UniqueFd>> listen_on_loopback(std::uint16_t port, std::span<const int> kept) {
    return on_loopback(SOCK_STREAM, port, kept);
}

Result<std::vector<UniqueFd>> bind_on_loopback(std::uint16_t port, std::span<const int> kept) {
    return on_loopback(SOCK_DGRAM, port, kept);
}

}  // namespace chaperone::net

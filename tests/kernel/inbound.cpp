// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/inbound.h"

namespace chaperone::kernel::testing {

std::string hear(int fd) {
    char text[256];
    if (!readable(fd, kSoonMs)) return "nothing";
    const ssize_t n = ::recv(fd, text, sizeof(text), 0);
    return n < 0 ? error_name(errno) : std::string(text, std::size_t(n));
}

std::string call(int fd, const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.size);
    pollfd done{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&done, 1, kSoonMs) != 1) return "nothing";
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error_name(error);
    if (::send(fd, "hi", 2, MSG_NOSIGNAL) != 2) return error_name(errno);
    return hear(fd);
}

std::string call(const std::string& host, std::uint16_t port) {
    return call(stream(target(host, 1).address.ss_family).get(), host, port);
}

std::string call_fast(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd = stream(to.address.ss_family, SOCK_NONBLOCK);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
    ::sendto(fd.get(), "hi", 2, MSG_FASTOPEN | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&to.address), to.size);
    return hear(fd.get());
}

std::string say(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd{::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (::sendto(fd.get(), "hi", 2, 0, reinterpret_cast<const sockaddr*>(&to.address), to.size) < 0)
        return error_name(errno);
    return hear(fd.get());
}

Verdict from(const std::string& network, std::uint16_t port, unsigned prefix, int protocol,
             Verdict::Action action) {
    const auto address = from_sockaddr(target(network, port).address);
    return {.protocol = protocol,
            .network = address.value(),
            .prefix = address->is_v4() ? 96 + prefix : prefix,
            .action = action};
}

}  // namespace chaperone::kernel::testing

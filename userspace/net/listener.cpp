// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

namespace chaperone::net {
namespace {

// Connects that wait to be accepted.
constexpr int kBacklog = 4096;
// linux/in6.h, which netinet/in.h does not bear beside it.
constexpr int kIpv6Freebind = 78;

std::optional<int> option(int fd, int level, int name) {
    int says = 0;
    socklen_t size = sizeof says;
    if (::getsockopt(fd, level, name, &says, &size) != 0) return std::nullopt;
    return says;
}

bool is_at(int fd, const sockaddr* at, socklen_t size) {
    sockaddr_storage name{};
    socklen_t its = sizeof name;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &its) == 0 && its == size &&
           std::memcmp(&name, at, size) == 0;
}

bool has_peer(int fd) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0;
}

// Whoever made the socket could else share the port, or read what comes.
bool is_ours_alone(int fd) {
    struct stat about{};
    return ::fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) && about.st_uid == ::geteuid() &&
           option(fd, SOL_SOCKET, SO_REUSEPORT) == 0;
}

bool is_kept(int fd, int type, const sockaddr* at, socklen_t size, std::uint64_t netns) {
    const bool stream = type == SOCK_STREAM;
    return netns != 0 && netns_cookie(fd) == netns && is_at(fd, at, size) && is_ours_alone(fd) &&
           option(fd, SOL_SOCKET, SO_TYPE) == type &&
           option(fd, SOL_SOCKET, SO_PROTOCOL) == (stream ? IPPROTO_TCP : IPPROTO_UDP) &&
           option(fd, SOL_SOCKET, SO_ACCEPTCONN) == (stream ? 1 : 0) && !has_peer(fd) &&
           (at->sa_family != AF_INET6 || option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
}

UniqueFd make_socket(int family, int type) {
    return UniqueFd{::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

}  // namespace

std::uint64_t netns_cookie(int socket) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (::getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) return 0;
    return cookie;
}

Result<UniqueFd> make_listener(int type, const sockaddr* at, socklen_t size,
                               std::span<const int> kept) {
    UniqueFd fd = make_socket(at->sa_family, type);
    if (!fd) return system_error("open a socket", errno);
    const std::uint64_t netns = netns_cookie(fd.get());
    for (const int one : kept)
        if (is_kept(one, type, at, size, netns)) {
            UniqueFd own{::fcntl(one, F_DUPFD_CLOEXEC, 0)};
            if (!own) return system_error("take on a socket", errno);
            return own;
        }
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
        const int why = errno;
        // The port stands at the same place in both families' addresses.
        const auto port = ntohs(reinterpret_cast<const sockaddr_in*>(at)->sin_port);
        if (why == EADDRINUSE)
            return fail(Errc::Unavailable, "port " + std::to_string(port) + " is taken");
        return system_error("listen on port " + std::to_string(port), why);
    }
    return fd;
}

}  // namespace chaperone::net

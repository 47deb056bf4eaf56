// SPDX-License-Identifier: Apache-2.0
// TCP. Nobody answers on the wire, so the payload leaves with the SYN (fast open without a cookie),
// or over a connection that was never made (repair).
#include "tests/kernel/ways.h"

#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

namespace chaperone::kernel::testing {

namespace {

// Whose first bytes leave with the SYN.
UniqueFd fast(int family) {
    UniqueFd fd = stream(family, SOCK_NONBLOCK);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
    return fd;
}

std::string send_at_once(const UniqueFd& fd, const char* host) {
    return send_to(fd.get(), target(host, 443), MSG_FASTOPEN);
}

std::string source_routed() {
    const UniqueFd fd = fast(AF_INET);
    const unsigned char route[8] = {131, 7, 4, 198, 51, 100, 9, 0};  // loose, one hop
    ::setsockopt(fd.get(), IPPROTO_IP, IP_OPTIONS, route, sizeof(route));
    bind_to_wire(fd.get());
    return send_at_once(fd, "198.51.100.1");
}

std::string deferred() {
    const UniqueFd fd = fast(AF_INET);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
    connect_to(fd.get(), target("198.51.100.1", 443));
    return send_on(fd.get());
}

std::string foreign_source() {
    const UniqueFd fd = fast(AF_INET);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
    const Target from = target("203.0.113.9", 0);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from.address), from.size) != 0)
        return error_name(errno);
    return send_at_once(fd, "198.51.100.1");
}

std::string connected_elsewhere_again() {
    const UniqueFd fd = fast(AF_INET);
    connect_to(fd.get(), target("127.0.0.1", 1));
    const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
    ::connect(fd.get(), &nowhere, sizeof(nowhere));
    return send_at_once(fd, "198.51.100.1");
}

// A connection out of nothing, for migration: established without a handshake.
std::string repaired() {
    const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
    const int on = 1, off = 0;
    if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) != 0)
        return error_name(errno);
    const Target from = target("192.0.2.1", 4321);
    ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from.address), from.size);
    const std::string connected = connect_to(fd.get(), target("198.51.100.1", 443));
    if (connected != "ok") return connected;
    tcp_repair_window window{};  // as if the peer had offered it
    window.snd_wnd = window.max_window = window.rcv_wnd = 65'535;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window));
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
    const linger reset{.l_onoff = 1, .l_linger = 0};  // else it goes on sending after its end
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return send_on(fd.get());
}

// The agent is root of its namespace, as in a container with CAP_NET_ADMIN, and turns the
// proxy's own address out of the door.
std::string rerouted() {
    const char* commands =
        "sysctl -qw net.ipv4.conf.all.route_localnet=1 && "
        "ip route del local 127.0.0.0/8 dev lo table local && "
        "{ ip route del local 127.0.0.1 dev lo table local; "
        "ip route add 127.0.0.1/32 via 192.0.2.2 dev wire; }";
    if (std::system(commands) != 0) return "no route";
    const UniqueFd fd = fast(AF_INET);
    const std::string sent = send_at_once(fd, "127.0.0.1");
    return sent;
}

// What it was, for the trial that comes after.
std::string rerouted_and_back() {
    std::string sent = rerouted();
    const char* commands =
        "ip route del 127.0.0.1/32 dev wire; ip route add local 127.0.0.0/8 dev lo table local; "
        "ip route add local 127.0.0.1 dev lo table local";
    if (std::system(commands) != 0) return "no way back";
    return sent;
}

}  // namespace

std::string send_by_io_uring(int fd, const Target& to, int flags) {
    io_uring_params about{};
    const UniqueFd ring{int(::syscall(SYS_io_uring_setup, 1, &about))};
    if (!ring) return error_name(errno);
    const std::size_t queue =
        std::max(about.sq_off.array + about.sq_entries * sizeof(std::uint32_t),
                 about.cq_off.cqes + about.cq_entries * sizeof(io_uring_cqe));
    const auto map = [&](std::size_t size, std::uint64_t what) {
        return static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                         MAP_SHARED | MAP_POPULATE, ring.get(), off_t(what)));
    };
    char* shared = map(queue, IORING_OFF_SQ_RING);
    auto* entry = reinterpret_cast<io_uring_sqe*>(map(sizeof(io_uring_sqe), IORING_OFF_SQES));
    Target address = to;
    iovec data{const_cast<char*>(kPayload.data()), kPayload.size()};
    msghdr message{};
    message.msg_name = &address.address;
    message.msg_namelen = address.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    *entry = {};
    entry->opcode = IORING_OP_SENDMSG;
    entry->fd = fd;
    entry->addr = reinterpret_cast<std::uint64_t>(&message);
    entry->len = 1;
    entry->msg_flags = std::uint32_t(flags);
    *reinterpret_cast<std::uint32_t*>(shared + about.sq_off.array) = 0;
    std::atomic_ref{*reinterpret_cast<std::uint32_t*>(shared + about.sq_off.tail)} = 1;
    if (::syscall(SYS_io_uring_enter, ring.get(), 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) < 0)
        return error_name(errno);
    const int result = reinterpret_cast<io_uring_cqe*>(shared + about.cq_off.cqes)->res;
    return error_name(result < 0 ? -result : 0);
}

std::vector<Way> stream_ways() {
    return {
        {"TcpFastOpenOverTheWire",
         [] {
             const UniqueFd fd = fast(AF_INET);
             bind_to_wire(fd.get());
             return send_at_once(fd, "198.51.100.1");
         }},
        {"TcpFastOpenMapped", [] { return send_at_once(fast(AF_INET6), "::ffff:198.51.100.1"); }},
        {"TcpFastOpenDeferred", deferred},
        {"TcpFastOpenRoutingHeader",
         [] {
             const UniqueFd fd = fast(AF_INET6);
             route_through(fd.get(), "2001:db8:1::1");
             return send_at_once(fd, "2001:db8:2::1");
         }},
        {"TcpFastOpenSourceRoute", source_routed},
        {"TcpFastOpenForeignSource", foreign_source},
        {"TcpFastOpenMark",
         [] {
             const UniqueFd fd = fast(AF_INET);
             const int mark = 7;
             ::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
             return send_at_once(fd, "198.51.100.1");
         }},
        {"TcpFastOpenUnicastInterface",
         [] {
             const UniqueFd fd = fast(AF_INET);
             const std::uint32_t index = htonl(::if_nametoindex("wire"));
             ::setsockopt(fd.get(), IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index));
             return send_at_once(fd, "198.51.100.1");
         }},
        {"TcpFastOpenLinkLocal",
         [] {
             Target to = target("fe80::2", 443);
             reinterpret_cast<sockaddr_in6*>(&to.address)->sin6_scope_id = ::if_nametoindex("wire");
             return send_to(fast(AF_INET6).get(), to, MSG_FASTOPEN);
         }},
        {"TcpFastOpenByIoUring",
         [] {
             return send_by_io_uring(fast(AF_INET).get(), target("198.51.100.1", 443),
                                     MSG_FASTOPEN);
         }},
        {"TcpConnectedElsewhereAgain", connected_elsewhere_again},
        {"TcpRepaired", repaired},
        {"TcpWithLoopbackRoutedOut", rerouted_and_back},
        {"MptcpFastOpen",
         [] {
             const UniqueFd fd{
                 ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_MPTCP)};
             if (!fd) return error_name(errno);
             const int on = 1;
             ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
             return send_at_once(fd, "198.51.100.1");
         },
         "EPROTONOSUPPORT", Proof::OnTheWire, false, true},
    };
}

}  // namespace chaperone::kernel::testing

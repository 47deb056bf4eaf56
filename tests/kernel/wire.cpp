// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstdlib>

namespace chaperone::kernel::testing {

Wire::Wire() {
    std::thread{[&] { set_up(); }}.join();
}

void Wire::enter() const {
    if (::setns(netns_.get(), CLONE_NEWNET) != 0) ::_exit(96);
}

bool Wire::saw_payload() const {
    bool seen = false;
    char frame[2048];
    for (;;) {
        const ssize_t n = ::recv(tap_.get(), frame, sizeof(frame), MSG_DONTWAIT);
        if (n < 0) return seen;
        seen = seen ||
               std::string_view{frame, std::size_t(n)}.find(kPayload) != std::string_view::npos;
    }
}

void Wire::set_up() {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    netns_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const char* commands =
        "ip link add wire type veth peer name far && ip link set wire arp off && "
        "ip link set lo up && ip link set wire up && ip link set far up && "
        "ip addr add 192.0.2.1/24 brd + dev wire && "
        "ip -6 addr add 2001:db8::1/64 dev wire nodad && "
        "ip -6 addr add fe80::1/64 dev wire nodad && "
        "ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8::2 && "
        "sysctl -qw net.ipv4.ping_group_range='0 2147483647'";
    ASSERT_EQ(std::system(commands), 0) << "needs iproute2 and procps";
    tap_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll far{};
    far.sll_family = AF_PACKET;
    far.sll_protocol = htons(ETH_P_ALL);
    far.sll_ifindex = int(::if_nametoindex("far"));
    ASSERT_EQ(::bind(tap_.get(), reinterpret_cast<sockaddr*>(&far), sizeof(far)), 0);
}

UniqueFd datagram(int family) {
    return UniqueFd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

std::string outcome(long result) {
    return error_name(result < 0 ? errno : 0);
}

std::string send_to(int fd, const Target& to, int flags) {
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return outcome(::sendto(fd, kPayload.data(), kPayload.size(), flags, address, to.size));
}

std::string send_on(int fd, int flags) {
    return outcome(::send(fd, kPayload.data(), kPayload.size(), flags | MSG_NOSIGNAL));
}

void bind_to_wire(int fd) {
    ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "wire", sizeof("wire"));
}

void route_through(int fd, const char* segment) {
    struct {
        std::uint8_t next, length, type, left, last, flags;
        std::uint16_t tag;
        in6_addr segments[2];
    } header{.next = 0,
             .length = 4,
             .type = 4,
             .left = 1,
             .last = 1,
             .flags = 0,
             .tag = 0,
             .segments = {}};
    ::inet_pton(AF_INET6, segment, &header.segments[1]);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, &header, sizeof(header));
}

}  // namespace chaperone::kernel::testing

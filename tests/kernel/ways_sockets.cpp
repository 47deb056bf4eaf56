// SPDX-License-Identifier: Apache-2.0
// Sockets that are neither TCP nor UDP, and what passes by IP altogether.
#include "tests/kernel/ways.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

#include <cstring>

namespace chaperone::kernel::testing {

namespace {

template <int family, int type, int protocol>
std::string make() {
    return outcome(UniqueFd{::socket(family, type | SOCK_CLOEXEC, protocol)} ? 0 : -1);
}

std::string ping() {
    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP)};
    if (!fd) return error_name(errno);
    char packet[sizeof(icmphdr) + kPayload.size()]{};
    packet[0] = ICMP_ECHO;
    kPayload.copy(packet + sizeof(icmphdr), kPayload.size());
    const Target to = target("198.51.100.1", 0);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return outcome(::sendto(fd.get(), packet, sizeof(packet), 0, address, to.size));
}

// IPPROTO_RAW: the sender writes the header, with any source, destination and protocol.
std::string own_header() {
    const UniqueFd fd{::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)};
    if (!fd) return error_name(errno);
    char packet[sizeof(iphdr) + kPayload.size()]{};
    iphdr head{};
    head.version = 4;
    head.ihl = 5;
    head.ttl = 64;
    head.protocol = IPPROTO_TCP;
    ::inet_pton(AF_INET, "198.51.100.1", &head.daddr);
    std::memcpy(packet, &head, sizeof(head));
    kPayload.copy(packet + sizeof(head), kPayload.size());
    const Target to = target("198.51.100.1", 0);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return outcome(::sendto(fd.get(), packet, sizeof(packet), 0, address, to.size));
}

std::string own_header6() {
    const UniqueFd fd{::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)};
    if (!fd) return error_name(errno);
    char packet[sizeof(ip6_hdr) + kPayload.size()]{};
    ip6_hdr head{};
    head.ip6_vfc = 6 << 4;
    head.ip6_plen = htons(kPayload.size());
    head.ip6_nxt = IPPROTO_TCP;
    head.ip6_hlim = 64;
    ::inet_pton(AF_INET6, "2001:db8:2::1", &head.ip6_dst);
    std::memcpy(packet, &head, sizeof(head));
    kPayload.copy(packet + sizeof(head), kPayload.size());
    const Target to = target("2001:db8:2::1", 0);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return outcome(::sendto(fd.get(), packet, sizeof(packet), 0, address, to.size));
}

// Frames, past IP. Type: with the link's header, or without.
template <int type>
std::string frame() {
    const UniqueFd fd{::socket(AF_PACKET, type | SOCK_CLOEXEC, 0)};
    if (!fd) return error_name(errno);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_IP);
    to.sll_halen = ETH_ALEN;
    to.sll_ifindex = int(::if_nametoindex("wire"));
    const std::string bytes =
        std::string(type == SOCK_RAW ? ETH_HLEN : 0, '\0') + std::string{kPayload};
    return outcome(::sendto(fd.get(), bytes.data(), bytes.size(), 0,
                            reinterpret_cast<const sockaddr*>(&to), sizeof(to)));
}

constexpr int kSmc = 256;  // IPPROTO_SMC, of Linux 6.10

}  // namespace

std::vector<Way> socket_ways() {
    const auto made = [](const char* name, std::string (*attempt)(), bool needs_guard) {
        return Way{name, attempt, {}, Proof::Made, needs_guard, true};
    };
    return {
        {"Ping", ping, "EPERM"},
        {"Raw",
         [] {
             const UniqueFd fd{::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 253)};
             if (!fd) return error_name(errno);
             return send_to(fd.get(), target("198.51.100.1", 0));
         },
         "EPERM"},
        {"Raw6",
         [] {
             const UniqueFd fd{::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, 253)};
             if (!fd) return error_name(errno);
             return send_to(fd.get(), target("2001:db8:1::1", 0));
         },
         "EPERM"},
        {"RawOwnHeader", own_header, "EPERM"},
        {"Raw6OwnHeader", own_header6, "EPERM"},
        made("Sctp", make<AF_INET, SOCK_STREAM, IPPROTO_SCTP>, false),
        made("SctpDatagrams", make<AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP>, false),
        made("Dccp", make<AF_INET, SOCK_DCCP, IPPROTO_DCCP>, false),
        made("L2tp", make<AF_INET, SOCK_DGRAM, 115>, false),
        made("SmcOverIp", make<AF_INET, SOCK_STREAM, kSmc>, false),
        {"PacketFrames", frame<SOCK_RAW>, {}, Proof::OnTheWire, true},
        {"PacketDatagrams", frame<SOCK_DGRAM>, {}, Proof::OnTheWire, true},
        made("Vsock", make<AF_VSOCK, SOCK_STREAM, 0>, true),
        made("Xdp", make<AF_XDP, SOCK_RAW, 0>, true),
        made("Alg", make<AF_ALG, SOCK_SEQPACKET, 0>, true),
        made("Bluetooth", make<AF_BLUETOOTH, SOCK_SEQPACKET, 0>, true),
        made("Can", make<AF_CAN, SOCK_RAW, 1>, true),
        made("Key", make<AF_KEY, SOCK_RAW, 2>, true),
        made("Tipc", make<AF_TIPC, SOCK_SEQPACKET, 0>, true),
        made("Rds", make<AF_RDS, SOCK_SEQPACKET, 0>, true),
        made("Smc", make<AF_SMC, SOCK_STREAM, 0>, true),
        made("Llc", make<AF_LLC, SOCK_DGRAM, 0>, true),
        made("Qipcrtr", make<42, SOCK_DGRAM, 0>, true),
        made("Kcm", make<AF_KCM, SOCK_DGRAM, 0>, true),
        made("Phonet", make<AF_PHONET, SOCK_DGRAM, 0>, true),
        made("Nfc", make<AF_NFC, SOCK_RAW, 0>, true),
        made("Ieee802154", make<AF_IEEE802154, SOCK_DGRAM, 0>, true),
        made("Mctp", make<45, SOCK_DGRAM, 0>, true),
        made("Pppox", make<AF_PPPOX, SOCK_STREAM, 0>, true),
        made("Ax25", make<AF_AX25, SOCK_DGRAM, 0>, true),
        made("NetlinkSockDiag", make<AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG>, true),
        made("NetlinkXfrm", make<AF_NETLINK, SOCK_RAW, NETLINK_XFRM>, true),
        made("NetlinkNetfilter", make<AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER>, true),
        made("NetlinkGeneric", make<AF_NETLINK, SOCK_RAW, NETLINK_GENERIC>, true),
    };
}

}  // namespace chaperone::kernel::testing

// SPDX-License-Identifier: Apache-2.0
// UDP, by every road that leads to a packet.
#include "tests/kernel/ways.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <cstring>

namespace chaperone::kernel::testing {

namespace {

// Hop-by-hop or destination options that say nothing (PadN).
std::string with_options(int option) {
    const UniqueFd fd = datagram(AF_INET6);
    const unsigned char nothing[8] = {0, 0, 1, 4, 0, 0, 0, 0};
    if (::setsockopt(fd.get(), IPPROTO_IPV6, option, nothing, sizeof(nothing)) != 0)
        return error_name(errno);
    return send_to(fd.get(), target("2001:db8:2::1", 443));
}

// sendmsg() with one control message.
template <class Value>
std::string send_with(int fd, const Target& to, int level, int type, const Value& value) {
    iovec data{const_cast<char*>(kPayload.data()), kPayload.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(Value))]{};
    Target address = to;
    msghdr message{};
    message.msg_name = to.size == 0 ? nullptr : &address.address;
    message.msg_namelen = to.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof(Value));
    std::memcpy(CMSG_DATA(header), &value, sizeof(Value));
    return outcome(::sendmsg(fd, &message, 0));
}

in_pktinfo out_of_the_wire() {
    in_pktinfo info{};
    info.ipi_ifindex = int(::if_nametoindex("wire"));
    return info;
}

Target on_the_link(const char* host) {
    Target to = target(host, 443);
    reinterpret_cast<sockaddr_in6*>(&to.address)->sin6_scope_id = ::if_nametoindex("wire");
    return to;
}

UniqueFd connected(const char* host = "198.51.100.1") {
    const Target to = target(host, 443);
    UniqueFd fd = datagram(to.address.ss_family);
    connect_to(fd.get(), to);
    return fd;
}

void disconnect(int fd) {
    const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
    ::connect(fd, &nowhere, sizeof(nowhere));
}

std::string spliced() {
    const UniqueFd fd = connected();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return error_name(errno);
    const UniqueFd out{ends[0]}, in{ends[1]};
    if (::write(in.get(), kPayload.data(), kPayload.size()) < 0) return error_name(errno);
    return outcome(::splice(out.get(), nullptr, fd.get(), nullptr, kPayload.size(), 0));
}

std::string sent_as_a_file() {
    const UniqueFd fd = connected();
    const UniqueFd file{::memfd_create("payload", MFD_CLOEXEC)};
    if (::write(file.get(), kPayload.data(), kPayload.size()) < 0) return error_name(errno);
    off_t begin = 0;
    return outcome(::sendfile(fd.get(), file.get(), &begin, kPayload.size()));
}

std::string without_a_copy() {
    const UniqueFd fd = connected();
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) != 0)
        return error_name(errno);
    return send_on(fd.get(), MSG_ZEROCOPY);
}

// An IPv6 socket that is turned into an IPv4 one while it is connected.
std::string turned_into_ipv4() {
    const UniqueFd fd = connected("::ffff:198.51.100.1");
    const int family = AF_INET;
    if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)) != 0)
        return error_name(errno);
    return send_on(fd.get());
}

std::string with_a_flow_label() {
    constexpr int kFlowInfoSend = 33;  // IPV6_FLOWINFO_SEND
    const UniqueFd fd = datagram(AF_INET6);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_IPV6, kFlowInfoSend, &on, sizeof(on));
    Target to = target("2001:db8:1::1", 443);
    reinterpret_cast<sockaddr_in6*>(&to.address)->sin6_flowinfo = htonl(7 << 20);  // traffic class
    return send_to(fd.get(), to);
}

std::string over_the_multicast_interface() {
    const UniqueFd fd = datagram(AF_INET);
    ip_mreqn by{};
    by.imr_ifindex = int(::if_nametoindex("wire"));
    ::setsockopt(fd.get(), IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by));
    connect_to(fd.get(), target("224.0.0.251", 5353));
    return send_on(fd.get());
}

// The same port twice: one socket is let speak with itself, the other sends.
std::string from_a_shared_port() {
    const UniqueFd first = datagram(AF_INET), second = datagram(AF_INET);
    const int on = 1;
    const Target from = target("0.0.0.0", 5151);
    for (const UniqueFd* fd : {&first, &second}) {
        ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        ::bind(fd->get(), reinterpret_cast<const sockaddr*>(&from.address), from.size);
    }
    connect_to(first.get(), target("127.0.0.1", 5151));
    return send_to(second.get(), target("198.51.100.1", 443));
}

// What is sent from a port that takes encapsulated ESP.
std::string encapsulating() {
    constexpr int kEspInUdp = 2;  // UDP_ENCAP_ESPINUDP
    const UniqueFd fd = connected();
    ::setsockopt(fd.get(), IPPROTO_UDP, UDP_ENCAP, &kEspInUdp, sizeof(kEspInUdp));
    return send_on(fd.get());
}

std::string with_options4() {
    const UniqueFd fd = datagram(AF_INET);
    const unsigned char record[8] = {7, 7, 4, 0, 0, 0, 0, 0};  // record route
    if (::setsockopt(fd.get(), IPPROTO_IP, IP_OPTIONS, record, sizeof(record)) != 0)
        return error_name(errno);
    connect_to(fd.get(), target("198.51.100.1", 443));
    return send_on(fd.get());
}

std::string many_at_once() {
    const UniqueFd fd = datagram(AF_INET);
    Target to[2] = {target("198.51.100.1", 443), target("198.51.100.2", 443)};
    iovec data{const_cast<char*>(kPayload.data()), kPayload.size()};
    mmsghdr messages[2]{};
    for (int i = 0; i < 2; ++i) {
        messages[i].msg_hdr.msg_name = &to[i].address;
        messages[i].msg_hdr.msg_namelen = to[i].size;
        messages[i].msg_hdr.msg_iov = &data;
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    return outcome(::sendmmsg(fd.get(), messages, 2, 0));
}

}  // namespace

std::vector<Way> datagram_ways() {
    return {
        {"UdpToAnywhere",
         [] { return send_to(datagram(AF_INET).get(), target("198.51.100.1", 443)); }, "EPERM"},
        {"UdpConnected", [] { return send_on(connected().get()); }, "EPERM"},
        {"UdpToResolver",
         [] { return send_to(datagram(AF_INET).get(), target("198.51.100.1", 53)); }, "EPERM"},
        {"Udp6", [] { return send_to(datagram(AF_INET6).get(), target("2001:db8:1::1", 443)); },
         "EPERM"},
        {"UdpMapped",
         [] { return send_to(datagram(AF_INET6).get(), target("::ffff:198.51.100.1", 443)); },
         "EPERM"},
        {"UdpToLoopbackOverTheWire",
         [] {
             const UniqueFd fd = datagram(AF_INET);
             bind_to_wire(fd.get());
             return send_to(fd.get(), target("127.0.0.1", 443));
         },
         "EPERM"},
        {"UdpFamilyUnspecified",
         [] {
             Target to = target("198.51.100.1", 443);
             to.address.ss_family = AF_UNSPEC;
             return send_to(datagram(AF_INET).get(), to);
         },
         "EPERM"},
        {"Udp6RoutingHeader",
         [] {
             const UniqueFd fd = datagram(AF_INET6);
             route_through(fd.get(), "2001:db8:1::1");
             return send_to(fd.get(), target("2001:db8:2::1", 443));
         },
         "EPERM"},
        {"Udp6RoutingHeaderConnected",
         [] {
             const UniqueFd fd = datagram(AF_INET6);
             route_through(fd.get(), "2001:db8:1::1");
             connect_to(fd.get(), target("2001:db8:2::1", 443));
             return send_on(fd.get());
         },
         "EPERM"},
        {"Udp6HopByHopOptions", [] { return with_options(IPV6_HOPOPTS); }, "EPERM"},
        {"Udp6DestinationOptions", [] { return with_options(IPV6_DSTOPTS); }, "EPERM"},
        {"UdpPacketInfo",
         [] {
             return send_with(datagram(AF_INET).get(), target("198.51.100.1", 443), IPPROTO_IP,
                              IP_PKTINFO, out_of_the_wire());
         },
         "EPERM"},
        {"UdpPacketInfoConnected",
         [] { return send_with(connected().get(), {}, IPPROTO_IP, IP_PKTINFO, out_of_the_wire()); },
         "EPERM"},
        {"UdpPacketInfoToLoopback",
         [] {
             return send_with(connected("127.0.0.1").get(), {}, IPPROTO_IP, IP_PKTINFO,
                              out_of_the_wire());
         },
         "EPERM"},
        {"Udp6PacketInfo",
         [] {
             in6_pktinfo info{};
             info.ipi6_ifindex = ::if_nametoindex("wire");
             return send_with(connected("2001:db8:2::1").get(), {}, IPPROTO_IPV6, IPV6_PKTINFO,
                              info);
         },
         "EPERM"},
        {"UdpUnicastInterface",
         [] {
             const UniqueFd fd = datagram(AF_INET);
             const std::uint32_t index = htonl(::if_nametoindex("wire"));
             ::setsockopt(fd.get(), IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index));
             connect_to(fd.get(), target("127.0.0.1", 443));
             return send_on(fd.get());
         },
         "EPERM"},
        {"UdpMark",
         [] {
             const UniqueFd fd = connected();
             const int mark = 7;
             ::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
             return send_on(fd.get());
         },
         "EPERM"},
        {"UdpMarkByControl",
         [] { return send_with(connected().get(), {}, SOL_SOCKET, SO_MARK, std::uint32_t{7}); },
         "EPERM"},
        {"UdpForeignSource",
         [] {
             const UniqueFd fd = datagram(AF_INET);
             const int on = 1;
             ::setsockopt(fd.get(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on));
             const Target from = target("203.0.113.9", 0);
             if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from.address), from.size) != 0)
                 return error_name(errno);
             return send_to(fd.get(), target("198.51.100.1", 443));
         },
         "EPERM"},
        {"Udp6LinkLocal", [] { return send_to(datagram(AF_INET6).get(), on_the_link("fe80::2")); },
         "EPERM"},
        {"UdpMulticast",
         [] {
             const UniqueFd fd = datagram(AF_INET);
             bind_to_wire(fd.get());
             return send_to(fd.get(), target("224.0.0.251", 5353));
         },
         "EPERM"},
        {"Udp6Multicast", [] { return send_to(datagram(AF_INET6).get(), on_the_link("ff02::fb")); },
         "EPERM"},
        {"UdpBroadcast",
         [] {
             const UniqueFd fd = datagram(AF_INET);
             const int on = 1;
             ::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
             return send_to(fd.get(), target("192.0.2.255", 443));
         },
         "EPERM"},
        {"UdpManyAtOnce", many_at_once, "EPERM"},
        {"UdpSpliced", spliced, "EPERM"},
        {"UdpSentAsAFile", sent_as_a_file, "EPERM"},
        {"UdpWithoutACopy", without_a_copy, "EPERM"},
        {"UdpTurnedIntoIpv4", turned_into_ipv4, "EPERM"},
        {"Udp6FlowLabel", with_a_flow_label, "EPERM"},
        {"UdpMulticastInterface", over_the_multicast_interface, "EPERM"},
        {"UdpSharedPort", from_a_shared_port, "EPERM"},
        {"UdpEncapsulating", encapsulating, "EPERM"},
        {"UdpOptions", with_options4, "EPERM"},
        {"UdpCorked",
         [] {
             const UniqueFd fd = connected();
             send_on(fd.get(), MSG_MORE);
             return send_on(fd.get());
         },
         "EPERM"},
        {"UdpSegments",
         [] {
             const UniqueFd fd = connected();
             const int size = int(kPayload.size());
             ::setsockopt(fd.get(), IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
             const std::string twice = std::string{kPayload} + std::string{kPayload};
             return outcome(::send(fd.get(), twice.data(), twice.size(), 0));
         },
         "EPERM"},
        {"UdpFragments",
         [] {
             std::string much(8000, '.');
             kPayload.copy(much.data() + 4000, kPayload.size());
             return outcome(::send(connected().get(), much.data(), much.size(), 0));
         },
         "EPERM"},
        {"UdpConnectedElsewhereAgain",
         [] {
             const UniqueFd fd = connected("127.0.0.1");
             disconnect(fd.get());
             connect_to(fd.get(), target("198.51.100.1", 443));
             return send_on(fd.get());
         },
         "EPERM"},
        {"UdpByIoUring",
         [] { return send_by_io_uring(datagram(AF_INET).get(), target("198.51.100.1", 443), 0); },
         "EPERM"},
        {"UdpLite",
         [] {
             const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE)};
             if (!fd) return error_name(errno);
             return send_to(fd.get(), target("198.51.100.1", 443));
         },
         "EPERM", Proof::OnTheWire, false, true},
    };
}

}  // namespace chaperone::kernel::testing

// SPDX-License-Identifier: Apache-2.0
// The ways round a redirector that rewrites addresses. In a network namespace with a wire whose far
// end is listened to, each is tried by a process that is not governed, where its payload must be
// seen on the wire (so the trial is a real one), and by a governed one, where it must not.
#include "tests/kernel/support.h"

#include <cerrno>
#include <cstring>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>

namespace chaperone::kernel::testing {

namespace {

constexpr std::string_view kPayload = "the secret of the house";

// A namespace of its own for one thread's sockets: "wire" is up, with a default route out of it.
class Wire {
public:
    Wire() {
        std::thread{[&] { set_up(); }}.join();
    }

    // Runs in the namespace, in a thread, and returns what it returned.
    template <class Function>
    void inside(Function&& run) const {
        std::thread{[&] {
            ASSERT_EQ(::setns(netns_.get(), CLONE_NEWNET), 0);
            run();
        }}.join();
    }

    void enter() const {
        if (::setns(netns_.get(), CLONE_NEWNET) != 0) ::_exit(96);
    }

    // Whether the payload went over the wire since the last call.
    bool saw_payload() const {
        bool seen = false;
        char frame[2048];
        for (;;) {
            const ssize_t n = ::recv(tap_.get(), frame, sizeof(frame), MSG_DONTWAIT);
            if (n < 0) return seen;
            seen = seen ||
                   std::string_view{frame, std::size_t(n)}.find(kPayload) != std::string_view::npos;
        }
    }

private:
    void set_up() {
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        netns_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        // No ARP: frames leave without anybody answering at the far end.
        const char* commands =
            "ip link add wire type veth peer name far && ip link set wire arp off && "
            "ip link set lo up && ip link set wire up && ip link set far up && "
            "ip addr add 192.0.2.1/24 dev wire && "
            "ip -6 addr add 2001:db8::1/64 dev wire nodad && "
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

    UniqueFd netns_;
    UniqueFd tap_;
};

std::string send_to(int fd, const Target& to, int flags = 0) {
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    const ssize_t n = ::sendto(fd, kPayload.data(), kPayload.size(), flags, address, to.size);
    return error_name(n < 0 ? errno : 0);
}

void bind_to_wire(int fd) {
    ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "wire", sizeof("wire"));
}

// RFC 8754: the packet goes to the segment first, whatever its sender calls the destination.
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

UniqueFd datagram(int family) {
    return UniqueFd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

// Each returns how it ended, for the reader of a failure; what counts is the wire.
struct Way {
    const char* name;
    std::string (*attempt)();
    std::string_view governed;  // how it must end for an agent; empty: in any way
};

const Way kWays[] = {
    {"UdpToAnywhere", [] { return send_to(datagram(AF_INET).get(), target("198.51.100.1", 443)); },
     "EPERM"},
    {"UdpConnected",
     [] {
         const UniqueFd fd = datagram(AF_INET);
         connect_to(fd.get(), target("198.51.100.1", 443));
         return error_name(::send(fd.get(), kPayload.data(), kPayload.size(), 0) < 0 ? errno : 0);
     },
     "EPERM"},
    {"UdpToResolver", [] { return send_to(datagram(AF_INET).get(), target("198.51.100.1", 53)); },
     "EPERM"},
    {"Udp6", [] { return send_to(datagram(AF_INET6).get(), target("2001:db8:1::1", 443)); },
     "EPERM"},
    {"UdpMapped",
     [] { return send_to(datagram(AF_INET6).get(), target("::ffff:198.51.100.1", 443)); }, "EPERM"},
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
    {"TcpFastOpenOverTheWire",
     [] {
         const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
         const int on = 1;
         ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
         bind_to_wire(fd.get());
         return send_to(fd.get(), target("198.51.100.1", 443), MSG_FASTOPEN);
     },
     ""},
    {"TcpFastOpenRoutingHeader",
     [] {
         const UniqueFd fd = stream(AF_INET6, SOCK_NONBLOCK);
         const int on = 1;
         ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
         route_through(fd.get(), "2001:db8:1::1");
         return send_to(fd.get(), target("2001:db8:2::1", 443), MSG_FASTOPEN);
     },
     ""},
    {"TcpFastOpenSourceRoute",
     [] {
         const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
         const int on = 1;
         ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
         const unsigned char route[8] = {131, 7, 4, 198, 51, 100, 9, 0};  // loose, one hop
         ::setsockopt(fd.get(), IPPROTO_IP, IP_OPTIONS, route, sizeof(route));
         bind_to_wire(fd.get());
         return send_to(fd.get(), target("198.51.100.1", 443), MSG_FASTOPEN);
     },
     ""},
    {"Ping",
     [] {
         const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP)};
         if (!fd) return error_name(errno);
         char packet[sizeof(icmphdr) + kPayload.size()]{};
         packet[0] = ICMP_ECHO;
         kPayload.copy(packet + sizeof(icmphdr), kPayload.size());
         const Target to = target("198.51.100.1", 0);
         const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
         return error_name(
             ::sendto(fd.get(), packet, sizeof(packet), 0, address, to.size) < 0 ? errno : 0);
     },
     "EPERM"},
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
    {"UdpLite",
     [] {
         const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE)};
         if (!fd) return error_name(errno);
         return send_to(fd.get(), target("198.51.100.1", 443));
     },
     "EPERM"},
};

class WaysOut : public KernelTest, public ::testing::WithParamInterface<Way> {
protected:
    std::string attempt(const std::filesystem::path& cgroup) {
        return run_in(cgroup, [&] {
            wire.enter();
            return GetParam().attempt();
        });
    }
    Wire wire;
};

TEST_P(WaysOut, AreClosed) {
    if (HasFatalFailure()) return;
    const auto agent = make_agent("agent");
    Listener inside4, inside6;
    wire.inside([&] {
        inside4 = listen_on("127.0.0.1");
        inside6 = listen_on("::1");
        ASSERT_TRUE(redirector->set_proxy({.tcp4 = inside4.port, .tcp6 = inside6.port}));
    });
    wire.saw_payload();
    const std::string free = attempt(outside);
    const bool possible = wire.saw_payload();
    if (free == "EPROTONOSUPPORT")
        EXPECT_FALSE(possible);  // this kernel has no such protocol: nobody has that way
    else
        EXPECT_TRUE(possible) << "the trial itself does not work here: " << free;

    const std::string governed = attempt(agent);
    EXPECT_FALSE(wire.saw_payload()) << "a governed process got out";
    if (!GetParam().governed.empty() && free != "EPROTONOSUPPORT")
        EXPECT_EQ(governed, GetParam().governed);
}

INSTANTIATE_TEST_SUITE_P(Kernel, WaysOut, ::testing::ValuesIn(kWays),
                         [](const auto& info) { return info.param.name; });

class Namespace : public KernelTest {
protected:
    Wire wire;
};

TEST_F(Namespace, BoundToADeviceItStillReachesTheProxy) {
    const auto agent = make_agent("agent");
    Listener inside;
    wire.inside([&] {
        inside = listen_on("127.0.0.1");
        ASSERT_TRUE(redirector->set_proxy({.tcp4 = inside.port}));
    });
    Child child{agent, [&] {
                    wire.enter();
                    const UniqueFd fd = stream(AF_INET);
                    bind_to_wire(fd.get());
                    return connect_to(fd.get(), target("198.51.100.1", 443));
                }};
    const auto origin = accept_origin(inside);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "198.51.100.1:443");
    EXPECT_EQ(child.result(), "ok");
}

TEST_F(Namespace, WithoutAProxyConnectsAreRefused) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent,
                     [&] {
                         wire.enter();
                         return try_connect("198.51.100.1", 443);
                     }),
              "ECONNREFUSED");
    EXPECT_EQ(*redirector->flows_count(), 0U);
}

TEST_F(Namespace, ResolversAreReachedOnlyWhenTheSettingsSaySo) {
    const auto agent = make_agent("agent");
    const auto ask = [&](const std::string& host, std::uint16_t port) {
        wire.saw_payload();
        const std::string how = run_in(agent, [&] {
            wire.enter();
            return send_to(datagram(target(host, 1).address.ss_family).get(), target(host, port));
        });
        return how + (wire.saw_payload() ? " seen" : " unseen");
    };
    EXPECT_EQ(ask("198.51.100.1", 53), "EPERM unseen");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Direct));
    EXPECT_EQ(ask("198.51.100.1", 53), "ok seen");
    EXPECT_EQ(ask("2001:db8:1::1", 53), "ok seen");
    EXPECT_EQ(ask("198.51.100.1", 54), "EPERM unseen");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Redirect));
    EXPECT_EQ(ask("198.51.100.1", 53), "ECONNREFUSED unseen");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Deny));
    EXPECT_EQ(ask("198.51.100.1", 53), "EPERM unseen");
}

using Sockets = KernelTest;

TEST_F(Sockets, OnlyTcpAndUdpCanBeMade) {
    const auto agent = make_agent("agent");
    const auto make = [&](int family, int type, int protocol) {
        return run_in(agent, [=] {
            const UniqueFd fd{::socket(family, type, protocol)};
            return error_name(fd ? 0 : errno);
        });
    };
    for (const int family : {AF_INET, AF_INET6}) {
        EXPECT_EQ(make(family, SOCK_STREAM, 0), "ok");
        EXPECT_EQ(make(family, SOCK_STREAM, IPPROTO_TCP), "ok");
        EXPECT_EQ(make(family, SOCK_DGRAM, 0), "ok");
        EXPECT_EQ(make(family, SOCK_DGRAM, IPPROTO_UDP), "ok");
        EXPECT_EQ(make(family, SOCK_STREAM, IPPROTO_MPTCP), "EPROTONOSUPPORT");
        EXPECT_EQ(make(family, SOCK_RAW, IPPROTO_TCP), "EPERM");
        EXPECT_EQ(make(family, SOCK_RAW, IPPROTO_RAW), "EPERM");
    }
    EXPECT_EQ(make(AF_INET, SOCK_RAW, IPPROTO_ICMP), "EPERM");
    EXPECT_EQ(make(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "EPERM");
    EXPECT_GE(redirector->counters()->refused_sockets, 8U);
}

TEST_F(Sockets, ADatagramConnectForARouteStillTellsTheSource) {
    const auto agent = make_agent("agent");
    // RFC 6724 implementations connect and ask for their own address; nothing is sent.
    EXPECT_EQ(run_in(agent,
                     [] {
                         const UniqueFd fd = datagram(AF_INET);
                         const std::string how = connect_to(fd.get(), target("127.0.0.9", 9));
                         return how + " " + peer_of(fd.get());
                     }),
              "ok 127.0.0.9:9");
}

TEST_F(Sockets, AnAgentServesItselfThroughTheProxy) {
    const auto agent = make_agent("agent");
    // An agent's own server is reached like any other: the client's connect goes to the proxy.
    Child child{agent, [] {
                    const Listener server = listen_on("127.0.0.1");
                    return try_connect("127.0.0.1", server.port);
                }};
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_EQ(child.result(), "ok");
}

}  // namespace

}  // namespace chaperone::kernel::testing

// SPDX-License-Identifier: Apache-2.0
// The ways round a redirector that rewrites addresses. In a network namespace with a wire whose far
// end is listened to, each is tried by a process that is not governed, where its payload must be
// seen on the wire (so the trial is a real one), and by a governed one, where it must not.
#include "tests/kernel/ways.h"

#include <netinet/in.h>

#include <iostream>
#include <utility>

namespace chaperone::kernel::testing {

namespace {

// What closed a way, by the counters that rose while it was tried.
std::string closed_by(const Counters& before, const Counters& after) {
    const std::pair<std::uint64_t Counters::*, const char*> hooks[] = {
        {&Counters::refused_sockets, "sock_create"}, {&Counters::redirects, "redirected"},
        {&Counters::refused_connects, "connect"},    {&Counters::refused_datagrams, "sendmsg"},
        {&Counters::refused_binds, "bind"},          {&Counters::dropped_packets, "egress"},
        {&Counters::refused_reaches, "guard"},
    };
    std::string all;
    for (const auto& [counter, hook] : hooks)
        if (after.*counter > before.*counter) all += (all.empty() ? "" : ", ") + std::string{hook};
    return all;
}

// All of them over one instance: to load the programs anew for each would take minutes where the
// kernel is emulated.
class WaysOut : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (HasFatalFailure()) return;
        agent = make_agent("agent");
        wire.inside([&] {
            inside4 = listen_on("127.0.0.1");
            inside6 = listen_on("::1");
            ASSERT_TRUE(redirector->set_proxy({.tcp4 = inside4.port, .tcp6 = inside6.port}));
        });
    }

    void expect_closed(const std::vector<Way>& ways) {
        for (const Way& way : ways) {
            SCOPED_TRACE(way.name);
            const std::string result = try_way(way);
            // For the table in bpf/README.md, which matrix.py makes and checks.
            std::cout << "matrix|" << way.name << '|' << result << std::endl;
        }
    }

private:
    struct Ended {
        std::string how;
        bool out = false;
    };
    Ended attempt(const Way& way, const std::filesystem::path& cgroup) {
        wire.saw_payload();
        Ended ended{.how = run_in(cgroup, [&] {
                        wire.enter();
                        return way.attempt();
                    })};
        ended.out = way.proof == Proof::OnTheWire ? wire.saw_payload() : ended.how == "ok";
        return ended;
    }

    // What closed it.
    std::string try_way(const Way& way) {
        const Ended free = attempt(way, outside);
        const auto before = redirector->counters();
        const Ended governed = attempt(way, agent);
        const auto after = redirector->counters();
        if (!free.out) {
            EXPECT_TRUE(way.may_be_missing) << "the trial itself does not work here: " << free.how;
            EXPECT_FALSE(governed.out);
            return "-";  // nobody has that way on this kernel
        }
        if (way.needs_guard && !redirector->no_guard().empty()) {
            EXPECT_TRUE(governed.out) << "closed by what? " << governed.how;
            return "launcher";
        }
        EXPECT_FALSE(governed.out) << "a governed process got out: " << governed.how;
        std::string hook = closed_by(before.value(), after.value());
        EXPECT_NE(hook, "") << "the attempt was not counted: " << governed.how;
        if (!way.governed.empty()) {
            EXPECT_EQ(governed.how, way.governed);
        }
        return hook;
    }

    std::filesystem::path agent;
    Wire wire;
    Listener inside4, inside6;
};

TEST_F(WaysOut, OfDatagramsAreClosed) {
    expect_closed(datagram_ways());
}

TEST_F(WaysOut, OfStreamsAreClosed) {
    expect_closed(stream_ways());
}

TEST_F(WaysOut, OfOtherSocketsAreClosed) {
    expect_closed(socket_ways());
}

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

// SPDX-License-Identifier: Apache-2.0
// What an agent's connect becomes, by address family and by way of connecting.
#include "tests/kernel/support.h"

#include <netinet/tcp.h>
#include <sys/wait.h>

#include <cerrno>

namespace chaperone::kernel::testing {

namespace {

// Connects, tells its peer's name as getpeername gives it, and waits for the proxy's close.
std::string connect_and_tell(const std::string& host, std::uint16_t port, int family) {
    Target to = target(host, port);
    const UniqueFd fd = stream(family);
    const std::string result = connect_to(fd.get(), to);
    if (result != "ok") return result;
    return peer_of(fd.get());
}

struct Family {
    const char* name;
    const char* host;
    int family;
    bool v6_listener;
    const char* destination;
};

class EachFamily : public KernelTest, public ::testing::WithParamInterface<Family> {};

TEST_P(EachFamily, GoesToTheProxyWithItsOrigin) {
    const auto agent = make_agent("agent");
    Child child{agent, [&] { return connect_and_tell(GetParam().host, 5432, GetParam().family); }};
    const pid_t pid = child.pid();
    const auto origin = accept_origin(GetParam().v6_listener ? proxy6 : proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), GetParam().destination);
    EXPECT_EQ(origin->workload.name, "agent");
    EXPECT_EQ(origin->workload.cgroup_id, *cgroup_id(agent));
    EXPECT_EQ(origin->pid, std::uint32_t(pid));
    EXPECT_EQ(origin->uid, 0U);
    EXPECT_EQ(origin->comm, "test_kernel");
    EXPECT_EQ(origin->ipv6_socket, GetParam().family == AF_INET6);
    EXPECT_LT(now() - origin->time, std::chrono::seconds{60});
    EXPECT_EQ(child.result(), GetParam().destination) << "what getpeername showed";
    EXPECT_EQ(*redirector->flows_count(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, EachFamily,
    ::testing::Values(Family{"v4", "192.0.2.7", AF_INET, false, "192.0.2.7:5432"},
                      Family{"v6", "2001:db8::7", AF_INET6, true, "[2001:db8::7]:5432"},
                      Family{"mapped", "::ffff:192.0.2.7", AF_INET6, false, "192.0.2.7:5432"},
                      Family{"loopback4", "127.0.0.1", AF_INET, false, "127.0.0.1:5432"},
                      Family{"loopback6", "::1", AF_INET6, true, "[::1]:5432"},
                      Family{"any4", "0.0.0.0", AF_INET, false, "0.0.0.0:5432"},
                      Family{"any6", "::", AF_INET6, true, "[::]:5432"},
                      Family{"multicast", "224.0.0.1", AF_INET, false, "224.0.0.1:5432"}),
    [](const auto& info) { return info.param.name; });

using Redirect = KernelTest;

TEST_F(Redirect, LeavesUngovernedProcessesAlone) {
    make_agent("agent");
    const Listener elsewhere = listen_on("127.0.0.1");
    Child child{outside, [&] { return connect_and_tell("127.0.0.1", elsewhere.port, AF_INET); }};
    EXPECT_TRUE(accept_from(elsewhere));
    EXPECT_EQ(child.result(), "127.0.0.1:" + std::to_string(elsewhere.port));
    EXPECT_EQ(redirector->counters()->redirects, 0U);
}

TEST_F(Redirect, UngovernedVisitorOfTheProxyHasNoOrigin) {
    Child child{outside, [&] { return try_connect("127.0.0.1", proxy4.port); }};
    const auto origin = accept_origin(proxy4);
    ASSERT_FALSE(origin);
    EXPECT_EQ(origin.error().code, Errc::NotFound);
    EXPECT_EQ(child.result(), "ok");
}

TEST_F(Redirect, TheProxysOwnDoorIsClosedToAgents) {
    const auto agent = make_agent("agent");
    const auto knock = [&](const std::string& host, std::uint16_t port) {
        return run_in(agent, [&] { return try_connect(host, port); });
    };
    EXPECT_EQ(knock("127.0.0.1", proxy4.port), "EPERM");
    EXPECT_EQ(knock("127.9.9.9", proxy4.port), "EPERM");
    EXPECT_EQ(knock("0.0.0.0", proxy4.port), "EPERM");
    EXPECT_EQ(knock("::ffff:127.0.0.1", proxy4.port), "EPERM");
    EXPECT_EQ(knock("::1", proxy6.port), "EPERM");
    EXPECT_EQ(knock("::", proxy6.port), "EPERM");
}

TEST_F(Redirect, AgentsMayNotBindTheProxysPort) {
    const auto agent = make_agent("agent");
    const auto bind_result = [&](const std::string& host, std::uint16_t port) {
        return run_in(agent, [&] {
            const Target at = target(host, port);
            const UniqueFd fd = stream(at.address.ss_family);
            const auto* address = reinterpret_cast<const sockaddr*>(&at.address);
            return error_name(::bind(fd.get(), address, at.size) == 0 ? 0 : errno);
        });
    };
    const std::uint16_t port = proxy4.port;
    proxy4.fd.reset();  // the daemon is away
    EXPECT_EQ(bind_result("127.0.0.1", port), "EPERM");
    EXPECT_EQ(bind_result("0.0.0.0", port), "EPERM");
    EXPECT_EQ(bind_result("::", port), "EPERM");
    EXPECT_EQ(bind_result("127.0.0.1", 0), "ok");
    const auto denials = redirector->take_denials();
    ASSERT_EQ(denials->size(), 3U);
    EXPECT_EQ(denials->front().kind, Denial::Kind::Bind);
    EXPECT_EQ(denials->front().workload, "agent");
}

TEST_F(Redirect, NonblockingConnect) {
    const auto agent = make_agent("agent");
    Child child{agent, [] {
                    const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
                    std::string told = connect_to(fd.get(), target("192.0.2.7", 5432));
                    readable(fd.get());
                    return told + " " + peer_of(fd.get());
                }};
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "192.0.2.7:5432");
    EXPECT_EQ(child.result(), "EINPROGRESS 192.0.2.7:5432");
}

TEST_F(Redirect, ClosedBeforeItIsAccepted) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent, [] { return try_connect("192.0.2.8", 5433); }), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "192.0.2.8:5433");
}

TEST_F(Redirect, ResetBeforeItIsAccepted) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent,
                     [] {
                         const UniqueFd fd = stream(AF_INET);
                         const linger at_once{.l_onoff = 1, .l_linger = 0};
                         ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
                         return connect_to(fd.get(), target("192.0.2.9", 5434));
                     }),
              "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "192.0.2.9:5434");
}

TEST_F(Redirect, ReconnectAfterUnspecTellsTheNewDestination) {
    const auto agent = make_agent("agent");
    Child child{agent, [] {
                    const UniqueFd fd = stream(AF_INET);
                    connect_to(fd.get(), target("192.0.2.10", 1));
                    const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
                    ::connect(fd.get(), &nowhere, sizeof(nowhere));
                    std::string told = peer_of(fd.get());
                    connect_to(fd.get(), target("192.0.2.11", 2));
                    return told + " " + peer_of(fd.get());
                }};
    EXPECT_EQ(accept_origin(proxy4)->destination.to_text(), "192.0.2.10:1");
    EXPECT_EQ(accept_origin(proxy4)->destination.to_text(), "192.0.2.11:2");
    EXPECT_EQ(child.result(), "ENOTCONN 192.0.2.11:2");
}

TEST_F(Redirect, FastOpenIsAConnectLikeOthers) {
    const auto agent = make_agent("agent");
    Child child{agent, [] {
                    const UniqueFd fd = stream(AF_INET);
                    const Target to = target("192.0.2.12", 5432);
                    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
                    const ssize_t n =
                        ::sendto(fd.get(), "hello", 5, MSG_FASTOPEN, address, to.size);
                    return n == 5 ? peer_of(fd.get()) : error_name(errno);
                }};
    const UniqueFd accepted = accept_from(proxy4);
    const auto origin = redirector->origin(accepted.get());
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "192.0.2.12:5432");
    char data[5];
    EXPECT_EQ(::recv(accepted.get(), data, sizeof(data), MSG_WAITALL), 5);
    EXPECT_EQ(child.result(), "192.0.2.12:5432");
}

TEST_F(Redirect, ListenerOfAnotherCgroupIsServedByTheFallback) {
    const auto agent = make_agent("agent");
    // A listener made outside: its accepted sockets do not pass the proxy's own program.
    Child acceptor{outside, [&] {
                       const Listener strange = listen_on("127.0.0.1");
                       if (!redirector->set_proxy({.tcp4 = strange.port})) return std::string{"?"};
                       Child child{agent, [] {
                                       const UniqueFd fd = stream(AF_INET);
                                       connect_to(fd.get(), target("192.0.2.13", 7));
                                       readable(fd.get());
                                       return std::string{};
                                   }};
                       const UniqueFd fd = accept_from(strange);
                       const auto origin = redirector->origin(fd.get());
                       return origin ? origin->destination.to_text() : origin.error().message();
                   }};
    EXPECT_EQ(acceptor.result(), "192.0.2.13:7");
    EXPECT_EQ(*redirector->flows_count(), 0U);
}

TEST_F(Redirect, PortsChangeLive) {
    const auto agent = make_agent("agent");
    const Listener other = listen_on("127.0.0.1");
    ASSERT_TRUE(redirector->set_proxy({.tcp4 = other.port}));
    EXPECT_EQ(run_in(agent, [] { return try_connect("192.0.2.7", 1); }), "ok");
    EXPECT_TRUE(accept_origin(other));
    EXPECT_EQ(run_in(agent, [] { return try_connect("2001:db8::1", 1); }), "ECONNREFUSED");
}

TEST_F(Redirect, FlowsOfDeadConnectsDoNotLeak) {
    const auto agent = make_agent("agent");
    proxy4.fd.reset();
    for (int i = 0; i < 50; ++i)
        EXPECT_EQ(run_in(agent, [] { return try_connect("192.0.2.7", 5432); }), "ECONNREFUSED");
    EXPECT_EQ(*redirector->flows_count(), 0U);
    EXPECT_EQ(redirector->counters()->unclaimed, 50U);
}

}  // namespace

}  // namespace chaperone::kernel::testing

// SPDX-License-Identifier: Apache-2.0
// DnsMode::Redirect: questions to any resolver arrive at the proxy's, with who asked, and the
// answers seem to come from where the question went.
#include "tests/kernel/support.h"

#include <cerrno>

#include <netinet/in.h>

namespace chaperone::kernel::testing {

namespace {

struct Resolver {
    UniqueFd fd;
    Address at;
};

Resolver resolver_on(const std::string& host) {
    const Target to = target(host, 0);
    Resolver made{.fd = UniqueFd{::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)}};
    EXPECT_EQ(::bind(made.fd.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size), 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    EXPECT_EQ(::getsockname(made.fd.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    made.at = from_sockaddr(name).value_or(Address{});
    return made;
}

// Sends a question and returns what came back, from whom, and the peer's name if connected.
std::string ask(const std::string& host, int family, bool connected) {
    const Target to = target(host, 53);
    const UniqueFd fd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    if (connected && ::connect(fd.get(), address, to.size) != 0) return error_name(errno);
    const ssize_t sent = connected ? ::send(fd.get(), "who?", 4, 0)
                                   : ::sendto(fd.get(), "who?", 4, 0, address, to.size);
    if (sent != 4) return error_name(errno);
    if (!readable(fd.get())) return "no answer";
    char text[16];
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const ssize_t n =
        ::recvfrom(fd.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return error_name(errno);
    std::string told{text, std::size_t(n)};
    told += " from " + from_sockaddr(from).value_or(Address{}).to_text();
    return connected ? told + " of " + peer_of(fd.get()) : told;
}

struct Question {
    const char* name;
    const char* host;
    int family;
    bool connected;
    bool v6_resolver;
    const char* shown;
};

class Questions : public KernelTest, public ::testing::WithParamInterface<Question> {};

TEST_P(Questions, ReachTheProxysResolverWithTheirOrigin) {
    const auto agent = make_agent("agent");
    const Resolver v4 = resolver_on("127.0.0.1");
    const Resolver v6 = resolver_on("::1");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Redirect));
    ASSERT_TRUE(redirector->set_proxy(
        {.tcp4 = proxy4.port, .tcp6 = proxy6.port, .dns4 = v4.at.port, .dns6 = v6.at.port}));
    const Question& question = GetParam();
    Child child{agent, [&] { return ask(question.host, question.family, question.connected); }};
    const pid_t pid = child.pid();

    const Resolver& resolver = question.v6_resolver ? v6 : v4;
    ASSERT_TRUE(readable(resolver.fd.get())) << child.result();
    char text[16];
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    auto* sender = reinterpret_cast<sockaddr*>(&from);
    ASSERT_EQ(::recvfrom(resolver.fd.get(), text, sizeof(text), 0, sender, &size), 4);
    ASSERT_EQ(::sendto(resolver.fd.get(), "me", 2, 0, sender, size), 2);

    std::uint64_t netns = 0;
    socklen_t netns_size = sizeof(netns);
    ::getsockopt(resolver.fd.get(), SOL_SOCKET, SO_NETNS_COOKIE, &netns, &netns_size);
    const auto origin = redirector->datagram_origin(netns, *from_sockaddr(from), resolver.at);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->workload.name, "agent");
    EXPECT_EQ(origin->pid, std::uint32_t(pid));
    EXPECT_EQ(origin->destination.to_text(), question.shown);
    const std::string shown = question.shown;
    EXPECT_EQ(child.result(),
              "me from " + shown + (question.connected ? " of " + shown : std::string{}));
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, Questions,
    ::testing::Values(
        Question{"v4", "198.51.100.53", AF_INET, false, false, "198.51.100.53:53"},
        Question{"v4_connected", "198.51.100.53", AF_INET, true, false, "198.51.100.53:53"},
        Question{"v6", "2001:db8::53", AF_INET6, false, true, "[2001:db8::53]:53"},
        Question{"v6_connected", "2001:db8::53", AF_INET6, true, true, "[2001:db8::53]:53"},
        Question{"mapped", "::ffff:198.51.100.53", AF_INET6, false, false, "198.51.100.53:53"},
        Question{"mapped_connected", "::ffff:198.51.100.53", AF_INET6, true, false,
                 "198.51.100.53:53"},
        Question{"v6_socket_v4_address", "198.51.100.53", AF_INET6, true, false,
                 "198.51.100.53:53"},
        Question{"loopback_resolver", "127.0.0.53", AF_INET, false, false, "127.0.0.53:53"}),
    [](const auto& info) { return info.param.name; });

using Resolvers = KernelTest;

TEST_F(Resolvers, QuestionsInNestedCgroupsArriveToo) {
    make_agent("outer");
    const auto inner = make_agent("outer/inner");
    const Resolver v4 = resolver_on("127.0.0.1");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Redirect));
    ASSERT_TRUE(redirector->set_proxy({.tcp4 = proxy4.port, .dns4 = v4.at.port}));
    Child child{inner, [] { return ask("198.51.100.53", AF_INET, false); }};
    EXPECT_TRUE(readable(v4.fd.get()));
}

TEST_F(Resolvers, QuestionsOverTcpGoToTheProxy) {
    const auto agent = make_agent("agent");
    ASSERT_TRUE(redirector->set_dns(DnsMode::Redirect));
    EXPECT_EQ(run_in(agent, [] { return try_connect("198.51.100.53", 53); }), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->destination.to_text(), "198.51.100.53:53");
}

TEST_F(Resolvers, AStrangersDatagramHasNoOrigin) {
    const Resolver v4 = resolver_on("127.0.0.1");
    EXPECT_EQ(redirector->datagram_origin(1, v4_address(127, 0, 0, 1, 9), v4.at).error().code,
              Errc::NotFound);
}

}  // namespace

}  // namespace chaperone::kernel::testing

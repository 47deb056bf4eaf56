// SPDX-License-Identifier: Apache-2.0
// Maps that have no room. The attempt for which there is none ends at once or goes to the proxy
// without a name, nothing passes unseen, it is counted, and it works again when there is room.
#include "tests/kernel/full.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

namespace chaperone::kernel::testing {

namespace {

TEST_F(Full, Sockets) {
    start({});
    const auto cgroup = make_cgroup("adopted");
    int made[2], go[2];
    ASSERT_EQ(::pipe2(made, O_CLOEXEC) | ::pipe2(go, O_CLOEXEC), 0);
    const UniqueFd tells{made[0]}, told{made[1]}, waits{go[0]}, goes{go[1]};
    Child adopted{cgroup, [&] {
                      const UniqueFd fd = stream(AF_INET);
                      crowd(fd.get());
                      (void)!::write(told.get(), "x", 1);
                      if (!readable(waits.get())) return std::string{"not governed"};
                      const Target to = target("192.0.2.7", 5432);
                      const std::string first = connect_to(fd.get(), to);
                      relieve(fd.get());
                      return first + " " + connect_to(fd.get(), to);
                  }};
    ASSERT_TRUE(readable(tells.get()));
    ASSERT_TRUE(redirector->govern(cgroup, "adopted"));
    (void)!::write(goes.get(), "x", 1);
    EXPECT_EQ(adopted.result(), "EPERM ok");
    EXPECT_EQ(counted().refused_connects, 1U);
    EXPECT_TRUE(accept_origin(proxy4));
    row("sockets", "connect: EPERM", "kernel_refused_total connect");
}

TEST_F(Full, Accepted) {
    start({});
    const auto agent = make_agent("agent");
    crowd(proxy4.fd.get());  // what comes out of it is as crowded
    EXPECT_EQ(connects(agent, "192.0.2.7", 5432), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_FALSE(origin);
    EXPECT_EQ(origin.error().code, Errc::NotFound);
    EXPECT_EQ(counted().orphans, 1U);
    EXPECT_EQ(*redirector->flows_count(), 0U);
    relieve(proxy4.fd.get());
    EXPECT_EQ(connects(agent, "192.0.2.7", 5432), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    row("accepted", "the proxy finds no origin, and closes", "kernel_orphans_total");
}

TEST_F(Full, Flows) {
    start({{"flows", 2}});
    const auto agent = make_agent("agent");
    // One connection fills a backlog of 0; further ones stay on their way and fill the table.
    const Listener busy = listen_on("127.0.0.1", 0, 0);
    ASSERT_TRUE(redirector->set_proxy({.tcp4 = busy.port}));
    int go[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    const UniqueFd ready{go[0]}, tell{go[1]};
    Child crowd{agent, [&] {
                    std::vector<UniqueFd> all;
                    for (int i = 0; i < 5; ++i) {
                        all.push_back(stream(AF_INET, SOCK_NONBLOCK));
                        connect_to(all.back().get(), target("192.0.2.7", 5432));
                    }
                    (void)!::write(go[1], "x", 1);
                    readable(all.back().get(), 60'000);
                    return std::string{};
                }};
    ASSERT_TRUE(readable(go[0]));
    EXPECT_LE(*redirector->flows_count(), 2U);
    ASSERT_TRUE(redirector->set_proxy({.tcp4 = proxy4.port}));
    const auto before = counted().orphans;
    EXPECT_EQ(connects(agent, "192.0.2.8", 5432), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_FALSE(origin) << "taken for " << origin->destination.to_text();
    EXPECT_EQ(origin.error().code, Errc::NotFound);
    EXPECT_EQ(counted().orphans, before + 1);
    crowd.kill();
    EXPECT_EQ(*redirector->flows_count(), 0U);
    EXPECT_EQ(connects(agent, "192.0.2.8", 5432), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    row("flows", "the proxy finds no origin, and closes", "kernel_orphans_total");
}

TEST_F(Full, Datagrams) {
    start({{"datagrams", 2}});
    const auto agent = make_agent("agent");
    const Target at = target("127.0.0.1", 0);
    const UniqueFd resolver{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::bind(resolver.get(), reinterpret_cast<const sockaddr*>(&at.address), at.size), 0);
    const std::string name = local_of(resolver.get());
    const auto port = std::uint16_t(std::stoi(name.substr(name.rfind(':') + 1)));
    ASSERT_TRUE(redirector->set_proxy({.tcp4 = proxy4.port, .dns4 = port}));
    ASSERT_TRUE(redirector->set_dns(DnsMode::Redirect));
    const auto ask = [&](int questions) {
        return run_in(agent, [=] {
            const Target to = target("192.0.2.53", 53);
            for (int i = 0; i < questions; ++i) {
                const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                if (::sendto(fd.get(), "who?", 4, 0, reinterpret_cast<const sockaddr*>(&to.address),
                             to.size) != 4)
                    return error_name(errno);
            }
            return std::string{"asked"};
        });
    };
    int known = 0, forgotten = 0;
    const auto read = [&] {
        while (readable(resolver.get(), 0)) {
            char text[8];
            sockaddr_storage from{};
            socklen_t size = sizeof(from);
            ::recvfrom(resolver.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from),
                       &size);
            const auto netns = redirector->netns_of_thread();
            const auto origin = redirector->datagram_origin(
                netns.value(), from_sockaddr(from).value(), v4_address(127, 0, 0, 1, port));
            origin ? ++known : ++forgotten;
        }
    };
    EXPECT_EQ(ask(20), "asked");
    read();
    EXPECT_GT(forgotten, 0);
    EXPECT_EQ(known + forgotten, 20);
    known = 0;
    EXPECT_EQ(ask(1), "asked");
    read();
    EXPECT_EQ(known, 1);
    row("datagrams", "the oldest question is not answered; libc asks again",
        "connections_without_origin_total");
}

TEST_F(Full, Workloads) {
    start({{"workloads", 2}});
    const auto first = kernel::cgroup_id(make_agent("first")).value();
    make_agent("second");
    const auto third = make_cgroup("third");
    const auto refused = redirector->govern(third, "third");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::TooLarge) << refused.error().message();
    EXPECT_EQ(redirector->list()->size(), 2U);
    EXPECT_TRUE(redirector->verify()->empty());
    ASSERT_TRUE(redirector->release(first));
    EXPECT_TRUE(redirector->govern(third, "third"));
    EXPECT_EQ(connects(third, "192.0.2.7", 5432), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    row("workloads", "govern: refused, the agent is not started", "the answer; the log");
}

// In a network namespace of its own: "strange" ones, in which nobody listens for us.
std::string connect_from_strange_namespaces(int count) {
    for (int i = 0; i < count; ++i) {
        if (::unshare(CLONE_NEWNET) != 0) return "no namespace";
        if (const auto said = try_connect("192.0.2.7", 5432); said != "ECONNREFUSED") return said;
    }
    return "refused";
}

TEST_F(Full, Listeners) {
    start({{"listeners", 1}});
    const auto agent = make_agent("agent");
    const auto refused = redirector->set_proxy(std::uint64_t{12345}, {.tcp4 = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::TooLarge) << refused.error().message();
    // The daemon lends no port while it could not listen there.
    ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}, 0));
    EXPECT_EQ(run_in(agent, [] { return connect_from_strange_namespaces(1); }), "refused");
    EXPECT_EQ(counted().refused_connects, 1U);
    ASSERT_TRUE(redirector->forget_proxy(redirector->netns_of_thread().value()));
    EXPECT_TRUE(redirector->set_proxy(std::uint64_t{12345}, {.tcp4 = 1}));
    row("listeners", "connect in that network namespace: ECONNREFUSED",
        "kernel_refused_total connect; doctor");
}

TEST_F(Full, Strangers) {
    start({{"strangers", 2}});
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent, [] { return connect_from_strange_namespaces(20); }), "refused");
    EXPECT_EQ(counted().strange_namespaces, 20U);
    row("strangers", "nothing: what is forgotten is told again", "");
}

TEST_F(Full, Events) {
    start({{"events", 4096}});
    const auto agent = make_agent("agent");
    const auto flood = [&](int times) {
        return run_in(agent, [=] {
            for (int i = 0; i < times; ++i)
                if (::socket(AF_INET, SOCK_RAW, IPPROTO_TCP) >= 0) return std::string{"made"};
            return std::string{"refused"};
        });
    };
    EXPECT_EQ(flood(200), "refused");
    EXPECT_EQ(counted().refused_sockets, 200U);
    const auto told = redirector->take_denials();
    ASSERT_TRUE(told);
    EXPECT_GT(told->size(), 0U);
    EXPECT_EQ(told->size() + counted().untold, 200U);
    EXPECT_EQ(flood(1), "refused");
    EXPECT_EQ(redirector->take_denials()->size(), 1U);
    row("events", "refused as ever, and not told one by one", "kernel_untold_total; the journal");
}

}  // namespace

}  // namespace chaperone::kernel::testing

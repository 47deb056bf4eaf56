// SPDX-License-Identifier: Apache-2.0
// What the kernel decides by itself: let straight through and told, or EPERM; by the longest
// prefix; only while somebody is there to record it; and cut when the verdict is taken back.
#include "tests/kernel/support.h"

#include <atomic>
#include <map>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace chaperone::kernel::testing {

namespace {

using Action = Verdict::Action;

Verdict tcp(const std::string& network, std::uint16_t port, unsigned prefix, Action action,
            std::uint32_t tag = 0) {
    const auto address = from_sockaddr(target(network, port).address);
    return {.protocol = IPPROTO_TCP,
            .network = address.value(),
            .prefix = address->is_v4() ? 96 + prefix : prefix,
            .action = action,
            .tag = tag};
}

bool says(int fd, const std::string& text) {
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size());
}

std::string hears(int fd, int timeout_ms = kPatienceMs) {
    char text[64];
    if (!readable(fd, timeout_ms)) return "nothing";
    const ssize_t n = ::recv(fd, text, sizeof(text), 0);
    return n < 0 ? error_name(errno) : std::string(text, std::size_t(n));
}

}  // namespace

class VerdictsTest : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        server = listen_on("127.0.0.1");
        server6 = listen_on("::1");
        agent = make_agent("agent");
        id = cgroup_id(agent).value();
        lend(std::chrono::minutes{1});
    }

    void lend(Duration time) { ASSERT_TRUE(redirector->lend(time)); }
    void set(std::vector<Verdict> verdicts) { ASSERT_TRUE(redirector->set_verdicts(id, verdicts)); }
    std::vector<Direct> take() {
        std::vector<Direct> all;
        EXPECT_TRUE(redirector->take_directs([&](const Direct& direct) { all.push_back(direct); }));
        return all;
    }
    // Until as many were told; an end comes with the last packet, some time later.
    std::vector<Direct> take(std::size_t count) {
        std::vector<Direct> all;
        for (int tries = 0; tries < 1000 && all.size() < count; ++tries) {
            for (Direct& direct : take()) all.push_back(std::move(direct));
            if (all.size() < count) ::poll(nullptr, 0, kPatienceMs / 1000);
        }
        return all;
    }
    std::string connects(const std::string& host, std::uint16_t port) {
        return run_in(agent, [&] { return try_connect(host, port); });
    }

    Listener server;
    Listener server6;
    std::filesystem::path agent;
    std::uint64_t id = 0;
};

TEST_F(VerdictsTest, AreAskedForWhereThereIsNone) {
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    set({});
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    set({tcp("127.0.0.1", server.port, 32, Action::Ask)});
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_FALSE(readable(server.fd.get(), 0));
    EXPECT_TRUE(take().empty());
}

TEST_F(VerdictsTest, LetGoStraightThereAndTellOfBothEnds) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let, 77)});
    Child child{agent, [&] {
                    const UniqueFd fd = stream(AF_INET);
                    const std::string connected =
                        connect_to(fd.get(), target("127.0.0.1", server.port));
                    const std::string peer = peer_of(fd.get());
                    if (!says(fd.get(), "question")) return std::string{"not sent"};
                    return connected + " " + peer + " " + hears(fd.get());
                }};
    const UniqueFd accepted = accept_from(server);
    ASSERT_TRUE(accepted);
    EXPECT_EQ(hears(accepted.get()), "question");
    const auto opened = take(1);
    ASSERT_EQ(opened.size(), 1U);
    EXPECT_EQ(opened[0].kind, Direct::Kind::Opened);
    EXPECT_EQ(opened[0].origin.workload.name, "agent");
    EXPECT_EQ(opened[0].origin.pid, std::uint32_t(child.pid()));
    EXPECT_EQ(opened[0].origin.destination.to_text(), "127.0.0.1:" + std::to_string(server.port));
    EXPECT_EQ(opened[0].tag, 77U);

    EXPECT_TRUE(says(accepted.get(), "the answer"));
    EXPECT_EQ(child.result(), "ok 127.0.0.1:" + std::to_string(server.port) + " the answer");
    EXPECT_EQ(hears(accepted.get()), "");
    const auto closed = take(1);
    ASSERT_EQ(closed.size(), 1U);
    EXPECT_EQ(closed[0].kind, Direct::Kind::Closed);
    EXPECT_EQ(closed[0].origin.socket, opened[0].origin.socket);
    EXPECT_EQ(closed[0].generation, opened[0].generation);
    EXPECT_TRUE(closed[0].established);
    EXPECT_EQ(closed[0].bytes_up, 8U);
    EXPECT_EQ(closed[0].bytes_down, 10U);
    EXPECT_GT(closed[0].duration, Duration{});
    EXPECT_EQ(redirector->counters()->let_through, 1U);
    EXPECT_EQ(redirector->counters()->lost_flows, 0U);
    EXPECT_FALSE(readable(proxy4.fd.get(), 0));
}

TEST_F(VerdictsTest, HoldForIpv6AndForMappedAddresses) {
    set({tcp("::1", server6.port, 128, Action::Let),
         tcp("127.0.0.1", server.port, 32, Action::Let)});
    EXPECT_EQ(connects("::1", server6.port), "ok");
    EXPECT_TRUE(accept_from(server6));
    EXPECT_EQ(connects("::ffff:127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
    EXPECT_EQ(take(4).size(), 4U);
}

TEST_F(VerdictsTest, RefuseInConnectAndTellOfIt) {
    set({tcp("127.0.0.1", server.port, 32, Action::Refuse)});
    EXPECT_EQ(connects("127.0.0.1", server.port), "EPERM");
    EXPECT_FALSE(readable(server.fd.get(), 0));
    EXPECT_FALSE(readable(proxy4.fd.get(), 0));
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    ASSERT_EQ(denials->size(), 1U);
    EXPECT_EQ(denials->front().kind, Denial::Kind::Connect);
    EXPECT_EQ(denials->front().destination.port, server.port);
    EXPECT_EQ(denials->front().workload, "agent");
}

TEST_F(VerdictsTest, TakeTheLongestPrefixOfThatPortAndFamily) {
    const std::uint16_t port = server.port;
    set({tcp("127.0.0.0", port, 8, Action::Refuse), tcp("127.1.0.0", port, 16, Action::Ask),
         tcp("127.1.2.0", port, 24, Action::Let), tcp("127.1.2.3", port, 32, Action::Refuse),
         tcp("::", port, 0, Action::Refuse)});
    const Listener other = listen_on("127.1.2.4", port);
    EXPECT_EQ(connects("127.9.9.9", port), "EPERM");
    EXPECT_EQ(connects("127.1.9.9", port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_EQ(connects("127.1.2.4", port), "ok");
    EXPECT_TRUE(accept_from(other));
    EXPECT_EQ(connects("127.1.2.3", port), "EPERM");
    EXPECT_EQ(connects("2001:db8::1", port), "EPERM");
    EXPECT_EQ(connects("127.9.9.9", std::uint16_t(port + 1)), "ok") << "another port is asked for";
    EXPECT_TRUE(accept_origin(proxy4));
    // "This host" by another name is no address that policy spoke of.
    EXPECT_EQ(connects("0.0.0.0", port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
}

TEST_F(VerdictsTest, AreTheWorkloadsOwn) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let)});
    const auto other = make_agent("other");
    EXPECT_EQ(run_in(other, [&] { return try_connect("127.0.0.1", server.port); }), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin);
    EXPECT_EQ(origin->workload.name, "other");
}

TEST_F(VerdictsTest, AreToldOnceWhereGovernedCgroupsNest) {
    const auto inner = make_agent("agent/inner");
    ASSERT_TRUE(redirector->set_verdicts(cgroup_id(inner).value(),
                                         {{tcp("127.0.0.1", server.port, 32, Action::Let, 5)}}));
    EXPECT_EQ(run_in(inner, [&] { return try_connect("127.0.0.1", server.port); }), "ok");
    EXPECT_TRUE(accept_from(server));
    const auto told = take(2);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].origin.workload.name, "agent/inner");
    EXPECT_EQ(told[1].kind, Direct::Kind::Closed);
    EXPECT_TRUE(take().empty());
    EXPECT_EQ(redirector->counters()->let_through, 1U);
}

TEST_F(VerdictsTest, LetNothingOnceTheLeaseIsOver) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let)});
    lend({});
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4)) << "user space is asked";
    lend(std::chrono::minutes{1});
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
}

TEST_F(VerdictsTest, LetNoSocketThatIsBoundToADevice) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let)});
    EXPECT_EQ(run_in(agent,
                     [&] {
                         const UniqueFd fd = stream(AF_INET);
                         ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo"));
                         return connect_to(fd.get(), target("127.0.0.1", server.port));
                     }),
              "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_FALSE(readable(server.fd.get(), 0));
}

TEST_F(VerdictsTest, CutWhatTheyLetBeforeWhenTheyAreTakenBack) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let)});
    int go[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    Child child{agent, [&] {
                    const UniqueFd fd = stream(AF_INET);
                    connect_to(fd.get(), target("127.0.0.1", server.port));
                    says(fd.get(), "first");
                    char byte;
                    while (::read(go[0], &byte, 1) == 1) says(fd.get(), "second");
                    return std::string{"done"};
                }};
    const UniqueFd accepted = accept_from(server);
    ASSERT_TRUE(accepted);
    EXPECT_EQ(hears(accepted.get()), "first");
    set({tcp("127.0.0.0", server.port, 8, Action::Let)});  // another table that lets it, too
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    EXPECT_EQ(hears(accepted.get()), "second");
    set({});
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    EXPECT_EQ(hears(accepted.get(), 300), "nothing");
    EXPECT_GE(redirector->counters()->dropped_packets, 1U);
    ::close(go[1]);
    ::close(go[0]);
    child.kill();
}

// While tables are swapped, each connect goes one way or the other, and none is lost or untold.
TEST_F(VerdictsTest, AreSwappedUnderLoadWithoutALooseConnect) {
    constexpr int kConnects = 3000;
    std::atomic<bool> stop{false};
    std::atomic<int> direct{0}, asked{0}, orphans{0};
    std::vector<std::thread> acceptors;
    acceptors.emplace_back([&] {
        while (!stop)
            if (readable(server.fd.get(), 20) && accept_from(server)) ++direct;
    });
    acceptors.emplace_back([&] {
        while (!stop)
            if (readable(proxy4.fd.get(), 20)) {
                const UniqueFd fd = accept_from(proxy4);
                redirector->origin(fd.get()) ? ++asked : ++orphans;
            }
    });
    std::map<std::pair<std::uint64_t, std::uint32_t>, int> told;
    std::thread swapper{[&] {
        for (int turn = 0; !stop; ++turn) {
            if (turn % 2 == 0)
                set({tcp("127.0.0.1", server.port, 32, Action::Let)});
            else
                set({tcp("127.0.0.0", server.port, 8, Action::Ask)});
            for (const Direct& one : take()) ++told[{one.origin.socket, one.generation}];
        }
    }};
    // On a busy machine all of them may pass between two swaps.
    int made = 0;
    do {
        EXPECT_EQ(run_in(agent,
                         [&] {
                             int failed = 0;
                             for (int i = 0; i < kConnects; ++i)
                                 failed += try_connect("127.0.0.1", server.port) != "ok";
                             return std::to_string(failed);
                         }),
                  "0");
        made += kConnects;
        for (int tries = 0; tries < 500 && direct + asked < made; ++tries)
            ::poll(nullptr, 0, kPatienceMs / 500);
    } while (made != 10 * kConnects && (direct == 0 || asked == 0));
    stop = true;
    swapper.join();
    for (std::thread& thread : acceptors) thread.join();
    for (const Direct& one : take()) ++told[{one.origin.socket, one.generation}];
    EXPECT_EQ(direct + asked, made);
    EXPECT_GT(direct.load(), 0);
    EXPECT_GT(asked.load(), 0);
    EXPECT_EQ(orphans.load(), 0);
    EXPECT_EQ(told.size(), std::size_t(direct.load()));
    EXPECT_EQ(redirector->counters()->let_through, std::uint64_t(direct.load()));
}

TEST_F(VerdictsTest, AreKeptAndToldToTheNextProcess) {
    set({tcp("127.0.0.1", server.port, 32, Action::Let, 9)});
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
    reopen();
    const auto told = take(2);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].tag, 9U);
    EXPECT_EQ(connects("127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
    ASSERT_TRUE(redirector->release(id));
    EXPECT_FALSE(redirector->set_verdicts(id, {}));
}

}  // namespace chaperone::kernel::testing

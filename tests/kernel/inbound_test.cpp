// SPDX-License-Identifier: Apache-2.0
// Who may call a governed process that listens: nobody from outside its workload, but whom a table
// names by address or workload, and the proxy for the one workload that it has decided about. Each
// call is tried at an ungoverned server first, to show that it is a real one.
#include "tests/kernel/inbound.h"

#include <chrono>
#include <memory>

namespace chaperone::kernel::testing {

struct Call {
    const char* name;
    const char* bound;
    const char* host;
    Socket kind;
    std::string (*make)(const std::string&, std::uint16_t);
};

const Call kCalls[] = {
    {"Tcp", "127.0.0.1", "127.0.0.1", Socket::Stream, call},
    {"TcpAnyAddress", "0.0.0.0", "127.0.0.2", Socket::Stream, call},
    {"Tcp6", "::1", "::1", Socket::Stream, call},
    {"TcpToMappedListener", "::", "127.0.0.1", Socket::Stream, call},
    {"TcpFromMappedCaller", "127.0.0.1", "::ffff:127.0.0.1", Socket::Stream, call},
    {"TcpFastOpen", "127.0.0.1", "127.0.0.1", Socket::Stream, call_fast},
    {"TcpFastOpen6", "::1", "::1", Socket::Stream, call_fast},
    {"Udp", "127.0.0.1", "127.0.0.1", Socket::Datagram, say},
    {"Udp6", "::1", "::1", Socket::Datagram, say},
    {"UdpToMappedReceiver", "::", "127.0.0.1", Socket::Datagram, say},
};

class Inbound : public InboundTest, public ::testing::WithParamInterface<Call> {
protected:
    int protocol() const { return GetParam().kind == Socket::Stream ? IPPROTO_TCP : IPPROTO_UDP; }
    std::string attempt(const std::filesystem::path& cgroup, std::uint16_t port) const {
        return run_in(cgroup, [&] { return GetParam().make(GetParam().host, port); });
    }
    std::vector<Verdict> everybody(std::uint16_t port) const {
        return {from("0.0.0.0", port, 0, protocol()), from("::1", port, 128, protocol())};
    }
};

TEST_P(Inbound, IsClosedAndCountedUnlessPolicyOpensIt) {
    const Server free{outside, GetParam().bound, {.kind = GetParam().kind}};
    ASSERT_EQ(attempt(outside, free.port()), "re:hi") << "the trial itself does not work here";
    const Server server{serving, GetParam().bound, {.kind = GetParam().kind}};

    EXPECT_EQ(attempt(outside, server.port()), "nothing");
    EXPECT_GE(refusals(), 1U);
    const auto told = denials();
    ASSERT_GE(told.size(), 1U);
    EXPECT_EQ(told.front().listener, "serving");
    EXPECT_EQ(told.front().workload, "");
    EXPECT_EQ(told.front().local.port, server.port());
    EXPECT_EQ(told.front().netns, redirector->netns_of_thread().value());

    take(everybody(std::uint16_t(server.port() + 1)));
    EXPECT_EQ(attempt(outside, server.port()), "nothing") << "another port is open, not this";
    take(everybody(server.port()));
    EXPECT_EQ(attempt(outside, server.port()), "re:hi");
    EXPECT_EQ(redirector->counters()->let_in, 1U);
    take(everybody(0));
    EXPECT_EQ(attempt(outside, server.port()), "re:hi") << "all ports are open";
    ASSERT_TRUE(redirector->lend({}));
    EXPECT_EQ(attempt(outside, server.port()), "nothing") << "nobody records it";
}

TEST_P(Inbound, IsOpenToAWorkloadByNameOnly) {
    const Server server{serving, GetParam().bound, {.kind = GetParam().kind}};
    let_out(GetParam().host, server.port(), protocol());
    EXPECT_EQ(attempt(calling, server.port()), "nothing");
    const auto told = denials();
    ASSERT_GE(told.size(), 1U);
    EXPECT_EQ(told.front().listener, "serving");
    EXPECT_EQ(told.front().workload, "calling");
    EXPECT_NE(told.front().pid, 0U);

    take(everybody(server.port()));
    EXPECT_EQ(attempt(calling, server.port()), "nothing") << "by its address";
    take({workload(server.port(), calling_id, protocol())});
    EXPECT_EQ(attempt(calling, server.port()), "re:hi");
    EXPECT_EQ(attempt(outside, server.port()), "nothing");
}

INSTANTIATE_TEST_SUITE_P(Kernel, Inbound, ::testing::ValuesIn(kCalls),
                         [](const auto& info) { return info.param.name; });

TEST_F(InboundTest, ACallFromOutsideIsToldFromBeginningToEnd) {
    const Server server{serving, "127.0.0.1", {}};
    take({from("127.0.0.0", server.port(), 8)});
    EXPECT_EQ(run_in(outside, [&] { return call("127.0.0.1", server.port()); }), "re:hi");
    const auto told = directs(2);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].kind, Direct::Kind::Opened);
    EXPECT_TRUE(told[0].inbound);
    EXPECT_EQ(told[0].peer.name, "serving");
    EXPECT_EQ(told[0].origin.workload.name, "");
    EXPECT_EQ(told[0].origin.destination.host(), "127.0.0.1");
    EXPECT_EQ(told[0].local_port, server.port());
    EXPECT_EQ(told[1].kind, Direct::Kind::Closed);
    EXPECT_EQ(told[1].origin.socket, told[0].origin.socket);
    EXPECT_EQ(told[1].bytes_up, 2U);
    EXPECT_EQ(told[1].bytes_down, 5U);
}

TEST_F(InboundTest, AGovernedCallerAndTheListenerAreToldTogether) {
    const Server server{serving, "127.0.0.1", {}};
    let_out("127.0.0.1", server.port());
    take({workload(server.port(), calling_id)});
    EXPECT_EQ(run_in(calling, [&] { return call("127.0.0.1", server.port()); }), "re:hi");
    const auto told = directs(3);
    ASSERT_EQ(told.size(), 3U);
    EXPECT_EQ(told[0].kind, Direct::Kind::Opened);
    EXPECT_EQ(told[1].kind, Direct::Kind::Reached);
    EXPECT_EQ(told[1].origin.workload.name, "calling");
    EXPECT_EQ(told[1].peer.name, "serving");
    EXPECT_EQ(told[1].origin.socket, told[0].origin.socket);
    EXPECT_EQ(told[1].generation, told[0].generation);
    EXPECT_EQ(told[1].began, told[0].began);
    EXPECT_EQ(told[2].kind, Direct::Kind::Closed);
}

TEST_F(InboundTest, ATalkWithAGovernedReceiverNamesBoth) {
    const Server server{serving, "127.0.0.1", {.kind = Socket::Datagram}};
    let_out("127.0.0.1", server.port(), IPPROTO_UDP);
    take({workload(server.port(), calling_id, IPPROTO_UDP)});
    EXPECT_EQ(run_in(calling, [&] { return say("127.0.0.1", server.port()); }), "re:hi");
    auto talks = redirector->talks();
    EXPECT_EQ(std::erase_if(talks, [](const Talk& talk) { return talk.answers; }), 1U);
    ASSERT_EQ(talks.size(), 1U);
    EXPECT_EQ(talks[0].direct.origin.workload.name, "calling");
    EXPECT_EQ(talks[0].direct.peer.name, "serving");
    EXPECT_EQ(talks[0].direct.bytes_up, 2U);
    EXPECT_EQ(talks[0].direct.bytes_down, 5U);
}

TEST_F(InboundTest, DatagramsFromOutsideAreCountedBothWays) {
    const Server server{serving, "127.0.0.1", {.kind = Socket::Datagram}};
    take({from("127.0.0.1", server.port(), 32, IPPROTO_UDP)});
    EXPECT_EQ(run_in(outside, [&] { return say("127.0.0.1", server.port()); }), "re:hi");
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 1U);
    EXPECT_TRUE(talks[0].direct.inbound);
    EXPECT_EQ(talks[0].direct.peer.name, "serving");
    EXPECT_EQ(talks[0].direct.local_port, server.port());
    EXPECT_EQ(talks[0].direct.bytes_up, 2U);
    EXPECT_EQ(talks[0].direct.bytes_down, 5U);
    // Whoever called may be answered, and nobody else.
    EXPECT_EQ(run_in(serving, [&] { return say("127.0.0.1", server.port()); }), "EPERM");
}

TEST_F(InboundTest, WhatIsTakenBackIsCut) {
    const Server server{serving, "127.0.0.1", {}};
    take({from("127.0.0.1", server.port(), 32)});
    EXPECT_EQ(run_in(outside,
                     [&] {
                         const UniqueFd fd = stream(AF_INET);
                         const std::string first = call(fd.get(), "127.0.0.1", server.port());
                         if (!redirector->set_inbound(serving_id, {}))
                             return std::string{"not set"};
                         (void)!::send(fd.get(), "hi", 2, MSG_NOSIGNAL);
                         return first + " " + hear(fd.get());
                     }),
              "re:hi nothing");
}

TEST_F(InboundTest, WhoTakesThePlaceOfAStrangerIsFoundSoon) {
    auto stranger = std::make_unique<Server>(outside, "127.0.0.1", Server::How{});
    const Address at = v4_address(127, 0, 0, 1, stranger->port());
    for (int i = 0; i != 3; ++i)  // the kernel is asked, then it is known
        EXPECT_EQ(redirector->listening_at(at).error().code, Errc::NotFound);
    stranger.reset();
    const Server server{serving, "127.0.0.1", {.port = at.port}};
    ASSERT_EQ(server.port(), at.port);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{5};
    auto found = redirector->listening_at(at);
    while (!found && std::chrono::steady_clock::now() < until)
        found = redirector->listening_at(at);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->name, "serving");
}

// This process is in the proxy's cgroup.
TEST_F(InboundTest, TheProxyReachesOnlyWhomItNames) {
    const Server server{serving, "127.0.0.1", {}};
    take({from("127.0.0.1", server.port(), 32)});
    const auto dial = [&](const std::function<Result<>(int)>& mark) {
        const UniqueFd fd = stream(AF_INET);
        EXPECT_TRUE(mark(fd.get()));
        return call(fd.get(), "127.0.0.1", server.port());
    };
    const auto listener = redirector->listening_at(v4_address(127, 0, 0, 1, server.port()));
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_EQ(listener->name, "serving");
    EXPECT_EQ(dial([&](int fd) { return redirector->mark_dial(fd, *listener); }), "re:hi");
    EXPECT_EQ(dial([](int) -> Result<> { return {}; }), "nothing") << "for nobody";
    Workload other = *listener;
    other.cgroup_id = calling_id;
    EXPECT_EQ(dial([&](int fd) { return redirector->mark_dial(fd, other); }), "nothing");
    other = *listener;
    ++other.epoch;
    EXPECT_EQ(dial([&](int fd) { return redirector->mark_dial(fd, other); }), "nothing");
    EXPECT_EQ(dial([&](int fd) { return redirector->mark_any_dial(fd); }), "re:hi");
    EXPECT_TRUE(redirector->take_directs([](const Direct&) { ADD_FAILURE(); }));
}

TEST_F(InboundTest, WhoListensIsFoundByAnyAddressOfTheListener) {
    const Server any{serving, "::", {}};
    EXPECT_EQ(redirector->listening_at(v4_address(127, 0, 0, 1, any.port()))->name, "serving");
    Address six{.port = any.port()};
    six.ip[15] = 1;
    EXPECT_EQ(redirector->listening_at(six)->name, "serving");
    const Server free{outside, "127.0.0.1", {}};
    EXPECT_EQ(redirector->listening_at(v4_address(127, 0, 0, 1, free.port())).error().code,
              Errc::NotFound);
    EXPECT_EQ(redirector->listening_at(v4_address(127, 0, 0, 1, 1)).error().code, Errc::NotFound);
}

TEST_F(InboundTest, AListenerThatIsOlderThanItsGoverningIsClosedToo) {
    const auto cgroup = make_cgroup("older");
    const Server tcp{cgroup, "127.0.0.1", {}};
    const Server udp{cgroup, "127.0.0.1", {.kind = Socket::Datagram}};
    const auto call_both = [&] {
        return run_in(outside, [&] {
            return call("127.0.0.1", tcp.port()) + " " + say("127.0.0.1", udp.port());
        });
    };
    ASSERT_EQ(call_both(), "re:hi re:hi");
    const auto governed = redirector->govern(cgroup, "older");
    ASSERT_TRUE(governed);
    EXPECT_EQ(call_both(), "nothing nothing");
    EXPECT_GE(refusals(), 2U);
    ASSERT_TRUE(redirector->set_inbound(
        governed->cgroup_id,
        std::vector{from("127.0.0.1", 0, 32), from("127.0.0.1", 0, 32, IPPROTO_UDP)}));
    EXPECT_EQ(call_both(), "re:hi re:hi");
}

TEST_F(InboundTest, OfASharedPortEachListenerIsItsOwn) {
    const Server first{serving, "127.0.0.1", {.share_port = true}};
    const Server second{calling, "127.0.0.1", {.share_port = true, .port = first.port()}};
    take({from("127.0.0.1", first.port(), 32)});
    bool answered = false, refused = false;
    for (int tries = 0; tries < 64 && !(answered && refused); ++tries) {
        const auto how = run_in(outside, [&] { return call("127.0.0.1", first.port()); });
        answered = answered || how == "re:hi";
        refused = refused || how == "nothing";
    }
    EXPECT_TRUE(answered);
    EXPECT_TRUE(refused);
    for (const Denial& one : denials()) EXPECT_EQ(one.listener, "calling");
}

TEST_F(InboundTest, AWorkloadReachesItself) {
    ASSERT_TRUE(redirector->set_verdicts(serving_id, std::vector{from("127.0.0.1", 0, 32)}));
    const Server server{serving, "127.0.0.1", {}};
    ASSERT_TRUE(
        redirector->set_verdicts(serving_id, std::vector{from("127.0.0.1", server.port(), 32)}));
    EXPECT_EQ(run_in(serving, [&] { return call("127.0.0.1", server.port()); }), "re:hi");
}

}  // namespace chaperone::kernel::testing

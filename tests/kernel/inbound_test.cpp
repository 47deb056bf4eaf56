// SPDX-License-Identifier: Apache-2.0
// Who may call a governed process that listens: nobody from outside its workload, but whom a table
// names by address or workload, and the proxy for the one workload that it has decided about. Each
// call is tried at an ungoverned server first, to show that it is a real one.
#include "tests/kernel/support.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

namespace chaperone::kernel::testing {

namespace {

constexpr int kSoonMs = 400;  // that long nothing comes of a call that is not taken

enum class Socket { Stream, Datagram };

// Answers "re:" and what it is told, to everybody who comes through to it.
class Server {
public:
    struct How {
        Socket kind = Socket::Stream;
        bool share_port = false;
        std::uint16_t port = 0;
        int netns = -1;
    };

    Server(const std::filesystem::path& cgroup, const std::string& host, How how) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        const UniqueFd read{ends[0]};
        UniqueFd write{ends[1]};
        child_ = std::make_unique<Child>(cgroup, [&] { return serve(write.get(), host, how); });
        write.reset();
        EXPECT_EQ(::read(read.get(), &port_, sizeof(port_)), ssize_t(sizeof(port_)));
    }

    std::uint16_t port() const { return port_; }

private:
    static std::string serve(int tell, const std::string& host, How how) {
        if (how.netns >= 0 && ::setns(how.netns, CLONE_NEWNET) != 0) return "no namespace";
        const Target at = target(host, how.port);
        const int type = how.kind == Socket::Stream ? SOCK_STREAM : SOCK_DGRAM;
        const UniqueFd fd{::socket(at.address.ss_family, type | SOCK_CLOEXEC, 0)};
        const int on = 1, fast = 16;
        if (how.share_port) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at.address), at.size) != 0)
            return "no address";
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN, &fast, sizeof(fast));
        if (how.kind == Socket::Stream && ::listen(fd.get(), 16) != 0) return "does not listen";
        sockaddr_storage name{};
        socklen_t size = sizeof(name);
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size);
        const std::uint16_t port = from_sockaddr(name).value_or(Address{}).port;
        (void)!::write(tell, &port, sizeof(port));
        for (;;) how.kind == Socket::Stream ? take_call(fd.get()) : take_datagram(fd.get());
    }
    static void take_call(int fd) {
        const UniqueFd accepted{::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)};
        std::array<char, 256> text{'r', 'e', ':'};
        for (;;) {
            const ssize_t n = ::recv(accepted.get(), text.data() + 3, text.size() - 3, 0);
            if (n <= 0) return;
            (void)!::send(accepted.get(), text.data(), std::size_t(n) + 3, MSG_NOSIGNAL);
        }
    }
    static void take_datagram(int fd) {
        std::array<char, 256> text{'r', 'e', ':'};
        sockaddr_storage from{};
        socklen_t size = sizeof(from);
        auto* sender = reinterpret_cast<sockaddr*>(&from);
        const ssize_t n = ::recvfrom(fd, text.data() + 3, text.size() - 3, 0, sender, &size);
        if (n >= 0) (void)!::sendto(fd, text.data(), std::size_t(n) + 3, 0, sender, size);
    }

    std::unique_ptr<Child> child_;
    std::uint16_t port_ = 0;
};

std::string hear(int fd) {
    char text[256];
    if (!readable(fd, kSoonMs)) return "nothing";
    const ssize_t n = ::recv(fd, text, sizeof(text), 0);
    return n < 0 ? error_name(errno) : std::string(text, std::size_t(n));
}

// Connects and says "hi": what comes back, an error, or "nothing".
std::string call(int fd, const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.size);
    pollfd done{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&done, 1, kSoonMs) != 1) return "nothing";
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error_name(error);
    if (::send(fd, "hi", 2, MSG_NOSIGNAL) != 2) return error_name(errno);
    return hear(fd);
}

std::string call(const std::string& host, std::uint16_t port) {
    return call(stream(target(host, 1).address.ss_family).get(), host, port);
}

// The same with the words in the SYN.
std::string call_fast(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd = stream(to.address.ss_family, SOCK_NONBLOCK);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
    ::sendto(fd.get(), "hi", 2, MSG_FASTOPEN | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&to.address), to.size);
    return hear(fd.get());
}

std::string say(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd{::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (::sendto(fd.get(), "hi", 2, 0, reinterpret_cast<const sockaddr*>(&to.address), to.size) < 0)
        return error_name(errno);
    return hear(fd.get());
}

Verdict from(const std::string& network, std::uint16_t port, unsigned prefix,
             int protocol = IPPROTO_TCP, Verdict::Action action = Verdict::Action::Let) {
    const auto address = from_sockaddr(target(network, port).address);
    return {.protocol = protocol,
            .network = address.value(),
            .prefix = address->is_v4() ? 96 + prefix : prefix,
            .action = action};
}

}  // namespace

class InboundTest : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        serving = make_agent("serving");
        calling = make_agent("calling");
        serving_id = cgroup_id(serving).value();
        calling_id = cgroup_id(calling).value();
        ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}));
    }

    void take(std::vector<Verdict> callers) {
        ASSERT_TRUE(redirector->set_inbound(serving_id, callers));
    }
    Verdict workload(std::uint16_t port, std::uint64_t id, int protocol = IPPROTO_TCP) const {
        return {.protocol = protocol,
                .network = {.port = port},
                .action = Verdict::Action::Let,
                .workload = id};
    }
    // Policy's other half: the caller may go there at all.
    void let_out(const std::string& host, std::uint16_t port, int protocol = IPPROTO_TCP) {
        const bool v4 = from_sockaddr(target(host, port).address)->is_v4();
        const unsigned whole = v4 ? 32 : 128;
        ASSERT_TRUE(
            redirector->set_verdicts(calling_id, std::vector{from(host, port, whole, protocol)}));
    }
    std::uint64_t refusals() const { return redirector->counters()->refused_inbound; }
    std::vector<Denial> denials() {
        std::vector<Denial> all;
        for (Denial& one : redirector->take_denials().value())
            if (one.kind == Denial::Kind::Inbound) all.push_back(std::move(one));
        return all;
    }
    std::vector<Direct> directs(std::size_t count) {
        std::vector<Direct> all;
        for (int tries = 0; tries < 1000 && all.size() < count; ++tries) {
            EXPECT_TRUE(redirector->take_directs([&](const Direct& one) { all.push_back(one); }));
            if (all.size() < count) ::poll(nullptr, 0, kPatienceMs / 1000);
        }
        return all;
    }

    std::filesystem::path serving, calling;
    std::uint64_t serving_id = 0, calling_id = 0;
};

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

// Two namespaces with a wire between them: callers from other hosts.
class InboundWire : public InboundTest {
protected:
    void SetUp() override {
        InboundTest::SetUp();
        std::thread{[&] {
            ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
            far.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        }}.join();
        std::thread{[&] {
            ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
            near.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
            const std::string move =
                "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(far.get());
            ASSERT_EQ(std::system(("ip link set lo up && ip link add wire type veth peer name far "
                                   "netns " +
                                   move +
                                   " && ip link set wire up && "
                                   "ip addr add 192.0.2.1/24 dev wire && "
                                   "ip -6 addr add 2001:db8::1/64 dev wire nodad")
                                      .c_str()),
                      0);
        }}.join();
        std::thread{[&] {
            ASSERT_EQ(::setns(far.get(), CLONE_NEWNET), 0);
            ASSERT_EQ(std::system("ip link set lo up && ip link set far up && "
                                  "ip addr add 192.0.2.2/24 dev far && "
                                  "ip -6 addr add 2001:db8::2/64 dev far nodad"),
                      0);
        }}.join();
    }
    // As another host would.
    std::string from_afar(const std::function<std::string()>& run) {
        return run_in(outside, [&] {
            if (::setns(far.get(), CLONE_NEWNET) != 0) return std::string{"no namespace"};
            return run();
        });
    }
    UniqueFd near, far;
};

TEST_F(InboundWire, OtherHostsAreTakenByTheirAddressAndAnswered) {
    for (const auto& [bound, host, network] : {std::tuple{"0.0.0.0", "192.0.2.1", "192.0.2.0"},
                                               {"::", "2001:db8::1", "2001:db8::"},
                                               {"::", "192.0.2.1", "192.0.2.0"}}) {
        SCOPED_TRACE(std::string{bound} + " " + host);
        const unsigned prefix = network[5] == 'd' ? 64 : 24;
        for (const Socket kind : {Socket::Stream, Socket::Datagram}) {
            const int protocol = kind == Socket::Stream ? IPPROTO_TCP : IPPROTO_UDP;
            const auto attempt = [&](const Server& server) {
                return from_afar([&, host = host] {
                    return kind == Socket::Stream ? call(host, server.port())
                                                  : say(host, server.port());
                });
            };
            const Server free{outside, bound, {.kind = kind, .netns = near.get()}};
            ASSERT_EQ(attempt(free), "re:hi");
            const Server server{serving, bound, {.kind = kind, .netns = near.get()}};
            EXPECT_EQ(attempt(server), "nothing");
            take({from(network, server.port(), prefix, protocol)});
            EXPECT_EQ(attempt(server), "re:hi");
            take({from(network, server.port(), prefix, protocol),
                  from(prefix == 24 ? "192.0.2.2" : "2001:db8::2", server.port(),
                       prefix == 24 ? 32 : 128, protocol, Verdict::Action::Refuse)});
            EXPECT_EQ(attempt(server), "nothing") << "the longer prefix holds";
        }
    }
}

TEST_F(InboundWire, AWorkloadOfThisHostIsKnownOnAnyOfItsAddresses) {
    const auto near_by = [&](const std::filesystem::path& cgroup, std::uint16_t port) {
        return run_in(cgroup, [&] {
            if (::setns(near.get(), CLONE_NEWNET) != 0) return std::string{"no namespace"};
            return call("192.0.2.1", port);
        });
    };
    Listener inside;
    std::thread{[&] {
        ASSERT_EQ(::setns(near.get(), CLONE_NEWNET), 0);
        inside = listen_on("127.0.0.1");
        ASSERT_TRUE(redirector->set_proxy({.tcp4 = inside.port}));
    }}.join();
    const Server server{serving, "192.0.2.1", {.netns = near.get()}};
    let_out("192.0.2.1", server.port());
    take({from("0.0.0.0", server.port(), 0)});
    EXPECT_EQ(near_by(calling, server.port()), "nothing");
    take({workload(server.port(), calling_id)});
    EXPECT_EQ(near_by(calling, server.port()), "re:hi");
}

}  // namespace chaperone::kernel::testing

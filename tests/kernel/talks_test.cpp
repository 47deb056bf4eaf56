// SPDX-License-Identifier: Apache-2.0
// Datagrams that policy lets: straight to their peer and counted, from every kind of socket and
// call; all others EPERM, whatever trick is tried.
#include "tests/kernel/support.h"

#include <array>
#include <chrono>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace chaperone::kernel::testing {

namespace {

using Action = Verdict::Action;

// Echoes nothing by itself: the test reads and answers.
struct Peer {
    UniqueFd fd;
    std::uint16_t port = 0;
};

Peer peer_on(const std::string& host) {
    const Target at = target(host, 0);
    Peer made{.fd = UniqueFd{::socket(at.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)}};
    EXPECT_EQ(::bind(made.fd.get(), reinterpret_cast<const sockaddr*>(&at.address), at.size), 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    ::getsockname(made.fd.get(), reinterpret_cast<sockaddr*>(&name), &size);
    made.port = from_sockaddr(name).value_or(Address{}).port;
    return made;
}

// What arrived, answered with "re:" and the same; "nothing" after a while.
std::string answer(const Peer& peer, int patience_ms = kPatienceMs) {
    if (!readable(peer.fd.get(), patience_ms)) return "nothing";
    char text[2048];
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    auto* sender = reinterpret_cast<sockaddr*>(&from);
    const ssize_t n = ::recvfrom(peer.fd.get(), text, sizeof(text), 0, sender, &size);
    if (n < 0) return error_name(errno);
    const std::string got{text, std::size_t(n)};
    const std::string back = "re:" + got;
    ::sendto(peer.fd.get(), back.data(), back.size(), 0, sender, size);
    return got;
}

std::string sent(ssize_t n) {
    return n >= 0 ? "sent" : error_name(errno);
}

std::string hears(int fd) {
    if (!readable(fd)) return "nothing";
    char text[2048];
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const ssize_t n =
        ::recvfrom(fd, text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return error_name(errno);
    return std::string{text, std::size_t(n)} + " from " +
           from_sockaddr(from).value_or(Address{}).to_text();
}

enum class How { SendTo, Connected, SendMsg, SendMmsg, More, Control, Unspecified };

// Sends "hi" this way; "sent" or the error.
std::string say(int fd, How how, const Target& to) {
    char text[] = "hi";
    auto* name = const_cast<sockaddr_storage*>(&to.address);
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    iovec piece{text, 2};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    switch (how) {
    case How::SendTo: return sent(::sendto(fd, text, 2, 0, address, to.size));
    case How::SendMsg:
        message.msg_name = name;
        message.msg_namelen = to.size;
        return sent(::sendmsg(fd, &message, 0));
    case How::SendMmsg: {
        mmsghdr one{};
        one.msg_hdr = message;
        one.msg_hdr.msg_name = name;
        one.msg_hdr.msg_namelen = to.size;
        return sent(::sendmmsg(fd, &one, 1, 0));
    }
    case How::More:  // the second call adds to the first and fires no hook
        if (::sendto(fd, text, 1, MSG_MORE, address, to.size) < 0) return error_name(errno);
        return sent(::sendto(fd, text + 1, 1, 0, address, to.size));
    case How::Connected:
        if (::connect(fd, address, to.size) != 0) return error_name(errno);
        return sent(::send(fd, text, 2, 0));
    case How::Control: {  // a connected socket with control data: the hook sees no address
        if (::connect(fd, address, to.size) != 0) return error_name(errno);
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const std::uint16_t segment = 2;
        std::memcpy(CMSG_DATA(header), &segment, sizeof(segment));
        return sent(::sendmsg(fd, &message, 0));
    }
    case How::Unspecified: {  // connected, then let loose, then sent as AF_UNSPEC
        if (::connect(fd, address, to.size) != 0) return error_name(errno);
        sockaddr_storage nobody{};
        nobody.ss_family = AF_UNSPEC;
        ::connect(fd, reinterpret_cast<const sockaddr*>(&nobody), sizeof(sockaddr_in));
        name->ss_family = AF_UNSPEC;
        return sent(::sendto(fd, text, 2, 0, address, to.size));
    }
    }
    return {};
}

constexpr How kAll[] = {How::SendTo, How::Connected, How::SendMsg,    How::SendMmsg,
                        How::More,   How::Control,   How::Unspecified};

class Talks : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        v4 = peer_on("127.0.0.1");
        v6 = peer_on("::1");
        other = peer_on("127.0.0.1");
        agent = make_agent("agent");
        id = cgroup_id(agent).value();
        ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}));
    }
    Verdict udp(const std::string& host, std::uint16_t port, Action action = Action::Let) const {
        const auto address = from_sockaddr(target(host, port).address);
        return {.protocol = IPPROTO_UDP,
                .network = *address,
                .prefix = 128,
                .action = action,
                .tag = 9};
    }
    static std::uint64_t in(std::chrono::nanoseconds time) {
        const auto at = std::chrono::steady_clock::now() + time;
        return std::uint64_t(at.time_since_epoch().count());
    }
    static NamedVerdict named(const std::string& host, std::uint16_t port,
                              Action action = Action::Let,
                              std::chrono::nanoseconds time = std::chrono::minutes{1}) {
        return {.address = *from_sockaddr(target(host, port).address),
                .action = action,
                .tag = 7,
                .until_ns = in(time)};
    }
    void tell(std::vector<NamedVerdict> verdicts) {
        ASSERT_TRUE(redirector->set_named(id, verdicts));
    }
    void let(std::vector<Verdict> verdicts) { ASSERT_TRUE(redirector->set_verdicts(id, verdicts)); }
    std::string tries(How how, const std::string& host, std::uint16_t port, int family = AF_INET) {
        return run_in(agent, [&] {
            const UniqueFd fd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
            return say(fd.get(), how, target(host, port));
        });
    }

    Peer v4, v6, other;
    std::filesystem::path agent;
    std::uint64_t id = 0;
};

TEST_F(Talks, GoStraightThereAndAreCounted) {
    let({udp("127.0.0.1", v4.port)});
    Child child{agent, [&] {
                    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                    const std::string said =
                        say(fd.get(), How::SendTo, target("127.0.0.1", v4.port));
                    return said + ", " + hears(fd.get());
                }};
    const std::uint32_t pid = std::uint32_t(child.pid());
    EXPECT_EQ(answer(v4), "hi");
    EXPECT_EQ(child.result(), "sent, re:hi from 127.0.0.1:" + std::to_string(v4.port));
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 1U);
    const Direct& direct = talks[0].direct;
    EXPECT_EQ(direct.origin.workload.name, "agent");
    EXPECT_EQ(direct.origin.pid, pid);
    EXPECT_EQ(direct.origin.destination.to_text(), "127.0.0.1:" + std::to_string(v4.port));
    EXPECT_EQ(direct.tag, 9U);
    EXPECT_EQ(direct.bytes_up, 2U);
    EXPECT_EQ(direct.bytes_down, 5U);
    EXPECT_EQ(talks[0].packets_up, 1U);
    EXPECT_EQ(talks[0].packets_down, 1U);
    ASSERT_TRUE(redirector->end_talk(talks[0]));
    EXPECT_TRUE(redirector->talks().empty());
    EXPECT_EQ(redirector->end_talk(talks[0]).error().code, Errc::NotFound);
}

TEST_F(Talks, OfNestedCgroupsAreCountedOnce) {
    const auto inner = make_agent("agent/inner");
    const std::vector<Verdict> lets{udp("127.0.0.1", v4.port)};
    ASSERT_TRUE(redirector->set_verdicts(cgroup_id(inner).value(), lets));
    Child child{inner, [&] {
                    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                    const Target to = target("127.0.0.1", v4.port);
                    std::string said = say(fd.get(), How::SendTo, to) + hears(fd.get());
                    said += say(fd.get(), How::SendTo, to) + hears(fd.get());
                    return said;
                }};
    EXPECT_EQ(answer(v4), "hi");
    EXPECT_EQ(answer(v4), "hi");
    const std::string heard = "sentre:hi from 127.0.0.1:" + std::to_string(v4.port);
    EXPECT_EQ(child.result(), heard + heard);
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 1U);
    EXPECT_EQ(talks[0].direct.origin.workload.name, "agent/inner");
    EXPECT_EQ(talks[0].direct.bytes_up, 4U);
    EXPECT_EQ(talks[0].direct.bytes_down, 10U);
    EXPECT_EQ(talks[0].packets_up, 2U);
    EXPECT_EQ(talks[0].packets_down, 2U);
}

TEST_F(Talks, GoByEveryCall) {
    let({udp("127.0.0.1", v4.port)});
    for (const How how : kAll) {
        EXPECT_EQ(tries(how, "127.0.0.1", v4.port), "sent") << int(how);
        EXPECT_EQ(answer(v4), "hi") << int(how);
    }
}

TEST_F(Talks, GoOverIpv6AndMapped) {
    let({udp("127.0.0.1", v4.port), udp("::1", v6.port)});
    EXPECT_EQ(tries(How::SendTo, "::1", v6.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v6), "hi");
    EXPECT_EQ(tries(How::Connected, "::1", v6.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v6), "hi");
    EXPECT_EQ(tries(How::SendTo, "::ffff:127.0.0.1", v4.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v4), "hi");
    EXPECT_EQ(tries(How::Connected, "::ffff:127.0.0.1", v4.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v4), "hi");
}

TEST_F(Talks, ToNobodyElse) {
    let({udp("127.0.0.1", v4.port), udp("127.0.0.1", v6.port, Action::Refuse)});
    for (const How how : kAll) {
        EXPECT_EQ(tries(how, "127.0.0.1", other.port), "EPERM") << int(how);
        EXPECT_EQ(tries(how, "127.0.0.1", v6.port), "EPERM") << int(how);
    }
    EXPECT_FALSE(readable(other.fd.get(), 100));
    EXPECT_TRUE(redirector->talks().empty());
}

TEST_F(Talks, OneSocketSpeaksWithSeveralAndStaysWithinThem) {
    let({udp("127.0.0.1", v4.port), udp("127.0.0.1", other.port)});
    const std::uint16_t stranger = peer_on("127.0.0.1").port;
    EXPECT_EQ(run_in(agent,
                     [&] {
                         const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                         std::string said;
                         for (const std::uint16_t port : {v4.port, other.port, stranger, v4.port})
                             said += say(fd.get(), How::SendTo, target("127.0.0.1", port)) + " ";
                         return said;
                     }),
              "sent sent EPERM sent ");
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 2U);
    EXPECT_EQ(talks[0].packets_up + talks[1].packets_up, 3U);
}

TEST_F(Talks, EndWhenTheVerdictIsTakenBackOrNobodyRecords) {
    let({udp("127.0.0.1", v4.port)});
    Child child{agent, [&] {
                    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                    std::string said = say(fd.get(), How::Connected, target("127.0.0.1", v4.port));
                    hears(fd.get());
                    return said + " " + sent(::send(fd.get(), "hi", 2, 0));
                }};
    ASSERT_TRUE(readable(v4.fd.get()));
    let({});
    answer(v4);
    EXPECT_EQ(child.result(), "sent EPERM");
    let({udp("127.0.0.1", v4.port)});
    ASSERT_TRUE(redirector->lend(Duration{}));
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", v4.port), "EPERM");
    EXPECT_FALSE(readable(v4.fd.get(), 100));
}

// What goes by a name is known by the address that the workload was told.
TEST_F(Talks, GoToAddressesThatWereToldForNames) {
    tell({named("127.0.0.1", v4.port), named("::1", v6.port)});
    for (const How how : kAll) {
        EXPECT_EQ(tries(how, "127.0.0.1", v4.port), "sent") << int(how);
        EXPECT_EQ(answer(v4), "hi") << int(how);
        EXPECT_EQ(tries(how, "127.0.0.1", other.port), "EPERM") << int(how);
    }
    EXPECT_EQ(tries(How::SendTo, "::1", v6.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v6), "hi");
    EXPECT_EQ(tries(How::Connected, "::1", v6.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v6), "hi");
    EXPECT_EQ(tries(How::SendTo, "::ffff:127.0.0.1", v4.port, AF_INET6), "sent");
    EXPECT_EQ(answer(v4), "hi");
    EXPECT_FALSE(readable(other.fd.get(), 100));
    const auto talks = redirector->talks();
    ASSERT_FALSE(talks.empty());
    for (const Talk& talk : talks) EXPECT_EQ(talk.direct.tag, 7U);
}

TEST_F(Talks, ByNameAreOfTheWorkloadThatWasTold) {
    tell({named("127.0.0.1", v4.port)});
    const auto stranger = make_agent("stranger");
    EXPECT_EQ(run_in(stranger,
                     [&] {
                         const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                         return say(fd.get(), How::SendTo, target("127.0.0.1", v4.port));
                     }),
              "EPERM");
    EXPECT_FALSE(readable(v4.fd.get(), 100));
}

TEST_F(Talks, ByNameEndWithTheAnswer) {
    tell({named("127.0.0.1", v4.port, Action::Let, std::chrono::nanoseconds{0})});
    for (const How how : kAll) EXPECT_EQ(tries(how, "127.0.0.1", v4.port), "EPERM") << int(how);
    EXPECT_FALSE(readable(v4.fd.get(), 100));
}

TEST_F(Talks, ByNameAreStoppedWhenItIsTakenBack) {
    tell({named("127.0.0.1", v4.port)});
    Child child{agent, [&] {
                    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                    std::string said = say(fd.get(), How::Connected, target("127.0.0.1", v4.port));
                    hears(fd.get());
                    return said + " " + sent(::send(fd.get(), "hi", 2, 0));
                }};
    ASSERT_TRUE(readable(v4.fd.get()));
    tell({});
    answer(v4);
    EXPECT_EQ(child.result(), "sent EPERM");
}

TEST_F(Talks, ANameHoldsBeforeNetworks) {
    let({udp("127.0.0.1", v4.port), udp("127.0.0.1", other.port, Action::Refuse)});
    tell({named("127.0.0.1", v4.port, Action::Refuse), named("127.0.0.1", other.port)});
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", v4.port), "EPERM");
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", other.port), "sent");
    EXPECT_EQ(answer(other), "hi");
    // One more name for the address, which makes it unclear which is meant.
    const std::vector<NamedVerdict> unclear{named("127.0.0.1", other.port, Action::Ask)};
    ASSERT_TRUE(redirector->add_named(id, unclear));
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", other.port), "EPERM");
    EXPECT_FALSE(readable(v4.fd.get(), 100));
}

TEST_F(Talks, NamesGoWithTheWorkload) {
    tell({named("127.0.0.1", v4.port)});
    ASSERT_TRUE(redirector->release(id));
    EXPECT_EQ(redirector->set_named(id, {}).error().code, Errc::NotFound);
    ASSERT_TRUE(redirector->govern(agent, "agent"));
    ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}));
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", v4.port), "EPERM");
    EXPECT_FALSE(readable(v4.fd.get(), 100));
}

// An agent that has ended is released before its last words are read.
TEST_F(Talks, AreOfWhomTheyWereAfterTheRelease) {
    let({udp("127.0.0.1", v4.port)});
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", v4.port), "sent");
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", other.port), "EPERM");
    ASSERT_TRUE(redirector->release(id));
    ASSERT_TRUE(redirector->govern(agent, "another"));
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 1U);
    EXPECT_EQ(talks[0].direct.origin.workload.name, "agent");
    ASSERT_TRUE(redirector->release(id));
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials && !denials->empty());
    EXPECT_EQ(denials->front().workload, "another");  // of that cgroup the last that is known
}

TEST_F(Talks, NamesOutliveTheProcess) {
    tell({named("127.0.0.1", v4.port)});
    reopen();
    ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}));
    EXPECT_EQ(tries(How::SendTo, "127.0.0.1", v4.port), "sent");
    EXPECT_EQ(answer(v4), "hi");
}

}  // namespace

}  // namespace chaperone::kernel::testing

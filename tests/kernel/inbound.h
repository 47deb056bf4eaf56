// SPDX-License-Identifier: Apache-2.0
// Servers in cgroups, and calls to them, for the tests of whom a governed listener takes.
#pragma once

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

// What comes within kSoonMs, an error, or "nothing".
std::string hear(int fd);
// Connects and says "hi": what comes back, an error, or "nothing".
std::string call(int fd, const std::string& host, std::uint16_t port);
std::string call(const std::string& host, std::uint16_t port);
// The same with the words in the SYN.
std::string call_fast(const std::string& host, std::uint16_t port);
std::string say(const std::string& host, std::uint16_t port);  // in a datagram

Verdict from(const std::string& network, std::uint16_t port, unsigned prefix,
             int protocol = IPPROTO_TCP, Verdict::Action action = Verdict::Action::Let);

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

}  // namespace chaperone::kernel::testing

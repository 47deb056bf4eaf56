// SPDX-License-Identifier: Apache-2.0
// What the kernel refused is told, once, with who tried it.
#include "tests/kernel/support.h"

#include <cerrno>

#include <netinet/in.h>

namespace chaperone::kernel::testing {

namespace {

using DenialsTest = KernelTest;

std::string send_datagram(const std::string& host, std::uint16_t port) {
    const Target to = target(host, port);
    const UniqueFd fd{::socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
    return error_name(::sendto(fd.get(), "x", 1, 0, address, to.size) < 0 ? errno : 0);
}

TEST_F(DenialsTest, TellWhoTriedWhat) {
    make_agent("outer");
    const auto agent = make_agent("outer/inner");  // refused by both hooks, told once
    EXPECT_EQ(redirector->take_denials()->size(), 0U);
    Child child{agent, [&] {
                    const UniqueFd raw{::socket(AF_INET, SOCK_RAW, IPPROTO_TCP)};
                    return send_datagram("2001:db8::1", 443) + " " +
                           try_connect("127.0.0.1", proxy4.port);
                }};
    const auto pid = std::uint32_t(child.pid());
    EXPECT_EQ(child.result(), "EPERM EPERM");
    ASSERT_TRUE(readable(redirector->denials_fd()));
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    ASSERT_EQ(denials->size(), 3U);
    const Denial::Kind kinds[] = {Denial::Kind::Socket, Denial::Kind::Datagram,
                                  Denial::Kind::Connect};
    const char* destinations[] = {"[::]:0", "[2001:db8::1]:443", nullptr};
    for (std::size_t i = 0; i < denials->size(); ++i) {
        const Denial& denial = (*denials)[i];
        EXPECT_EQ(denial.kind, kinds[i]);
        EXPECT_EQ(denial.workload, "outer/inner");
        EXPECT_EQ(denial.pid, pid);
        EXPECT_EQ(denial.comm, "test_kernel");
        if (destinations[i]) EXPECT_EQ(denial.destination.to_text(), destinations[i]);
    }
    EXPECT_EQ((*denials)[0].type, SOCK_RAW);
    EXPECT_EQ((*denials)[2].destination.port, proxy4.port);
    EXPECT_EQ(redirector->counters()->refused_sockets, 1U);
    EXPECT_EQ(redirector->take_denials()->size(), 0U);
}

TEST_F(DenialsTest, DroppedPacketsAreTold) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent,
                     [] {
                         const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
                         connect_to(fd.get(), target("127.0.0.1", 9));
                         return error_name(::send(fd.get(), "x", 1, 0) < 0 ? errno : 0);
                     }),
              "EPERM");
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    ASSERT_EQ(denials->size(), 1U);
    EXPECT_EQ(denials->front().kind, Denial::Kind::Packet);
    EXPECT_EQ(denials->front().workload, "agent");
    EXPECT_EQ(denials->front().destination.to_text(), "127.0.0.1:9");
}

TEST_F(DenialsTest, AreTakenInPartsAndSurviveARestart) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent,
                     [] {
                         for (std::uint16_t port = 1; port <= 10; ++port)
                             send_datagram("192.0.2.1", port);
                         return std::string{};
                     }),
              "");
    std::vector<std::uint16_t> ports;
    for (const std::size_t expected : {4U, 4U, 2U, 0U}) {
        reopen();
        const auto denials = redirector->take_denials(4);
        ASSERT_TRUE(denials);
        EXPECT_EQ(denials->size(), expected);
        for (const Denial& denial : *denials) ports.push_back(denial.destination.port);
    }
    EXPECT_EQ(ports, (std::vector<std::uint16_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_F(DenialsTest, AFloodIsCountedAndChangesNoVerdict) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent,
                     [] {
                         for (int i = 0; i < 6000; ++i)
                             if (send_datagram("192.0.2.1", 9) != "EPERM")
                                 return std::string{"passed"};
                         return std::string{"all refused"};
                     }),
              "all refused");
    const auto told = redirector->take_denials(10'000);
    ASSERT_TRUE(told);
    EXPECT_GT(told->size(), 3000U);
    EXPECT_EQ(told->size() + redirector->counters()->untold, 6000U);
}

}  // namespace

}  // namespace chaperone::kernel::testing

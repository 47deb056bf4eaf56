// SPDX-License-Identifier: Apache-2.0
// Whom a governed listener takes from other hosts, and on this one over its own addresses.
#include "tests/kernel/inbound.h"

namespace chaperone::kernel::testing {

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

// SPDX-License-Identifier: Apache-2.0
// As full_test.cpp, of the maps by which the kernel decides and records by itself.
#include "tests/kernel/full.h"
#include "tests/kernel/inbound.h"
#include "userspace/kernel/sockets.h"

#include <bpf/bpf.h>

#include <poll.h>
#include <sys/un.h>

#include <atomic>
#include <cstddef>
#include <set>

namespace chaperone::kernel::testing {

namespace {

using Action = Verdict::Action;

class FullTables : public Full {
protected:
    void start(std::map<std::string, std::uint32_t> sizes) {
        Full::start(std::move(sizes));
        ASSERT_TRUE(redirector->lend(std::chrono::minutes{1}));
        first = make_agent("first");
        second = make_agent("second");
        first_id = cgroup_id(first).value();
        second_id = cgroup_id(second).value();
    }
    std::vector<Direct> take() {
        std::vector<Direct> all;
        EXPECT_TRUE(redirector->take_directs([&](const Direct& one) { all.push_back(one); }));
        return all;
    }

    std::filesystem::path first, second;
    std::uint64_t first_id = 0, second_id = 0;
};

TEST_F(FullTables, Verdicts) {
    start({{"verdicts", 1}});
    const Listener server = listen_on("127.0.0.1");
    const std::vector let{from("127.0.0.1", server.port, 32)};
    ASSERT_TRUE(redirector->set_verdicts(first_id, let));
    const auto refused = redirector->set_verdicts(second_id, let);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::TooLarge);
    EXPECT_EQ(connects(second, "127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4)) << "policy is asked";
    EXPECT_FALSE(readable(server.fd.get(), 0));
    ASSERT_TRUE(redirector->release(first_id));
    ASSERT_TRUE(redirector->set_verdicts(second_id, let));
    EXPECT_EQ(connects(second, "127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
    row("verdicts", "connect goes to the proxy, as where the kernel knows nothing", "the log");
}

TEST_F(FullTables, Named) {
    start({{"named", 1}});
    const Server one{outside, "127.0.0.1", {.kind = Socket::Datagram}},
        other{outside, "127.0.0.1", {.kind = Socket::Datagram}};
    const auto told = [](const Server& server) {
        return std::vector{NamedVerdict{.address = v4_address(127, 0, 0, 1, server.port()),
                                        .action = Action::Let,
                                        .until_ns = ~std::uint64_t{0}}};
    };
    const auto says = [&](const Server& server) {
        return run_in(first, [&] { return say("127.0.0.1", server.port()); });
    };
    ASSERT_TRUE(redirector->set_named(first_id, told(one)));
    EXPECT_EQ(redirector->add_named(first_id, told(other)).error().code, Errc::TooLarge);
    EXPECT_EQ(says(one), "re:hi");
    EXPECT_EQ(says(other), "EPERM");
    EXPECT_EQ(counted().refused_datagrams, 1U);
    ASSERT_TRUE(redirector->set_named(first_id, told(other)));
    EXPECT_EQ(says(other), "re:hi");
    row("named", "the name is not answered; sendto its addresses: EPERM",
        "kernel_refused_total datagram; the log");
}

// What the former table let may be what the new one is to refuse.
TEST_F(FullTables, ATableThatCannotBeReplacedHoldsNoLonger) {
    start({});
    const Listener server = listen_on("127.0.0.1");
    std::vector let{from("127.0.0.1", server.port, 32)};
    ASSERT_TRUE(redirector->set_verdicts(first_id, let));
    EXPECT_EQ(connects(first, "127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_from(server));
    let[0].prefix = 200;
    EXPECT_FALSE(redirector->set_verdicts(first_id, let));
    EXPECT_EQ(connects(first, "127.0.0.1", server.port), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_FALSE(readable(server.fd.get(), 0));
}

TEST_F(FullTables, Inbound) {
    start({{"inbound", 1}});
    const Server server{second, "127.0.0.1", {}};
    const std::vector anybody{from("127.0.0.1", server.port(), 32)};
    ASSERT_TRUE(redirector->set_inbound(first_id, anybody));
    EXPECT_EQ(redirector->set_inbound(second_id, anybody).error().code, Errc::TooLarge);
    const auto calls = [&] {
        return run_in(outside, [&] { return call("127.0.0.1", server.port()); });
    };
    EXPECT_EQ(calls(), "nothing");
    EXPECT_GT(counted().refused_inbound, 0U);
    ASSERT_TRUE(redirector->release(first_id));
    ASSERT_TRUE(redirector->set_inbound(second_id, anybody));
    EXPECT_EQ(calls(), "re:hi");
    row("inbound", "the listener takes nobody", "kernel_refused_total inbound; the log");
}

std::string ring(const std::string& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    const UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return error_name(
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0 ? 0 : errno);
}

TEST_F(FullTables, Doors) {
    start({{"doors", 1}});
    const std::string path = "/tmp/chaperone-" + tag + ".sock";
    const UniqueFd bell{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    ASSERT_EQ(::bind(bell.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    ASSERT_EQ(::listen(bell.get(), 16), 0);
    const std::vector open{Door{.name = path, .action = Action::Let}};
    ASSERT_TRUE(redirector->set_doors(first_id, open));
    EXPECT_EQ(redirector->set_doors(second_id, open).error().code, Errc::TooLarge);
    // Linux 6.1 without the guard has no such hooks.
    const bool guarded = redirector->no_doors().empty();
    EXPECT_EQ(run_in(second, [&] { return ring(path); }), guarded ? "EPERM" : "ok");
    EXPECT_EQ(counted().refused_doors, guarded ? 1U : 0U);
    ASSERT_TRUE(redirector->release(first_id));
    ASSERT_TRUE(redirector->set_doors(second_id, open));
    EXPECT_EQ(run_in(second, [&] { return ring(path); }), "ok");
    ::unlink(path.c_str());
    row("doors", "connect to any Unix socket of others: EPERM",
        "kernel_refused_total unix-socket; the log");
}

// This process is in the proxy's cgroup.
TEST_F(FullTables, Dialled) {
    start({});
    const Server server{second, "127.0.0.1", {}};
    const auto listener = redirector->listening_at(v4_address(127, 0, 0, 1, server.port()));
    ASSERT_TRUE(listener);
    {
        const UniqueFd fd = stream(AF_INET);
        crowd(fd.get());
        EXPECT_FALSE(redirector->mark_dial(fd.get(), *listener));
        EXPECT_EQ(call(fd.get(), "127.0.0.1", server.port()), "nothing");
    }
    EXPECT_GT(counted().refused_inbound, 0U);
    const UniqueFd fd = stream(AF_INET);
    EXPECT_TRUE(redirector->mark_dial(fd.get(), *listener));
    EXPECT_EQ(call(fd.get(), "127.0.0.1", server.port()), "re:hi");
    row("dialled", "the proxy does not dial, and its client hears so",
        "kernel_refused_total inbound");
}

// Forgets all callers again and again, as if others had taken their room.
class Forgetter {
public:
    explicit Forgetter(const std::filesystem::path& map)
        : thread_([this, fd = UniqueFd{bpf_obj_get(map.c_str())}] {
              EXPECT_TRUE(fd);
              chap_flow key{};
              while (!over_)
                  if (bpf_map_get_next_key(fd.get(), nullptr, &key) == 0)
                      bpf_map_delete_elem(fd.get(), &key);
          }) {}
    ~Forgetter() {
        over_ = true;
        thread_.join();
    }

private:
    std::atomic<bool> over_ = false;
    std::thread thread_;
};

TEST_F(FullTables, Callers) {
    start({{"callers", 2}});
    const Server server{second, "127.0.0.1", {}};
    const Verdict caller{.protocol = IPPROTO_TCP,
                         .network = {.port = server.port()},
                         .action = Action::Let,
                         .workload = first_id};
    ASSERT_TRUE(redirector->set_inbound(second_id, std::vector{caller}));
    ASSERT_TRUE(
        redirector->set_verdicts(first_id, std::vector{from("127.0.0.1", server.port(), 32)}));
    const auto calls = [&] {
        return run_in(first, [&] { return call("127.0.0.1", server.port()); });
    };
    unsigned heard = 0;
    {
        const Forgetter forgetter{options().pin_dir / version() / "maps" / "callers"};
        for (int tries = 0; tries < 2000 && counted().refused_inbound == 0; ++tries)
            heard += calls() == "re:hi";
    }
    EXPECT_GT(counted().refused_inbound, 0U) << "nobody was forgotten";
    std::size_t reached = 0;
    for (const Direct& one : take()) reached += one.kind == Direct::Kind::Reached;
    EXPECT_EQ(reached, heard) << "who came through is told";
    // The daemon ends both of its ends by that.
    unsigned accepted = 0;
    for (const Denial& one : redirector->take_denials().value())
        if (one.kind == Denial::Kind::Inbound && one.type == SOCK_STREAM)
            accepted += end_connection(one.local, one.destination) ? 1 : 0;
    EXPECT_GT(accepted, 0U);
    EXPECT_EQ(calls(), "re:hi");
    row("callers", "the caller is not let in, and both sockets are ended",
        "kernel_refused_total inbound");
}

TEST_F(FullTables, Talks) {
    start({{"talks", 1}});
    const Server one{outside, "127.0.0.1", {.kind = Socket::Datagram}},
        other{outside, "127.0.0.1", {.kind = Socket::Datagram}};
    ASSERT_TRUE(redirector->set_verdicts(
        first_id, std::vector{from("127.0.0.1", one.port(), 32, IPPROTO_UDP),
                              from("127.0.0.1", other.port(), 32, IPPROTO_UDP)}));
    const auto says = [&](std::uint16_t port) {
        return run_in(first, [=] { return say("127.0.0.1", port); });
    };
    EXPECT_EQ(says(one.port()), "re:hi");
    EXPECT_EQ(says(other.port()), "EPERM");
    EXPECT_EQ(counted().dropped_packets, 1U);
    const auto talks = redirector->talks();
    ASSERT_EQ(talks.size(), 1U);
    EXPECT_TRUE(redirector->end_talk(talks[0]));
    EXPECT_EQ(says(other.port()), "re:hi");
    row("talks", "sendto: EPERM", "kernel_refused_total packet");
}

// Openings get half of the ring, ends the rest; what finds none is counted.
TEST_F(FullTables, Directs) {
    start({{"directs", 4096}});
    const Listener server = listen_on("127.0.0.1");
    ASSERT_TRUE(
        redirector->set_verdicts(first_id, std::vector{from("127.0.0.1", server.port, 32)}));
    const auto connect_all = [&](int count) {
        std::vector<UniqueFd> all;
        for (int i = 0; i < count; ++i) {
            all.push_back(stream(AF_INET));
            if (const auto said = connect_to(all.back().get(), target("127.0.0.1", server.port));
                said != "ok")
                return said;
        }
        return std::string{"ok"};
    };
    EXPECT_EQ(run_in(first, [&] { return connect_all(40); }), "ok");
    unsigned direct = 0, asked = 0;
    while (readable(server.fd.get(), 0)) direct += accept_from(server) ? 1 : 0;
    while (readable(proxy4.fd.get(), 0)) asked += accept_origin(proxy4) ? 1 : 0;
    EXPECT_GT(direct, 0U);
    EXPECT_GT(asked, 0U);
    EXPECT_EQ(direct + asked, 40U) << "none is lost, and none comes without being told of";
    unsigned opened = 0, closed = 0;
    const auto account = [&] {
        for (const Direct& one : take()) ++(one.kind == Direct::Kind::Opened ? opened : closed);
        return closed + counted().lost_flows;
    };
    for (int tries = 0; tries < 1000 && account() < direct; ++tries)
        ::poll(nullptr, 0, kPatienceMs / 1000);
    EXPECT_EQ(opened, direct);
    EXPECT_EQ(closed + counted().lost_flows, direct);
    EXPECT_GT(counted().lost_flows, 0U);
    EXPECT_EQ(run_in(first, [&] { return connect_all(1); }), "ok");
    EXPECT_TRUE(accept_from(server)) << "straight there again";
    row("directs", "connect goes to the proxy; an end without room is found by its socket",
        "kernel_lost_ends_total; the journal");
}

// What user space keeps of open connections for whoever comes after it.
TEST_F(FullTables, Opens) {
    start({{"opens", 1}});
    const Listener server = listen_on("127.0.0.1");
    ASSERT_TRUE(
        redirector->set_verdicts(first_id, std::vector{from("127.0.0.1", server.port, 32)}));
    unsigned opened = 0, closed = 0;
    EXPECT_EQ(run_in(first,
                     [&] {
                         const UniqueFd one = stream(AF_INET), other = stream(AF_INET);
                         return connect_to(one.get(), target("127.0.0.1", server.port)) + " " +
                                connect_to(other.get(), target("127.0.0.1", server.port));
                     }),
              "ok ok");
    for (int tries = 0; tries < 1000 && closed < 2; ++tries) {
        for (const Direct& one : take()) ++(one.kind == Direct::Kind::Opened ? opened : closed);
        if (closed < 2) ::poll(nullptr, 0, kPatienceMs / 1000);
    }
    EXPECT_EQ(opened, 2U);
    EXPECT_EQ(closed, 2U) << "told all the same";
    row("opens", "told as ever; not known to be open after a restart", "");
}

TEST_F(FullTables, Told) {
    start({});
    const UniqueFd map{bpf_obj_get((options().pin_dir / version() / "maps" / "told").c_str())};
    if (map) {  // with the programs that tell of calls
        bpf_map_info about{};
        __u32 size = sizeof(about);
        ASSERT_EQ(bpf_obj_get_info_by_fd(map.get(), &about, &size), 0);
        EXPECT_EQ(about.type, __u32{BPF_MAP_TYPE_LRU_HASH});
    }
    row("told", "the oldest is forgotten, and its call may be told of twice", "");
}

// Arrays have all their entries from the beginning.
TEST_F(FullTables, Arrays) {
    start({});
    for (const char* name : {"settings", "counters", "lease"}) {
        const UniqueFd map{bpf_obj_get((options().pin_dir / version() / "maps" / name).c_str())};
        bpf_map_info about{};
        __u32 size = sizeof(about);
        ASSERT_EQ(bpf_obj_get_info_by_fd(map.get(), &about, &size), 0);
        EXPECT_TRUE(about.type == BPF_MAP_TYPE_ARRAY || about.type == BPF_MAP_TYPE_PERCPU_ARRAY);
        row(name, "is never full: an array", "");
    }
}

}  // namespace

}  // namespace chaperone::kernel::testing

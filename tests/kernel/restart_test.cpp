// SPDX-License-Identifier: Apache-2.0
// What holds when the daemon is gone, comes back, or is another version.
#include "tests/kernel/support.h"

#include <fstream>

namespace chaperone::kernel::testing {

namespace {

namespace fs = std::filesystem;

class Restart : public KernelTest {
protected:
    // A daemon in a process of its own: governs the cgroup, listens, and stays until killed.
    Child daemon(const fs::path& agent) {
        redirector.reset();
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        Child child{outside.parent_path() / "core", [&, this] {
                        Options own = options();
                        const Listener listener = listen_on("127.0.0.1");
                        own.ports = {.tcp4 = listener.port};
                        auto opened = Redirector::open(own);
                        if (!opened || !opened->govern(agent, "agent")) return std::string{"?"};
                        (void)!::write(ready[1], "x", 1);
                        for (;;) accept_from(listener);
                    }};
        EXPECT_TRUE(readable(ready[0]));
        ::close(ready[0]);
        ::close(ready[1]);
        return child;
    }

    std::vector<std::string> findings() {
        std::vector<std::string> texts;
        const auto found = redirector->verify();
        if (!found) return {found.error().message()};
        for (const Finding& finding : *found)
            texts.push_back(finding.workload + ": " + std::string{describe(finding.kind)} + " " +
                            finding.program);
        return texts;
    }
};

std::string connect_once() {
    return try_connect("192.0.2.7", 5432);
}

TEST_F(Restart, WithoutTheDaemonConnectsFailAtOnce) {
    const auto agent = make_cgroup("agent");
    Child held = daemon(agent);
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    held.kill();
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(run_in(agent, connect_once), "ECONNREFUSED");
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds{2});
    EXPECT_EQ(run_in(agent, [] { return try_connect("2001:db8::1", 1); }), "ECONNREFUSED");
}

// The kernel would answer for its listener, and the client wait for ever.
TEST_F(Restart, WithAStoppedDaemonConnectsFailAtOnce) {
    const auto agent = make_agent("agent");
    ASSERT_TRUE(redirector->answer_for(std::chrono::minutes{1}));
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    ASSERT_TRUE(redirector->answer_for(std::chrono::seconds{-5}));
    EXPECT_EQ(run_in(agent, connect_once), "ECONNREFUSED");
    EXPECT_EQ(run_in(agent, [] { return try_connect("2001:db8::1", 1); }), "ECONNREFUSED");
    const auto denials = redirector->take_denials();
    ASSERT_TRUE(denials);
    EXPECT_EQ(denials->size(), 2U) << "what was tried meanwhile is told";
    ASSERT_TRUE(redirector->answer_for(std::chrono::minutes{1}));
    EXPECT_EQ(run_in(agent, connect_once), "ok");
}

TEST_F(Restart, AfterItWorkloadsAreStillGoverned) {
    const auto agent = make_cgroup("agent");
    daemon(agent).kill();
    reopen();
    const auto workloads = redirector->list();
    ASSERT_TRUE(workloads);
    ASSERT_EQ(workloads->size(), 1U);
    EXPECT_EQ(workloads->front().name, "agent");
    EXPECT_EQ(workloads->front().cgroup_id, *cgroup_id(agent));
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << origin.error().message();
    EXPECT_EQ(origin->workload.name, "agent");
    EXPECT_EQ(findings(), std::vector<std::string>{});
}

TEST_F(Restart, AConnectionAcceptedBeforeKeepsItsOrigin) {
    const auto agent = make_agent("agent");
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    const UniqueFd accepted = accept_from(proxy4);
    reopen();
    EXPECT_TRUE(redirector->origin(accepted.get()));
}

TEST_F(Restart, OnlyOneProcessHoldsThePins) {
    const auto second = Redirector::open(options());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Unavailable);
}

TEST_F(Restart, OtherVersionsAreRefusedAndCanBeRemoved) {
    const auto agent = make_agent("agent");
    fs::rename(options().pin_dir / version(), options().pin_dir / "v999");
    redirector.reset();
    const auto opened = Redirector::open(options());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::Unsupported);
    EXPECT_EQ(run_in(agent, connect_once), "ok") << "the other version stays in force";
    ASSERT_TRUE(remove_pins(options().pin_dir));
    reopen();
    EXPECT_EQ(redirector->list()->size(), 0U);
}

TEST_F(Restart, MapsOfAnotherShapeAreRefused) {
    redirector.reset();
    room["flows"] = 77;
    const auto opened = Redirector::open(options());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::Unsupported) << opened.error().message();
}

TEST_F(Restart, ARemovedCgroupIsReported) {
    const auto agent = make_agent("agent");
    const auto id = *cgroup_id(agent);
    ASSERT_EQ(::rmdir(agent.c_str()), 0);
    EXPECT_EQ(findings(), std::vector<std::string>{"agent: the cgroup was removed "});
    make_cgroup("agent");  // the same path is another cgroup, and not governed
    EXPECT_EQ(findings(), std::vector<std::string>{"agent: the cgroup was removed "});
    ASSERT_TRUE(redirector->release(id));
    ASSERT_TRUE(redirector->govern(agent, "agent"));
    EXPECT_EQ(findings(), std::vector<std::string>{});
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
}

TEST_F(Restart, AMissingAttachmentIsReportedAndRepaired) {
    const auto agent = make_agent("agent");
    for (const auto& pin :
         fs::recursive_directory_iterator{options().pin_dir / version() / "links"})
        if (pin.path().filename() == "chap_connect4") fs::remove(pin.path());
    EXPECT_EQ(findings(),
              std::vector<std::string>{"agent: a program is not attached chap_connect4"});
    // Even so nothing gets out: egress drops what no connect was written down for.
    EXPECT_EQ(run_in(agent,
                     [] {
                         const UniqueFd fd = stream(AF_INET, SOCK_NONBLOCK);
                         connect_to(fd.get(), target("192.0.2.7", 5432));
                         return peer_of(fd.get());
                     }),
              "ENOTCONN");
    ASSERT_TRUE(redirector->repair());
    EXPECT_EQ(findings(), std::vector<std::string>{});
    EXPECT_EQ(run_in(agent, connect_once), "ok");
}

TEST_F(Restart, ANewCgroupOfTheProxyIsAttachedTo) {
    const auto agent = make_agent("agent");
    const auto second = make_cgroup("core2");
    redirector.reset();
    std::ofstream{second / "cgroup.procs"} << "0" << std::flush;
    proxy4 = listen_on("127.0.0.1");
    const auto core = open_cgroup(second);
    ASSERT_TRUE(core);
    Options moved = options();
    moved.core_cgroup = core->get();
    auto opened = Redirector::open(moved);
    ASSERT_TRUE(opened) << opened.error().message();
    redirector.emplace(*std::move(opened));
    const auto before = redirector->counters()->handovers;
    EXPECT_EQ(run_in(agent, connect_once), "ok");
    EXPECT_TRUE(accept_origin(proxy4));
    EXPECT_EQ(redirector->counters()->handovers, before + 1);
    EXPECT_EQ(findings(), std::vector<std::string>{});
}

TEST_F(Restart, DetachAllEndsEverything) {
    const auto agent = make_agent("agent");
    ASSERT_TRUE(redirector->detach_all());
    EXPECT_FALSE(fs::exists(options().pin_dir));
    redirector.reset();
    const Listener elsewhere = listen_on("127.0.0.1");
    EXPECT_EQ(run_in(agent, [&] { return try_connect("127.0.0.1", elsewhere.port); }), "ok");
    EXPECT_TRUE(accept_from(elsewhere));
}

}  // namespace

}  // namespace chaperone::kernel::testing

// SPDX-License-Identifier: Apache-2.0
// Attempts to be somebody that is not governed: while the cgroup is being governed, by threads in
// cgroups of their own, and as root of an own user namespace.
#include "tests/kernel/wire.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace chaperone::kernel::testing {

namespace {

using Leaving = KernelTest;

constexpr int kTimeToTell = 500;  // ms

std::int64_t monotonic() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

// Forks without end; each child makes a socket, tells the server when, and ends.
[[noreturn]] void fork_storm(std::uint16_t port) {
    constexpr int kMostAlive = 64;
    const Target to = target("127.0.0.1", port);
    for (int alive = 0;; ++alive) {
        while (::waitpid(-1, nullptr, alive < kMostAlive ? WNOHANG : 0) > 0) --alive;
        if (::fork() != 0) {
            ::poll(nullptr, 0, 1);
            continue;
        }
        const std::int64_t made = monotonic();
        const UniqueFd fd = stream(AF_INET);
        if (connect_to(fd.get(), to) == "ok")
            (void)!::send(fd.get(), &made, sizeof(made), MSG_NOSIGNAL);
        ::_exit(0);
    }
}

TEST_F(Leaving, NoForkSlipsThroughWhileItIsBeingGoverned) {
    const Listener server = listen_on("127.0.0.1");
    const auto agent = make_cgroup("agent");
    Child storm{agent, [&]() -> std::string { fork_storm(server.port); }};
    std::atomic<std::int64_t> last{0};
    std::atomic<unsigned> came{0};
    std::atomic<bool> over{false};
    std::thread serving{[&] {
        while (!over) {
            if (!readable(server.fd.get(), 50)) continue;
            const UniqueFd fd{::accept4(server.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            std::int64_t made = 0;
            // One that was governed between its connect and its send is never heard of again.
            if (!readable(fd.get(), kTimeToTell)) continue;
            if (::recv(fd.get(), &made, sizeof(made), MSG_WAITALL) != sizeof(made)) continue;
            last = std::max(last.load(), made);
            ++came;
        }
    }};
    while (came < 20) ::poll(nullptr, 0, 1);
    ASSERT_TRUE(redirector->govern(agent, "agent"));
    const std::int64_t governed = monotonic();
    // Those that come now come to the proxy. Some of before do, too, without an origin: the
    // programs are attached one after the other.
    for (int named = 0; named < 50;) {
        const UniqueFd fd = accept_from(proxy4);
        if (!fd) {
            ADD_FAILURE() << "nobody comes";
            break;
        }
        std::int64_t made = 0;
        const auto origin = redirector->origin(fd.get());
        if (!readable(fd.get(), kTimeToTell)) continue;
        if (::recv(fd.get(), &made, sizeof(made), MSG_WAITALL) != sizeof(made)) continue;
        if (origin) {
            EXPECT_EQ(origin->workload.name, "agent");
            ++named;
        } else {
            EXPECT_LT(made, governed) << origin.error().message();
        }
    }
    over = true;
    serving.join();
    EXPECT_LT(last, governed) << "made when it was governed, and went past";
}

TEST_F(Leaving, AThreadInAThreadedCgroupIsStillTheWorkloads) {
    const auto agent = make_agent("agent");
    const auto below = make_cgroup("agent/threads");
    std::ofstream{below / "cgroup.type"} << "threaded" << std::flush;
    Child child{agent, [&] {
                    std::string how;
                    std::thread{[&] {
                        std::ofstream procs{below / "cgroup.threads"};
                        procs << ::gettid() << std::flush;
                        how = procs ? try_connect("192.0.2.7", 5432) : "not moved";
                    }}.join();
                    return how;
                }};
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << child.result();
    EXPECT_EQ(origin->workload.name, "agent");
    EXPECT_EQ(child.result(), "ok");
}

// As `nobody`, who becomes root of namespaces of its own: not one attempt may succeed.
TEST_F(Leaving, RootOfItsOwnUserNamespaceStays) {
    const auto agent = make_agent("agent");
    Child daemon{outside, [] {
                     ::pause();
                     return std::string{};
                 }};
    const pid_t pid = daemon.pid();
    const auto attempts = [&, pid] {
        if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
            return std::string{"not nobody"};
        ::prctl(PR_SET_DUMPABLE, 1);  // else its files in /proc are the old user's
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) != 0)
            return "no namespaces: " + error_name(errno);
        std::ofstream{"/proc/self/setgroups"} << "deny" << std::flush;
        std::ofstream{"/proc/self/uid_map"} << "0 65534 1" << std::flush;
        std::ofstream{"/proc/self/gid_map"} << "0 65534 1" << std::flush;
        if (::getuid() != 0) return std::string{"not root"};
        std::string open;
        const auto tried = [&](const char* what, bool done) {
            if (done) open += std::string{what} + ' ';
        };
        const auto can_write = [](const std::filesystem::path& file) {
            return UniqueFd{::open(file.c_str(), O_WRONLY | O_CLOEXEC)}.get() >= 0;
        };
        tried("cgroup.procs", can_write(outside / "cgroup.procs"));
        tried("cgroup.threads", can_write(outside / "cgroup.threads"));
        tried("pins", UniqueFd{::open(options().pin_dir.c_str(), O_RDONLY)}.get() >= 0);
        tried("signal", ::kill(pid, SIGURG) == 0);
        tried("ptrace", ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) == 0);
        tried("memory", can_write("/proc/" + std::to_string(pid) + "/mem"));
        const UniqueFd process{int(::syscall(SYS_pidfd_open, pid, 0))};
        tried("descriptor", ::syscall(SYS_pidfd_getfd, process.get(), 0, 0) >= 0);
        const UniqueFd net{::open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC)};
        tried("namespace", net && ::setns(net.get(), CLONE_NEWNET) == 0);
        char attributes[128]{};
        tried("bpf", ::syscall(SYS_bpf, 11 /* BPF_PROG_GET_NEXT_ID */, attributes, 128) == 0);
        // A view of the cgroup tree of its own ends at its own cgroup.
        const std::string view = "/proc/self/cwd/view";
        if (::chdir("/tmp") == 0 && ::mount("none", "/tmp", "tmpfs", 0, nullptr) == 0 &&
            ::mkdir("/tmp/view", 0755) == 0 &&
            ::mount("none", "/tmp/view", "cgroup2", 0, nullptr) == 0)
            tried("own view", std::filesystem::exists("/tmp/view/core"));
        return open + try_connect("192.0.2.7", 5432);
    };
    Child child{agent, attempts};
    const auto origin = accept_origin(proxy4);
    ASSERT_TRUE(origin) << child.result();
    EXPECT_EQ(origin->workload.name, "agent");
    EXPECT_EQ(child.result(), "ok") << "what stands before it succeeded";
}

// BPF_PROG_DETACH asks for no capability, but for the program; and those of links it does not find.
TEST_F(Leaving, HooksCannotBeDetachedThroughTheCgroup) {
    const auto agent = make_agent("agent");
    const std::string said = run_in(agent, [&] {
        if (::setresuid(65534, 65534, 65534) != 0) return std::string{"?"};
        struct {
            std::uint32_t target, program, type, flags;
            char rest[112];
        } detach{};
        const UniqueFd folder{::open(agent.c_str(), O_RDONLY | O_DIRECTORY)};
        detach.target = std::uint32_t(folder.get());
        detach.type = 10;  // BPF_CGROUP_INET4_CONNECT
        return outcome(::syscall(SYS_bpf, 9 /* BPF_PROG_DETACH */, &detach, sizeof(detach)));
    });
    EXPECT_THAT(said, ::testing::AnyOf("EPERM", "EINVAL"));
    EXPECT_EQ(redirector->verify()->size(), 0U);
}

}  // namespace

}  // namespace chaperone::kernel::testing

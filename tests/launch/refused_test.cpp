// SPDX-License-Identifier: Apache-2.0
// What the seccomp filter refuses to real agents, and who is told of it.
#include "tests/launch/support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

namespace chaperone::launch::testing {
namespace {

struct Probe {
    const char* name;
    int error;
};

class Refused : public LaunchTest, public ::testing::WithParamInterface<Probe> {};

TEST_P(Refused, WithTheErrorThatProgramsKnow) {
    EXPECT_EQ(probe(GetParam().name), GetParam().error);
}

TEST_P(Refused, TheSameAndToldOfWhereSomebodyListens) {
    told_.listen(options_);
    EXPECT_EQ(probe(GetParam().name), GetParam().error);
    EXPECT_EQ(told_.why_not(), "");
    const bool usual = std::string_view{GetParam().name} == "clone3";
    // The kernel itself lets nobody without capabilities make a raw socket.
    const bool by_others = std::string_view{GetParam().name} == "raw";
    if (GetParam().error == 0 || usual || by_others) {
        EXPECT_EQ(told_.total(), 0u);
        return;
    }
    ASSERT_EQ(told_.all().size(), 1u);
    EXPECT_EQ(told_.all().at(0).error, ::strerrorname_np(GetParam().error));
    EXPECT_NE(told_.all().at(0).call, "");
    EXPECT_EQ(told_.all().at(0).pid, pid_);
    EXPECT_NE(told_.all().at(0).comm, "");
    EXPECT_EQ(told_.all().at(0).count, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Refused,
    ::testing::Values(
        Probe{"bpf", EPERM}, Probe{"ptrace", EPERM}, Probe{"mount", EPERM},
        Probe{"open_tree_attr", EPERM}, Probe{"setns", EPERM}, Probe{"unshare_user", EPERM},
        Probe{"unshare_net", EPERM}, Probe{"clone_user", EPERM}, Probe{"clone3", ENOSYS},
        Probe{"io_uring", ENOSYS}, Probe{"keyctl", EPERM}, Probe{"perf", EPERM},
        Probe{"userfaultfd", EPERM}, Probe{"process_vm_readv", EPERM}, Probe{"pidfd_getfd", EPERM},
        Probe{"packet", EAFNOSUPPORT}, Probe{"vsock", EAFNOSUPPORT}, Probe{"alg", EAFNOSUPPORT},
        Probe{"xdp", EAFNOSUPPORT}, Probe{"high_bits", EAFNOSUPPORT},
        Probe{"netlink_other", EAFNOSUPPORT}, Probe{"mptcp", EPROTONOSUPPORT},
        Probe{"udplite", EPROTONOSUPPORT}, Probe{"raw", EPERM}, Probe{"tiocsti", EPERM},
        // And what an agent needs.
        Probe{"tcp", 0}, Probe{"tcp6", 0}, Probe{"udp", 0}, Probe{"unix", 0},
        Probe{"netlink_route", 0}, Probe{"threads", 0}, Probe{"unshare_files", 0}),
    [](const auto& info) { return std::string{info.param.name}; });

// Four threads, under a storm of signals. Nobody is answered twice, or not, or let through.
TEST_F(LaunchTest, EachOfAFloodOfRefusedCallsIsAnsweredAndCounted) {
    told_.listen(options_);
    EXPECT_EQ(probe("flood"), 0);
    EXPECT_GE(told_.total(), 4000u);
    EXPECT_LT(told_.total(), 8000u) << "a signal makes a call begin again only before it is seen";
    EXPECT_LT(told_.all().size(), 20u) << "what is alike is counted";
}

TEST_F(LaunchTest, WhoIsToldKeepsNoCallWaiting) {
    told_.listen(options_);
    told_.first = [this]() -> Result<> {
        while (output() != "done\n") std::this_thread::yield();
        return fail(Errc::Unavailable, "not this time");
    };
    EXPECT_EQ(shell("for i in 1 2 3; do unshare -U true 2>/dev/null; done; echo done > $OUT"), 0);
    EXPECT_EQ(told_.total(), 3u) << "what was not taken is told again";
}

TEST_F(LaunchTest, TheAgentHasNoListener) {
    told_.listen(options_);
    EXPECT_EQ(shell("ls -l /proc/self/fd /proc/$$/fd > $OUT; ls /proc/self/fd | wc -l >> $OUT"), 0);
    EXPECT_EQ(output().find("seccomp"), std::string::npos) << output();
}

// An agent that waits until it is told to go on, and then tries what is refused.
class Unattended : public LaunchTest {
protected:
    void SetUp() override {
        LaunchTest::SetUp();
        ASSERT_EQ(::mkfifo((folder_ / "out").c_str(), 0666), 0);
        told_.listen(options_);
        options_.command = {"/bin/sh", "-c",
                            "echo $$ > $OUT; read x < $OUT; unshare -U true 2> $OUT.said;"
                            "echo $? > $OUT"};
    }
    // Waits until the agent runs and is watched, and nobody but the watcher has the listener.
    void wait_for_both(const LauncherProcess& launcher) {
        agent_ = static_cast<pid_t>(std::stol(read_line(folder_ / "out")));
        const std::filesystem::path proc = "/proc/" + std::to_string(launcher.pid());
        for (int tries = 0; tries < 2000 && (watcher_ == 0 || has_listener(proc)); ++tries) {
            std::ifstream children{proc / "task" / proc.filename() / "children"};
            for (pid_t child = 0; children >> child;)
                if (child != agent_) watcher_ = child;
            ::usleep(10'000);
        }
        ASSERT_GT(agent_, 0);
        ASSERT_GT(watcher_, 0);
        ASSERT_FALSE(has_listener(proc));
    }
    // Calls wait for an answer as long as anybody has it, a stopped launcher, too.
    static bool has_listener(const std::filesystem::path& proc) {
        for (const auto& fd : std::filesystem::directory_iterator{proc / "fd"}) {
            std::error_code closed;
            if (std::filesystem::read_symlink(fd, closed) == "anon_inode:seccomp notify")
                return true;
        }
        return false;
    }
    // What it says of the refused call.
    std::string try_it() {
        std::ofstream{folder_ / "out"} << "go\n" << std::flush;
        EXPECT_EQ(read_line(folder_ / "out"), "1");
        return read_file(folder_ / "out.said").value_or("");
    }
    void wait_until_told(std::uint64_t count) const {
        for (int tries = 0; tries < 2000 && told_.total() < count; ++tries) ::usleep(10'000);
        EXPECT_EQ(told_.total(), count);
    }
    pid_t agent_ = 0;
    pid_t watcher_ = 0;
};

TEST_F(Unattended, ByAStoppedLauncherCallsAreRefusedAndTold) {
    const LauncherProcess launcher{options_};
    wait_for_both(launcher);
    ::kill(launcher.pid(), SIGSTOP);
    EXPECT_NE(try_it().find("not permitted"), std::string::npos);
    wait_until_told(1);
    ::kill(launcher.pid(), SIGCONT);
    EXPECT_EQ(launcher.wait(), 0);
}

TEST_F(Unattended, ByAKilledLauncherCallsAreRefusedAndTold) {
    const LauncherProcess launcher{options_};
    wait_for_both(launcher);
    ::kill(launcher.pid(), SIGKILL);
    EXPECT_EQ(launcher.wait(), -SIGKILL);
    EXPECT_NE(try_it().find("not permitted"), std::string::npos);
    wait_until_told(1);
    clear_after(agent_);
}

// Nothing is let through where nobody is left to answer.
TEST_F(Unattended, ByAKilledWatcherTooCallsAreUnknown) {
    const LauncherProcess launcher{options_};
    wait_for_both(launcher);
    ::kill(launcher.pid(), SIGSTOP);
    ::kill(watcher_, SIGKILL);
    EXPECT_NE(try_it().find("not implemented"), std::string::npos);
    ::kill(launcher.pid(), SIGCONT);
    EXPECT_EQ(launcher.wait(), 0);
}

// A process has one listener, and whoever confined us was first.
TEST_F(LaunchTest, InASandboxThatListensTheKernelRefusesByItself) {
    options_.attempts = [this](const Cgroup&, const auto&, const std::string& why) -> Result<> {
        std::ofstream{folder_ / "why"} << why;
        return {};
    };
    options_.environment.emplace_back("CHAPERONE_PROBE", "bpf");
    options_.command = {std::filesystem::read_symlink("/proc/self/exe").string()};
    const pid_t confined = ::fork();
    if (confined == 0) {
        sock_filter allow{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
        const sock_fprog filter{.len = 1, .filter = &allow};
        if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                      &filter) < 0)
            ::_exit(98);
        const auto status = launch::run(options_);
        ::_exit(status ? *status : 99);
    }
    int status = 0;
    ::waitpid(confined, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), EPERM);
    EXPECT_NE(read_file(folder_ / "why").value_or("").find("busy"), std::string::npos);
}

#if defined(__x86_64__)
TEST_F(LaunchTest, X32CallsKill) {
    EXPECT_EQ(probe("x32"), 128 + SIGSYS);
}
#endif

}  // namespace
}  // namespace chaperone::launch::testing

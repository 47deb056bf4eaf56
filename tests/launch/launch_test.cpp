// SPDX-License-Identifier: Apache-2.0
// Runs real agents, as root, in cgroups of its own. The agent is sh, or this program itself as a
// probe (see probe.cpp), whose exit status says what happened to it.
#include "tests/launch/support.h"
#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

namespace chaperone::launch::testing {
namespace {

TEST_F(LaunchTest, PassesTheStatusOn) {
    EXPECT_EQ(shell("exit 0"), 0);
    EXPECT_EQ(shell("exit 37"), 37);
    EXPECT_EQ(shell("kill -9 $$"), 128 + SIGKILL);
    EXPECT_EQ(shell("kill -TERM $$"), 128 + SIGTERM);
}

TEST_F(LaunchTest, WhatCannotBeRunHasTheStatusOfAShell) {
    EXPECT_EQ(run({"/no/such/program"}), 127);
    std::ofstream{folder_ / "plain"} << "no program";
    EXPECT_EQ(run({folder_ / "plain"}), 126);
    EXPECT_EQ(run({"no-such-program-anywhere"}), 127);
}

TEST_F(LaunchTest, IsInItsCgroupBeforeItsFirstInstruction) {
    EXPECT_EQ(shell("grep ^0:: /proc/self/cgroup > $OUT"), 0);
    EXPECT_NE(output().find("/chaperone-" + options_.tag + "/agents/billing-"), std::string::npos)
        << output();
    EXPECT_NE(cgroup_.id, 0u);
}

TEST_F(LaunchTest, DoesNotRunWhatCouldNotBeGoverned) {
    options_.bind = [this](const Cgroup& cgroup, pid_t) -> Result<> {
        cgroup_ = cgroup;
        return fail(Errc::Kernel, "no map");
    };
    EXPECT_NE(error_of({"/bin/sh", "-c", "echo ran > $OUT"}).find("no map"), std::string::npos);
    EXPECT_EQ(output(), "nothing");
    EXPECT_FALSE(std::filesystem::exists(cgroup_.path));
}

TEST_F(LaunchTest, KillsWhatItLeavesBehind) {
    EXPECT_EQ(shell("setsid sleep 1000 & setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & "
                    "echo $! > $OUT"),
              0);
    // Gone, or dead and not yet reaped: such a process has no command line.
    EXPECT_EQ(read_file("/proc/" + std::to_string(std::stol(output())) + "/cmdline").value_or(""),
              "");
}

TEST_F(LaunchTest, SetsTheEnvironment) {
    ::setenv("REMOVED", "x", 1);
    options_.environment.emplace_back("SSL_CERT_FILE", "/etc/x.pem");
    options_.unset = {"REMOVED"};
    EXPECT_EQ(shell("echo \"$SSL_CERT_FILE,${REMOVED-gone}\" > $OUT"), 0);
    EXPECT_EQ(output(), "/etc/x.pem,gone\n");
    ::unsetenv("REMOVED");
}

TEST_F(LaunchTest, TakesTheUsersIds) {
    options_.user = *find_user("nobody");
    EXPECT_EQ(shell("echo $(id -u) $(id -g) $USER > $OUT"), 0);
    EXPECT_EQ(output(), std::to_string(options_.user->uid) + " " +
                            std::to_string(options_.user->gid) + " nobody\n");
    EXPECT_EQ(find_user("no-such-user-here").error().code, Errc::NotFound);
}

TEST_F(LaunchTest, HasNoCapabilityAndGetsNone) {
    EXPECT_EQ(shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status > $OUT"), 0);
    const std::string status = output();
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_NE(status.find(std::string{set} + ":\t0000000000000000"), std::string::npos)
            << status;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos);
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
}

TEST_F(LaunchTest, HidesFoldersAndFiles) {
    std::filesystem::create_directory(folder_ / "secret");
    std::ofstream{folder_ / "secret" / "key"} << "hidden";
    std::ofstream{folder_ / "file"} << "hidden";
    std::ofstream{folder_ / "bundle.pem"} << "host";
    std::ofstream{folder_ / "secret" / "ca.pem"} << "ours";
    options_.hidden = {folder_ / "secret", folder_ / "file", folder_ / "not there"};
    options_.binds = {{folder_ / "secret" / "ca.pem", folder_ / "bundle.pem"}};
    options_.environment.emplace_back("D", folder_.string());
    EXPECT_EQ(shell("ls -A $D/secret > $OUT; cat $D/file $D/bundle.pem >> $OUT;"
                    "echo x 2>/dev/null > $D/secret/new; echo x 2>/dev/null > $D/bundle.pem; true"),
              0);
    EXPECT_EQ(output(), "ours");
    EXPECT_EQ(*read_file(folder_ / "bundle.pem"), "host");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "secret" / "new"));
}

// To try is refused, not answered with nothing: so the attempt can be seen. For root as well.
TEST_F(LaunchTest, WhatIsClosedCannotBeOpened) {
    std::filesystem::create_directory(folder_ / "closed");
    std::ofstream{folder_ / "closed" / "key"} << "hidden";
    std::ofstream{folder_ / "file"} << "hidden";
    options_.closed = {folder_ / "file", folder_ / "closed", folder_ / "not there"};
    options_.environment.emplace_back("D", folder_.string());
    const std::string attempts =
        "for f in file closed closed/key closed/closed; do cat $D/$f; done 2>&1 | "
        "sed 's/.*: //' | uniq -c > $OUT; chmod 0777 $D/file $D/closed; umount $D/file;"
        "cat $D/file >> $OUT; echo x > $D/file; ls $D/closed >> $OUT; true";
    for (const char* user : {"root", "nobody"}) {
        options_.user = *find_user(user);
        EXPECT_EQ(shell(attempts), 0);
        EXPECT_EQ(output(), "      4 Permission denied\n") << user;
        std::filesystem::remove(folder_ / "out");
    }
    EXPECT_EQ(*read_file(folder_ / "file"), "hidden");
}

TEST_F(LaunchTest, FoldersAreReadOnlyForRootToo) {
    std::filesystem::create_directories(folder_ / "kept" / "below");
    std::ofstream{folder_ / "kept" / "below" / "file"} << "as it was" << std::flush;
    options_.environment.emplace_back("D", (folder_ / "kept").string());
    const std::string attempts =
        "echo x > $D/new; mkdir $D/more; echo x > $D/below/file; rm $D/below/file; "
        "mv $D/below $D/above; mv $D $D.taken; chmod 0777 $D; cat $D/below/file > $OUT";
    options_.read_only = {folder_ / "kept", folder_ / "is-not-there"};
    EXPECT_EQ(shell(attempts), 0);
    EXPECT_EQ(output(), "as it was");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "kept" / "new"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "kept" / "more"));
}

TEST_F(LaunchTest, AWorkingFolderThatIsHiddenIsEmpty) {
    std::filesystem::create_directory(folder_ / "secret");
    std::ofstream{folder_ / "secret" / "key"} << "hidden";
    options_.hidden = {folder_ / "secret"};
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder_ / "secret");
    EXPECT_EQ(shell("ls -A . > $OUT; ls -A /proc/self/cwd >> $OUT"), 0);
    std::filesystem::current_path(before);
    EXPECT_EQ(output(), "");
}

TEST_F(LaunchTest, CannotLeaveItsCgroup) {
    const auto mount = *find_cgroup2(*read_mounts());
    options_.environment.emplace_back("CG", mount.string());
    EXPECT_EQ(shell("echo $$ > $CG/cgroup.procs"), 2) << "sh says 2 when it cannot write";
    EXPECT_NE(shell("mkdir $CG/chaperone-test-escape"), 0);
    EXPECT_NE(shell("mount -o remount,rw $CG"), 0);
}

// Of the same user, outside: tried from an ordinary process first.
TEST_F(LaunchTest, LeavesOtherProcessesAlone) {
    options_.user = *find_user("nobody");
    const pid_t other = ::fork();
    if (other == 0) {
        ::setresgid(options_.user->gid, options_.user->gid, options_.user->gid);
        ::setresuid(options_.user->uid, options_.user->uid, options_.user->uid);
        ::execl("/bin/sleep", "sleep", "1000", nullptr);
        ::_exit(1);
    }
    const std::string attempts =
        "( exec 3<>/proc/$OTHER/mem ) 2>/dev/null; echo $?;"
        "cat /proc/$OTHER/environ >/dev/null 2>&1; echo $?; kill -URG $OTHER 2>/dev/null; echo $?";
    const std::string number = std::to_string(other);
    // The process has become sleep: it is dumpable again.
    while (read_file("/proc/" + number + "/comm").value_or("") != "sleep\n")
        std::this_thread::yield();
    const std::string plain =
        "setpriv --reuid=nobody --regid=nogroup --clear-groups env OTHER=" + number + " sh -c '" +
        attempts + "' > " + (folder_ / "plain").string();
    EXPECT_EQ(std::system(plain.c_str()), 0);
    EXPECT_EQ(read_file(folder_ / "plain").value_or(""), "0\n0\n0\n");
    options_.environment.emplace_back("OTHER", number);
    options_.environment.emplace_back("D", folder_.string());
    EXPECT_EQ(shell("( " + attempts + " ) > $OUT; true"), 0);
    const std::string said = output();
    EXPECT_NE(said.substr(0, 2), "0\n") << "its memory is open";
    EXPECT_NE(said.substr(2, 2), "0\n") << "its environment is read";
    EXPECT_EQ(said.back(), '\n');
    EXPECT_NE(said.substr(said.size() - 2), "0\n") << "it is signalled";
    // Its own processes are in its reach, and files move between folders.
    EXPECT_EQ(shell("sleep 100 & kill $! && mkdir $D/a $D/b && touch $D/a/f && mv $D/a/f $D/b/f"),
              0);
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
}

TEST_F(LaunchTest, KernelSettingsAreReadOnly) {
    EXPECT_NE(shell("echo /tmp/x > /proc/sys/kernel/core_pattern"), 0);
    EXPECT_NE(shell("echo x > /sys/kernel/uevent_helper"), 0);
}

TEST_F(LaunchTest, InheritsNoDescriptor) {
    const UniqueFd file{::open("/etc/passwd", O_RDONLY)};
    const UniqueFd socket{::socket(AF_INET, SOCK_STREAM, 0)};
    const UniqueFd eight{::fcntl(file.get(), F_DUPFD, 8)};
    ASSERT_LT(eight.get(), 10) << "sh uses those from 10 on itself";
    EXPECT_EQ(shell("for f in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$f ] && echo $f; done > $OUT;"
                    "[ -e /proc/self/fd/2 ]"),
              0);
    EXPECT_EQ(output(), "");
}

TEST_F(LaunchTest, ANetworkSocketAsStandardInputIsRefused) {
    const UniqueFd socket{::socket(AF_INET, SOCK_STREAM, 0)};
    const UniqueFd saved{::dup(0)};
    ::dup2(socket.get(), 0);
    const std::string why = error_of({"/bin/true"});
    ::dup2(saved.get(), 0);
    EXPECT_NE(why.find("standard input is a network socket"), std::string::npos) << why;
}

TEST_F(LaunchTest, PassesSignalsOn) {
    ASSERT_EQ(::mkfifo((folder_ / "out").c_str(), 0666), 0);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
        options_.command = {"/bin/sh", "-c",
                            "trap 'exit " + std::to_string(50 + signal) +
                                "' TERM INT HUP USR1; echo ready > $OUT; "
                                "while :; do sleep 0.05; done"};
        const LauncherProcess launcher{options_};
        EXPECT_EQ(read_line(folder_ / "out"), "ready");
        ::kill(launcher.pid(), signal);
        EXPECT_EQ(launcher.wait(), 50 + signal);
    }
}

TEST_F(LaunchTest, IfTheLauncherIsKilledTheAgentStaysInItsCgroup) {
    ASSERT_EQ(::mkfifo((folder_ / "out").c_str(), 0666), 0);
    options_.command = {"/bin/sh", "-c", "echo $$ > $OUT; exec sleep 1000"};
    const LauncherProcess launcher{options_};
    const auto agent = static_cast<pid_t>(std::stol(read_line(folder_ / "out")));
    ::kill(launcher.pid(), SIGKILL);
    EXPECT_EQ(launcher.wait(), -SIGKILL);
    const auto text = read_file("/proc/" + std::to_string(agent) + "/cgroup");
    ASSERT_TRUE(text);
    EXPECT_NE(text->find("billing-" + std::to_string(agent)), std::string::npos);
    clear_after(agent);
}

// With a terminal of its own, as under a person's shell.
class TerminalTest : public LaunchTest {
protected:
    void start(const std::string& script) {
        options_.command = {"/bin/sh", "-c", script};
        shell_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
        if (shell_ != 0) return;
        const auto status = launch::run(options_);
        ::_exit(status ? *status : 99);
    }
    // Up to and with the word; empty if it does not come within 20 s.
    std::string read_until(std::string_view word) {
        std::string text;
        const timeval limit{.tv_sec = 20};
        while (text.find(word) == std::string::npos) {
            fd_set ready;
            FD_ZERO(&ready);
            FD_SET(terminal_, &ready);
            timeval left = limit;
            if (::select(terminal_ + 1, &ready, nullptr, nullptr, &left) != 1) return {};
            char piece[256];
            const ssize_t n = ::read(terminal_, piece, sizeof piece);
            if (n <= 0) return {};
            text.append(piece, static_cast<std::size_t>(n));
        }
        return text;
    }
    void type(std::string_view keys) {
        ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
    }
    int finish() {
        int status = 0;
        ::waitpid(shell_, &status, 0);
        ::close(terminal_);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    int terminal_ = -1;
    pid_t shell_ = -1;
};

TEST_F(TerminalTest, TheAgentReadsAndWritesIt) {
    start("test -t 0 && echo is-a-tty; read line; echo got:$line; exit 5");
    EXPECT_NE(read_until("is-a-tty"), "");
    type("hello\n");
    EXPECT_NE(read_until("got:hello"), "");
    EXPECT_EQ(finish(), 5);
}

TEST_F(TerminalTest, ControlCReachesTheAgentAlone) {
    start("trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.05; done");
    EXPECT_NE(read_until("ready"), "");
    type("\x03");
    EXPECT_NE(read_until("interrupted"), "");
    EXPECT_EQ(finish(), 7);
}

TEST_F(TerminalTest, ControlZStopsBothAndContinuesBoth) {
    start("echo ready; read line; echo got:$line; exit 6");
    EXPECT_NE(read_until("ready"), "");
    type("\x1a");
    int status = 0;
    ASSERT_EQ(::waitpid(shell_, &status, WUNTRACED), shell_);
    ASSERT_TRUE(WIFSTOPPED(status));
    ::kill(shell_, SIGCONT);
    type("again\n");
    EXPECT_NE(read_until("got:again"), "");
    EXPECT_EQ(finish(), 6);
}

TEST_F(LaunchTest, RefusesToRunWithoutGovernor) {
    options_.bind = nullptr;
    EXPECT_NE(error_of({"/bin/true"}).find("governs"), std::string::npos);
    options_.command.clear();
    EXPECT_FALSE(launch::run(options_));
}

}  // namespace
}  // namespace chaperone::launch::testing

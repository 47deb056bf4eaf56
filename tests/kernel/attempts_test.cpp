// SPDX-License-Identifier: Apache-2.0
// What a governed process tries and the kernel refuses by itself: told with who and whom, or with
// the file's whole name. Needs programs of type fexit; where a kernel takes none, these tests see
// that the instance says so, and tests/kernel/vm/run boots kernels that do.
#include "tests/kernel/support.h"
#include "userspace/kernel/denials.h"

#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace chaperone::kernel::testing {

namespace {

std::string outcome(long result) {
    return error_name(result < 0 ? errno : 0);
}

// As an agent without a user of its own: root gives up its rights over others.
std::string as_nobody(const std::function<long()>& call) {
    if (::setresuid(65534, 65534, 65534) != 0) return "still root";
    return outcome(call());
}

class AttemptsTest : public KernelTest {
protected:
    void SetUp() override {
        attempts = true;
        KernelTest::SetUp();
        agent = make_agent("agent");
        told = redirector->no_attempts().empty();
        if (std::getenv("CHAPERONE_DEMAND_GUARD") != nullptr) {
            EXPECT_EQ(redirector->no_attempts(), "");
        }
        folder = (std::filesystem::temp_directory_path() / "chaperone-XXXXXX").string();
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        std::ofstream{folder + "/ca.key"} << "secret" << std::flush;
    }
    void TearDown() override {
        std::filesystem::remove_all(folder);
        KernelTest::TearDown();
    }
    // What was told since the last call, as "what: whom or which".
    std::vector<std::string> recorded() {
        std::vector<std::string> all;
        const auto denials = redirector->take_denials();
        if (!denials) return {"error"};
        for (const Denial& one : *denials) {
            if (one.kind != Denial::Kind::Reach) continue;
            EXPECT_EQ(one.workload, "agent");
            EXPECT_EQ(one.uid, 65534U);
            std::string text{one.what};
            if (!one.door.empty()) text += ": " + one.door;
            if (one.signal != 0) text += ": " + std::to_string(one.signal);
            if (one.target != 0) text += " to " + std::to_string(one.target);
            all.push_back(text);
        }
        return all;
    }
    // Refused alike, and told of the governed one alone.
    void expect_refused(const std::function<long()>& call, const std::string& error,
                        const std::vector<std::string>& as) {
        const std::uint64_t before = redirector->counters()->refused_reaches;
        EXPECT_EQ(run_in(outside, [&] { return as_nobody(call); }), error);
        EXPECT_EQ(recorded(), std::vector<std::string>{});
        EXPECT_EQ(run_in(agent, [&] { return as_nobody(call); }), error);
        EXPECT_EQ(recorded(), told ? as : std::vector<std::string>{});
        EXPECT_EQ(redirector->counters()->refused_reaches, before + (told ? 1 : 0));
    }

    std::filesystem::path agent;
    std::string folder;
    bool told = false;
};

TEST_F(AttemptsTest, SignalsToAnotherUser) {
    Child other{outside, [] {
                    ::pause();
                    return std::string{};
                }};
    const pid_t pid = other.pid();
    const std::string to = " to " + std::to_string(pid);
    const std::string what = "signal a process of others: ";
    expect_refused([=] { return ::kill(pid, SIGKILL); }, "EPERM", {what + "9" + to});
    expect_refused([=] { return ::syscall(SYS_tkill, pid, SIGTERM); }, "EPERM", {what + "15" + to});
    expect_refused([=] { return ::syscall(SYS_tgkill, pid, pid, SIGSTOP); }, "EPERM",
                   {what + "19" + to});
    expect_refused(
        [=] {
            const UniqueFd process{int(::syscall(SYS_pidfd_open, pid, 0))};
            return ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
        },
        "EPERM", {what + "9"});
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    expect_refused([=] { return ::syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info); }, "EPERM",
                   {what + "10" + to});
    expect_refused([=] { return ::syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGUSR1, &info); },
                   "EPERM", {what + "10" + to});
}

TEST_F(AttemptsTest, OnlyAskingIsNone) {
    EXPECT_EQ(run_in(agent, [] { return as_nobody([] { return ::kill(1, 0); }); }), "EPERM");
    EXPECT_EQ(recorded(), std::vector<std::string>{});
}

TEST_F(AttemptsTest, OfTheOwnAreNone) {
    EXPECT_EQ(run_in(agent, [] { return as_nobody([] { return ::kill(::getpid(), SIGURG); }); }),
              "ok");
    EXPECT_EQ(run_in(agent, [] { return as_nobody([] { return ::kill(0x3fffffff, SIGURG); }); }),
              "ESRCH");
    EXPECT_EQ(recorded(), std::vector<std::string>{});
}

TEST_F(AttemptsTest, LooksIntoAnotherUsersProcess) {
    Child other{outside, [] {
                    ::pause();
                    return std::string{};
                }};
    const pid_t pid = other.pid();
    const std::string what = "look into a process of others";
    const std::string at = what + " to " + std::to_string(pid);
    expect_refused([=] { return ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr); }, "EPERM", {at});
    expect_refused([=] { return ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr); }, "EPERM", {at});
    static char byte = 'x';
    const iovec piece{&byte, 1};
    expect_refused([=] { return ::process_vm_readv(pid, &piece, 1, &piece, 1, 0); }, "EPERM", {at});
    expect_refused([=] { return ::process_vm_writev(pid, &piece, 1, &piece, 1, 0); }, "EPERM",
                   {at});
    expect_refused(
        [=] {
            const UniqueFd process{int(::syscall(SYS_pidfd_open, pid, 0))};
            return ::syscall(SYS_pidfd_getfd, process.get(), 0, 0);
        },
        "EPERM", {what});
    expect_refused([=] { return ::prlimit(pid, RLIMIT_NOFILE, nullptr, nullptr) == 0 ? 0 : -1; },
                   "EPERM", {at});
}

TEST_F(AttemptsTest, ClosedFilesByWhateverNameTheyAreAskedFor) {
    const std::string file = folder + "/ca.key";
    const std::string what = "open a file that is closed to it: ";
    const auto open_at = [](int at, const std::string& name) {
        return UniqueFd{::openat(at, name.c_str(), O_RDONLY | O_CLOEXEC)} ? 0 : -1;
    };
    ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
    ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
    const UniqueFd above{::open(folder.substr(0, folder.rfind('/')).c_str(), O_PATH | O_CLOEXEC)};
    const UniqueFd root{::open("/", O_PATH | O_CLOEXEC)};
    const std::string last = folder.substr(folder.rfind('/') + 1);
    expect_refused([&] { return open_at(AT_FDCWD, file); }, "EACCES", {what + file});
    // The word is in the folder's name, which is not asked for.
    expect_refused([&] { return ::chdir(folder.c_str()) == 0 ? open_at(AT_FDCWD, "ca.key") : 0; },
                   "EACCES", {what + file});
    expect_refused([&] { return open_at(above.get(), last + "/ca.key"); }, "EACCES", {what + file});
    expect_refused([&] { return open_at(root.get(), file.substr(1)); }, "EACCES", {what + file});
}

// Found everywhere, so only counted.
TEST_F(AttemptsTest, FilesThatAreNotOfOursAreCounted) {
    expect_refused([] { return UniqueFd{::open("/proc/1/environ", O_RDONLY)} ? 0 : -1; }, "EACCES",
                   {});
}

TEST_F(AttemptsTest, OthersCgroups) {
    const std::string procs = (outside / "cgroup.procs").string();
    expect_refused([&] { return UniqueFd{::open(procs.c_str(), O_WRONLY | O_CLOEXEC)} ? 0 : -1; },
                   "EACCES", {"open a file that is closed to it: " + procs});
}

chap_file_event names(const std::string& parts, bool complete) {
    chap_file_event event{};
    parts.copy(event.names, sizeof(event.names));
    event.size = std::uint32_t(parts.size());
    event.complete = complete ? 1 : 0;
    return event;
}

TEST(NamesOfFiles, ArePutTogether) {
    using namespace std::string_literals;
    EXPECT_EQ(path_of(names("/etc/passwd\0"s, true)), "/etc/passwd");
    EXPECT_EQ(path_of(names("ca.key\0chaperone\0lib\0var\0"s, true)), "/var/lib/chaperone/ca.key");
    EXPECT_EQ(path_of(names("../ca.key\0x\0"s, true)), "/x/../ca.key");
    EXPECT_EQ(path_of(names("ca.key\0chaperone\0"s, false)), "…/chaperone/ca.key");
    EXPECT_EQ(path_of(names("ca.key\0"s, true)), "/ca.key");
    EXPECT_EQ(path_of(names("cut"s, false)), "…/cut");
    EXPECT_EQ(path_of(names(""s, true)), "");
    chap_file_event wrong = names("/a\0"s, true);
    wrong.size = 4096;
    EXPECT_EQ(path_of(wrong), "/a");
}

}  // namespace

}  // namespace chaperone::kernel::testing

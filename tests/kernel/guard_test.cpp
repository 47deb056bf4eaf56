// SPDX-License-Identifier: Apache-2.0
// Sockets, processes and files of others, reached for by a governed root process. Each attempt is
// made by an ungoverned one first, to show that it works. The guard needs the BPF LSM: where a
// kernel has none, these tests see that the instance says so; tests/kernel/vm/run boots kernels
// that have it, and demands it.
#include "tests/kernel/support.h"

#include <bpf/bpf.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace chaperone::kernel::testing {

namespace {

std::string outcome(long result) {
    return error_name(result < 0 ? errno : 0);
}

std::string make_socket(int family, int type, int protocol = 0) {
    return outcome(UniqueFd{::socket(family, type | SOCK_CLOEXEC, protocol)} ? 0 : -1);
}

// Passes a descriptor over a Unix socket.
void pass(int over, int fd) {
    char byte = 'x';
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    ASSERT_EQ(::sendmsg(over, &message, 0), 1);
}

// The descriptor that comes, if one does.
UniqueFd receive(int over) {
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (::recvmsg(over, &message, MSG_CMSG_CLOEXEC) < 0) return {};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return UniqueFd{fd};
}

std::string say(int fd) {
    return outcome(::send(fd, "the secret", 10, MSG_NOSIGNAL));
}

}  // namespace

class GuardTest : public KernelTest {
protected:
    void SetUp() override {
        KernelTest::SetUp();
        const bool demanded = std::getenv("CHAPERONE_DEMAND_GUARD") != nullptr;
        if (demanded) {
            ASSERT_EQ(redirector->no_guard(), "");
        }
        in_force = redirector->no_guard().empty();
        agent = make_agent("agent");
        server = listen_on("127.0.0.1");
    }
    // How an attempt must end for an agent that would succeed otherwise.
    std::string refused(const std::string& otherwise = "ok") const {
        return in_force ? "EPERM" : otherwise;
    }
    void expect_told(std::string_view what) {
        if (!in_force) return;
        const auto denials = redirector->take_denials();
        ASSERT_TRUE(denials);
        bool told = false;
        for (const Denial& denial : *denials)
            told = told || (denial.what == what && denial.workload == "agent");
        EXPECT_TRUE(told) << what;
    }

    bool in_force = false;
    std::filesystem::path agent;
    Listener server;
};

TEST_F(GuardTest, SocketsThatArePassedInDoNotArrive) {
    const auto attempt = [&](const std::filesystem::path& cgroup) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return std::string{};
        const UniqueFd ours{ends[0]}, theirs{ends[1]};
        const UniqueFd connected = stream(AF_INET);
        connect_to(connected.get(), target("127.0.0.1", server.port));
        const UniqueFd accepted = accept_from(server);
        Child child{cgroup, [&] {
                        const UniqueFd got = receive(theirs.get());
                        return got ? say(got.get()) : std::string{"nothing came"};
                    }};
        pass(ours.get(), connected.get());
        return child.result();
    };
    EXPECT_EQ(attempt(outside), "ok");
    EXPECT_EQ(attempt(agent), in_force ? "nothing came" : "ok");
    expect_told("receive a socket of others");
}

TEST_F(GuardTest, SocketsThatAreInheritedAreOfNoUse) {
    const auto attempt = [&](const std::filesystem::path& cgroup) {
        const UniqueFd connected = stream(AF_INET), fresh = stream(AF_INET);
        connect_to(connected.get(), target("127.0.0.1", server.port));
        const UniqueFd accepted = accept_from(server);
        return run_in(cgroup, [&] {
            return say(connected.get()) + " " +
                   connect_to(fresh.get(), target("127.0.0.1", server.port));
        });
    };
    EXPECT_EQ(attempt(outside), "ok ok");
    EXPECT_EQ(attempt(agent), in_force ? "EPERM EPERM" : "ok ok");
    expect_told("use a socket of others");
}

TEST_F(GuardTest, ListenersThatAreInheritedTakeNobody) {
    const auto attempt = [&](const std::filesystem::path& cgroup) {
        const Listener listening = listen_on("127.0.0.1");
        const UniqueFd fresh = stream(AF_INET);
        const UniqueFd caller = stream(AF_INET);
        connect_to(caller.get(), target("127.0.0.1", listening.port));
        return run_in(cgroup, [&] {
            const UniqueFd accepted{::accept4(listening.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            const std::string took = error_name(accepted ? 0 : errno);
            return took + " " + error_name(::listen(fresh.get(), 1) == 0 ? 0 : errno);
        });
    };
    EXPECT_EQ(attempt(outside), "ok ok");
    EXPECT_EQ(attempt(agent), in_force ? "EPERM EPERM" : "ok ok");
    expect_told("use a socket of others");
}

TEST_F(GuardTest, OtherFamiliesAreNotMade) {
    EXPECT_EQ(run_in(outside, [] { return make_socket(AF_PACKET, SOCK_RAW); }), "ok");
    EXPECT_EQ(run_in(agent, [] { return make_socket(AF_PACKET, SOCK_RAW); }), refused());
    EXPECT_EQ(run_in(agent, [] { return make_socket(AF_NETLINK, SOCK_RAW, 4); }), refused());
    for (const int family : {AF_VSOCK, AF_ALG, AF_CAN, AF_XDP, AF_TIPC, AF_RDS, AF_BLUETOOTH}) {
        const std::string otherwise =
            run_in(outside, [&] { return make_socket(family, SOCK_DGRAM); });
        EXPECT_EQ(run_in(agent, [&] { return make_socket(family, SOCK_DGRAM); }),
                  refused(otherwise))
            << family;
    }
    EXPECT_EQ(run_in(agent, [] { return make_socket(AF_NETLINK, SOCK_RAW, 0); }), "ok");
    expect_told("make a socket of another family");
}

TEST_F(GuardTest, ProcessesOfOthersAreOutOfReach) {
    Child other{outside, [] {
                    ::pause();
                    return std::string{};
                }};
    const pid_t pid = other.pid();
    const auto trace = [pid] {
        if (::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0) return error_name(errno);
        ::waitpid(pid, nullptr, __WALL);
        return outcome(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr));
    };
    const auto read_memory = [pid] {
        char byte = 0;
        iovec to{&byte, 1}, from{nullptr, 1};
        static const char kByte = 'x';  // at the same address in the other, which is a fork
        from.iov_base = const_cast<char*>(&kByte);
        return outcome(::process_vm_readv(pid, &to, 1, &from, 1, 0));
    };
    const auto take_descriptor = [pid] {
        const UniqueFd process{int(::syscall(SYS_pidfd_open, pid, 0))};
        return outcome(UniqueFd{int(::syscall(SYS_pidfd_getfd, process.get(), 0, 0))} ? 0 : -1);
    };
    const auto signal = [pid] { return outcome(::kill(pid, SIGURG)); };
    EXPECT_EQ(run_in(outside, trace), "ok");
    EXPECT_EQ(run_in(agent, trace), refused());
    EXPECT_EQ(run_in(outside, read_memory), "ok");
    EXPECT_EQ(run_in(agent, read_memory), refused());
    EXPECT_EQ(run_in(outside, take_descriptor), "ok");
    EXPECT_EQ(run_in(agent, take_descriptor), refused());
    expect_told("look into a process of others");
    EXPECT_EQ(run_in(outside, signal), "ok");
    EXPECT_EQ(run_in(agent, signal), refused());
    expect_told("signal a process of others");
}

TEST_F(GuardTest, TheOwnProcessesAreNot) {
    EXPECT_EQ(run_in(agent,
                     [] {
                         const pid_t child = ::fork();
                         if (child == 0) {
                             ::pause();
                             ::_exit(0);
                         }
                         const std::string said = outcome(::kill(child, SIGKILL));
                         ::waitpid(child, nullptr, 0);
                         return said;
                     }),
              "ok");
}

TEST_F(GuardTest, TheCgroupIsNotLeft) {
    const auto leave = [this] {
        const UniqueFd fd{::open((outside / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC)};
        if (!fd) return error_name(errno);
        return outcome(::write(fd.get(), "0", 1));
    };
    EXPECT_EQ(run_in(outside, leave), "ok");
    EXPECT_EQ(run_in(agent, leave), refused());
    expect_told("write to the cgroup tree");
}

TEST_F(GuardTest, ChildrenAreNotBornOutside) {
    const auto bear = [this] {
        const UniqueFd folder{::open(outside.c_str(), O_PATH | O_CLOEXEC)};
        clone_args how{};
        how.flags = CLONE_INTO_CGROUP;
        how.exit_signal = SIGCHLD;
        how.cgroup = std::uint64_t(folder.get());
        const long child = ::syscall(SYS_clone3, &how, sizeof(how));
        if (child == 0) ::_exit(0);
        if (child < 0) return error_name(errno);
        ::waitpid(pid_t(child), nullptr, 0);
        return std::string{"ok"};
    };
    EXPECT_EQ(run_in(outside, bear), "ok");
    EXPECT_EQ(run_in(agent, bear), refused());
    expect_told("write to the cgroup tree");
}

TEST_F(GuardTest, TheOwnPartOfTheTreeIsOnesOwn) {
    EXPECT_EQ(run_in(agent,
                     [this] {
                         const auto below = agent / "below";
                         if (::mkdir(below.c_str(), 0755) != 0) return error_name(errno);
                         const UniqueFd fd{::open((below / "cgroup.procs").c_str(), O_WRONLY)};
                         if (!fd) return error_name(errno);
                         return outcome(::write(fd.get(), "0", 1));
                     }),
              "ok");
}

TEST_F(GuardTest, BpfIsNotSpokenTo) {
    const auto first_program = [] {
        __u32 id = 0;
        return error_name(bpf_prog_get_next_id(0, &id) == 0 ? 0 : errno);
    };
    EXPECT_EQ(run_in(outside, first_program), "ok");
    EXPECT_EQ(run_in(agent, first_program), refused());
    expect_told("reach the kernel's programs");
    // The links cannot be taken away by their files, either.
    const auto unlink = [this] {
        const auto maps = options().pin_dir;
        std::error_code error;
        for (auto it = std::filesystem::recursive_directory_iterator{maps, error};
             !error && it != std::filesystem::recursive_directory_iterator{}; it.increment(error))
            if (it->path().filename() == "settings") return outcome(::unlink(it->path().c_str()));
        return error ? error_name(error.value()) : std::string{"?"};
    };
    if (in_force) {
        EXPECT_EQ(run_in(agent, unlink), "EPERM");
    }
}

// By who is at the other end, whatever it is called and whatever link leads there.
TEST_F(GuardTest, UnixSocketsAreJudgedByWhoAnswers) {
    if (!in_force) return;
    const std::string folder = "/tmp/chaperone-" + tag;
    std::filesystem::create_directory(folder);
    const auto address_of = [](const std::string& path) {
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        path.copy(at.sun_path, sizeof(at.sun_path) - 1);
        return at;
    };
    const auto ring = [&](const std::string& path) {
        const UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const sockaddr_un at = address_of(path);
        return outcome(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)));
    };
    const auto answer = [&](const std::string& path) {
        UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const sockaddr_un at = address_of(path);
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at));
        ::listen(fd.get(), 8);
        return fd;
    };
    const UniqueFd docker = answer(folder + "/docker.sock");
    std::filesystem::create_symlink(folder + "/docker.sock", folder + "/harmless");
    EXPECT_EQ(run_in(outside, [&] { return ring(folder + "/harmless"); }), "ok");
    const std::vector<Door> doors{{.name = folder + "/harmless", .action = Verdict::Action::Let}};
    ASSERT_TRUE(redirector->set_doors(cgroup_id(agent).value(), doors));
    EXPECT_EQ(run_in(agent, [&] { return ring(folder + "/harmless"); }), "EPERM");
    EXPECT_EQ(run_in(agent,
                     [&] {
                         const UniqueFd own = answer(folder + "/own");
                         return ring(folder + "/own");
                     }),
              "ok");
    std::filesystem::remove_all(folder);
}

}  // namespace chaperone::kernel::testing

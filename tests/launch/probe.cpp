// SPDX-License-Identifier: Apache-2.0
// The test program as an agent: with CHAPERONE_PROBE set it makes one system call before main, and
// its exit status is the error number it got (0: it was let through, 250: no such probe).
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

long make_socket(int family, int type, int protocol) {
    return ::socket(family, type, protocol);
}

long run_threads() {
    int sum = 0;
    std::thread{[&] { ++sum; }}.join();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int status = 0;
    ::waitpid(child, &status, 0);
    return sum == 1 && status == 0 ? 0 : -1;
}

// Each call is refused, whatever signals come meanwhile.
long run_flood() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 500},
                          .it_value = {.tv_sec = 0, .tv_usec = 500}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    std::atomic<int> refused = 0;
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread)
            threads.emplace_back([&] {
                for (int i = 0; i < 1000; ++i)
                    if (::syscall(SYS_bpf, 0, nullptr, 0) < 0 && errno == EPERM) ++refused;
            });
    }
    errno = EIO;
    return refused == 4000 ? 0 : -1;
}

const std::map<std::string, std::function<long()>>& probes() {
    static const std::map<std::string, std::function<long()>> all{
        {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
        {"ptrace", [] { return ::syscall(SYS_ptrace, 0, 0, nullptr, nullptr); }},
        {"mount", [] { return ::syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, nullptr); }},
        {"open_tree_attr", [] { return ::syscall(467, AT_FDCWD, "/", 0, nullptr, 0); }},
        {"setns", [] { return ::syscall(SYS_setns, 0, 0); }},
        {"unshare_user", [] { return ::syscall(SYS_unshare, CLONE_NEWUSER); }},
        {"unshare_net", [] { return ::syscall(SYS_unshare, CLONE_NEWNET | CLONE_FILES); }},
        {"unshare_files", [] { return ::syscall(SYS_unshare, CLONE_FILES); }},
        {"clone_user",
         [] {
             return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0);
         }},
        {"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
        {"io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
        {"keyctl", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
        {"perf", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); }},
        {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
        {"process_vm_readv", [] { return ::syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0); }},
        {"pidfd_getfd", [] { return ::syscall(SYS_pidfd_getfd, 0, 0, 0); }},
        {"packet", [] { return make_socket(AF_PACKET, SOCK_RAW, 0); }},
        {"vsock", [] { return make_socket(AF_VSOCK, SOCK_STREAM, 0); }},
        {"alg", [] { return make_socket(AF_ALG, SOCK_SEQPACKET, 0); }},
        {"xdp", [] { return make_socket(44, SOCK_RAW, 0); }},
        {"high_bits",
         [] { return ::syscall(SYS_socket, 0x1'0000'0000L | AF_PACKET, SOCK_DGRAM, 0); }},
        {"netlink_other", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG); }},
        {"netlink_route", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }},
        {"mptcp", [] { return make_socket(AF_INET, SOCK_STREAM, 262); }},
        {"udplite", [] { return make_socket(AF_INET, SOCK_DGRAM, 136); }},
        {"raw", [] { return make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }},
        {"tcp", [] { return make_socket(AF_INET, SOCK_STREAM, 0); }},
        {"tcp6", [] { return make_socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP); }},
        {"udp", [] { return make_socket(AF_INET, SOCK_DGRAM, 0); }},
        {"unix", [] { return make_socket(AF_UNIX, SOCK_STREAM, 0); }},
        {"tiocsti", [] { return static_cast<long>(::ioctl(0, TIOCSTI, "x")); }},
        {"threads", run_threads},
        {"flood", run_flood},
        {"x32", [] { return ::syscall(0x40000000L | 39); }},
    };
    return all;
}

__attribute__((constructor(65535))) void run_probe() {
    const char* const name = std::getenv("CHAPERONE_PROBE");
    if (name == nullptr) return;
    const auto found = probes().find(name);
    if (found == probes().end()) ::_exit(250);
    errno = 0;
    ::_exit(found->second() < 0 ? errno : 0);
}

}  // namespace

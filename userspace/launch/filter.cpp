// SPDX-License-Identifier: Apache-2.0
// The system calls that an agent does not get. Allowed is what is not listed: an agent may be any
// program. Calls of another architecture, x32 included, kill the process.
#include "userspace/launch/sandbox.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include <cerrno>
#include <memory>

namespace chaperone::launch {
namespace {

struct Closer {
    void operator()(void* context) const { seccomp_release(context); }
};
using Filter = std::unique_ptr<void, Closer>;

// Refused with EPERM, whatever the arguments.
constexpr const char* kRefused[] = {
    // BPF, and looking into or taking from other processes.
    "bpf", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "perf_event_open",
    "kcmp", "userfaultfd", "process_madvise",
    // The mounts that hide things, and files reached without a path.
    "mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "chroot",
    // Other namespaces.
    "setns",
    // Keys are shared with processes that are not governed.
    "add_key", "keyctl", "request_key",
    // The kernel itself.
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "iopl", "ioperm", "syslog"};

// Answered as by a kernel that has not got them, so that programs fall back: io_uring's operations
// are not seen by seccomp, and clone3's flags cannot be read by it.
constexpr const char* kUnknown[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
                                    "clone3"};

// open_tree_attr(2), Linux 6.15; the same number everywhere, and newer than libseccomp 2.5.
constexpr int kOpenTreeAttr = 467;

constexpr std::uint64_t kNamespaces[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC,   CLONE_NEWUSER,
                                         CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};
constexpr std::uint64_t kNewTime =
    0x80;  // CLONE_NEWTIME; for unshare only, clone has a signal there

// As libseccomp's own macros, which are C.
scmp_arg_cmp argument(unsigned number, scmp_compare comparison, std::uint64_t value) {
    return {.arg = number, .op = comparison, .datum_a = value, .datum_b = 0};
}

scmp_arg_cmp masked(unsigned number, std::uint64_t mask, std::uint64_t value) {
    return {.arg = number, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

class Rules {
public:
    explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

    template <class... Comparisons>
    void refuse(int error, int call, Comparisons... comparisons) {
        if (code_ == 0)
            code_ = seccomp_rule_add(filter_, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call,
                                     sizeof...(comparisons), comparisons...);
    }
    void refuse(int error, const char* name) {
        const int call = seccomp_syscall_resolve_name(name);
        if (call == __NR_SCMP_ERROR)
            code_ = -ENOSYS;  // a rule that is lost is a hole
        else
            refuse(error, call);
    }
    int code() const { return code_; }

private:
    scmp_filter_ctx filter_;
    int code_ = 0;
};

// Registers are 64 bits wide and the kernel takes the lower 32: what has upper bits is over the
// greatest, and refused.
void restrict_sockets(Rules& rules) {
    for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
        for (std::uint64_t family = 0; family < AF_NETLINK; ++family)
            if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
                rules.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_EQ, family));
        rules.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_GT, AF_NETLINK));
        rules.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_EQ, AF_NETLINK),
                     argument(2, SCMP_CMP_NE, NETLINK_ROUTE));
        // MPTCP (262), SMC (256); then DCCP, SCTP, UDP-Lite: the hooks for TCP and UDP miss them.
        rules.refuse(EPROTONOSUPPORT, call, argument(2, SCMP_CMP_GT, 255));
        for (const std::uint64_t protocol : {33u, 132u, 136u})
            rules.refuse(EPROTONOSUPPORT, call, argument(2, SCMP_CMP_EQ, protocol));
    }
}

void restrict_namespaces(Rules& rules) {
    for (const std::uint64_t flag : kNamespaces) {
        rules.refuse(EPERM, SCMP_SYS(clone), masked(0, flag, flag));
        rules.refuse(EPERM, SCMP_SYS(unshare), masked(0, flag, flag));
    }
    rules.refuse(EPERM, SCMP_SYS(unshare), masked(0, kNewTime, kNewTime));
}

// Typing into the terminal that the caller's shell reads next.
void restrict_terminal(Rules& rules) {
    constexpr std::uint64_t kLower = 0xffffffff;
    for (const std::uint64_t command : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}})
        rules.refuse(EPERM, SCMP_SYS(ioctl), masked(1, kLower, command));
}

}  // namespace

Result<> install_filter() {
    const Filter filter{seccomp_init(SCMP_ACT_ALLOW)};
    if (!filter) return fail(Errc::System, "libseccomp makes no filter");
    int code = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    Rules rules{filter.get()};
    for (const char* name : kRefused) rules.refuse(EPERM, name);
    for (const char* name : kUnknown) rules.refuse(ENOSYS, name);
    rules.refuse(EPERM, kOpenTreeAttr);
    restrict_sockets(rules);
    restrict_namespaces(rules);
    restrict_terminal(rules);
    // Limits of other processes of the same user, of a root agent also the daemon's.
    rules.refuse(EPERM, SCMP_SYS(prlimit64), argument(0, SCMP_CMP_NE, 0));
    if (code == 0) code = rules.code();
    if (code == 0) code = seccomp_load(filter.get());
    if (code != 0) return system_error("install the seccomp filter", -code);
    return {};
}

}  // namespace chaperone::launch

// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/refusals.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace chaperone::launch {
namespace {

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
constexpr const char* kUnknown[] = {"io_uring_setup", "io_uring_enter", "io_uring_register"};
// glibc tries it for every thread.
constexpr const char* kUnknownAndUsual[] = {"clone3"};

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

class Table {
public:
    template <class... Comparisons>
    void refuse(int error, int call, Comparisons... comparisons) {
        all_.push_back({.call = call, .error = error, .when = {comparisons...}});
    }
    void refuse(int error, const char* name, bool told = true) {
        const int call = seccomp_syscall_resolve_name(name);
        if (call == __NR_SCMP_ERROR) missing_ = name;
        all_.push_back({.call = call, .error = error, .told = told});
    }
    Result<std::vector<Refusal>> take() {
        if (!missing_.empty()) return fail(Errc::System, "libseccomp knows no " + missing_);
        return std::move(all_);
    }

private:
    std::vector<Refusal> all_{};
    std::string missing_{};
};

// Registers are 64 bits wide and the kernel takes the lower 32: what has upper bits is over the
// greatest, and refused.
void restrict_sockets(Table& table) {
    for (const int call : {SCMP_SYS(socket), SCMP_SYS(socketpair)}) {
        for (std::uint64_t family = 0; family < AF_NETLINK; ++family)
            if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
                table.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_EQ, family));
        table.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_GT, AF_NETLINK));
        table.refuse(EAFNOSUPPORT, call, argument(0, SCMP_CMP_EQ, AF_NETLINK),
                     argument(2, SCMP_CMP_NE, NETLINK_ROUTE));
        // MPTCP (262), SMC (256); then DCCP, SCTP, UDP-Lite: the hooks for TCP and UDP miss them.
        table.refuse(EPROTONOSUPPORT, call, argument(2, SCMP_CMP_GT, 255));
        for (const std::uint64_t protocol : {33u, 132u, 136u})
            table.refuse(EPROTONOSUPPORT, call, argument(2, SCMP_CMP_EQ, protocol));
    }
}

void restrict_namespaces(Table& table) {
    for (const std::uint64_t flag : kNamespaces) {
        table.refuse(EPERM, SCMP_SYS(clone), masked(0, flag, flag));
        table.refuse(EPERM, SCMP_SYS(unshare), masked(0, flag, flag));
    }
    table.refuse(EPERM, SCMP_SYS(unshare), masked(0, kNewTime, kNewTime));
}

// Typing into the terminal that the caller's shell reads next.
void restrict_terminal(Table& table) {
    constexpr std::uint64_t kLower = 0xffffffff;
    for (const std::uint64_t command : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}})
        table.refuse(EPERM, SCMP_SYS(ioctl), masked(1, kLower, command));
}

bool holds(const scmp_arg_cmp& comparison, const seccomp_data& call) {
    const std::uint64_t value = call.args[comparison.arg];
    switch (comparison.op) {
    case SCMP_CMP_EQ: return value == comparison.datum_a;
    case SCMP_CMP_NE: return value != comparison.datum_a;
    case SCMP_CMP_GT: return value > comparison.datum_a;
    case SCMP_CMP_MASKED_EQ: return (value & comparison.datum_a) == comparison.datum_b;
    default: return false;  // not in the table
    }
}

}  // namespace

Result<std::vector<Refusal>> refusals() {
    Table table;
    for (const char* name : kRefused) table.refuse(EPERM, name);
    for (const char* name : kUnknown) table.refuse(ENOSYS, name);
    for (const char* name : kUnknownAndUsual) table.refuse(ENOSYS, name, false);
    table.refuse(EPERM, kOpenTreeAttr);
    restrict_sockets(table);
    restrict_namespaces(table);
    restrict_terminal(table);
    // Limits of other processes of the same user, of a root agent also the daemon's.
    table.refuse(EPERM, SCMP_SYS(prlimit64), argument(0, SCMP_CMP_NE, 0));
    return table.take();
}

int error_for(const std::vector<Refusal>& refusals, const seccomp_data& call) {
    const auto found = std::ranges::find_if(refusals, [&](const Refusal& refusal) {
        return refusal.call == call.nr &&
               std::ranges::all_of(refusal.when, [&](const auto& one) { return holds(one, call); });
    });
    return found == refusals.end() ? EPERM : found->error;
}

std::string name_of(const seccomp_data& call) {
    if (call.nr == kOpenTreeAttr) return "open_tree_attr";
    const std::unique_ptr<char, decltype(&std::free)> name{
        seccomp_syscall_resolve_num_arch(call.arch, call.nr), &std::free};
    return name ? name.get() : "call " + std::to_string(call.nr);
}

}  // namespace chaperone::launch

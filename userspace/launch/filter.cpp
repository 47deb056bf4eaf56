// SPDX-License-Identifier: Apache-2.0
// The filter out of the table of refusals. Allowed is what is not listed: an agent may be any
// program. Calls of another architecture, x32 included, kill the process.
#include "userspace/launch/refusals.h"
#include "userspace/launch/sandbox.h"

#include <linux/filter.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace chaperone::launch {
namespace {

// Linux 5.19: once a call was handed on, only a deadly signal takes it back. Without it a runtime
// that interrupts its threads by signals would try again and again.
constexpr unsigned long kWaitKillable = 1UL << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

struct Closer {
    void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Closer>;

// As the kernel takes it. `tell`: what is refused is handed on to the listener, which answers.
Result<std::vector<sock_filter>> make_filter(const std::vector<Refusal>& refusals, bool tell) {
    const Context context{seccomp_init(SCMP_ACT_ALLOW)};
    if (!context) return fail(Errc::System, "libseccomp makes no filter");
    int code = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (const Refusal& refusal : refusals) {
        const std::uint32_t action = tell && refusal.told
                                         ? SCMP_ACT_NOTIFY
                                         : SCMP_ACT_ERRNO(static_cast<unsigned>(refusal.error));
        if (code == 0)
            code = seccomp_rule_add_array(context.get(), action, refusal.call,
                                          static_cast<unsigned>(refusal.when.size()),
                                          refusal.when.data());
    }
    if (code != 0) return system_error("make the seccomp filter", -code);
    const UniqueFd file{::memfd_create("filter", MFD_CLOEXEC)};
    if (!file) return system_error("make a file in memory", errno);
    code = seccomp_export_bpf(context.get(), file.get());
    if (code != 0) return system_error("write the seccomp filter", -code);
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    std::vector<sock_filter> filter(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (filter.empty() || ::pread(file.get(), filter.data(), static_cast<std::size_t>(size), 0) !=
                              static_cast<ssize_t>(size))
        return fail(Errc::System, "the seccomp filter is not as it was written");
    return filter;
}

// The listener where one is asked for by `flags`, else 0.
Result<int> install(std::vector<sock_filter>& filter, unsigned long flags) {
    const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                             .filter = filter.data()};
    const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (done < 0) return system_error("install the seccomp filter", errno);
    return static_cast<int>(done);
}

}  // namespace

std::string no_listener() {
    const std::uint32_t action = SECCOMP_RET_USER_NOTIF;
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return {};
    return std::string{"the kernel hands no refused call on: "} + std::strerror(errno);
}

Result<FilterListener> install_filter(bool tell) {
    const auto table = refusals();
    if (!table) return fail(table.error());
    FilterListener out;
    if (tell) out.why_not = no_listener();
    if (tell && out.why_not.empty()) {
        auto told = make_filter(*table, true);
        if (!told) return fail(told.error());
        const auto listener = install(*told, SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable);
        if (listener) {
            out.listener = UniqueFd{*listener};
            return out;
        }
        // EBUSY: we are in somebody's sandbox that listens already, and a process has one listener.
        out.why_not = listener.error().message();
    }
    auto plain = make_filter(*table, false);
    if (!plain) return fail(plain.error());
    if (auto done = install(*plain, 0); !done) return fail(done.error());
    return out;
}

}  // namespace chaperone::launch

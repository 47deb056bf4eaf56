// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/idle_time.h"

#include "userspace/base/capabilities.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>

namespace chaperone {
namespace {

bool set_policy(pid_t thread, int policy) noexcept {
    const sched_param none{};
    return ::sched_setscheduler(thread, policy, &none) == 0;
}

}  // namespace

bool IdleTime::may() noexcept {
    // The limit is 20 for a nice value of 0, and 1 for one of 19 (getrlimit(2)).
    const auto needed = static_cast<rlim_t>(20 - ::getpriority(PRIO_PROCESS, 0));
    rlimit limit{};
    const bool allowed = (::getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur >= needed) ||
                         (effective_capabilities() & std::uint64_t{1} << CAP_SYS_NICE) != 0;
    return allowed && set_policy(0, SCHED_OTHER);
}

IdleTime::Use::Use(IdleTime& of) noexcept : of_(of) {
    if (!may()) return;
    of_.thread_ = ::gettid();
    set_policy(0, SCHED_IDLE);
}

IdleTime::Use::~Use() {
    if (of_.thread_.exchange(0) != 0) set_policy(0, SCHED_OTHER);
}

void IdleTime::hurry() const noexcept {
    if (const pid_t thread = thread_) set_policy(thread, SCHED_OTHER);
}

}  // namespace chaperone

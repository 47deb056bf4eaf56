// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/steady.h"

#include <ctime>

namespace chaperone {

Time steady_now() {
    const auto since_boot = [] {
        timespec at{};
        ::clock_gettime(CLOCK_BOOTTIME, &at);
        return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
    };
    static const Time booted = now() - since_boot();
    return booted + since_boot();
}

std::chrono::steady_clock::time_point about_now() {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
    return std::chrono::steady_clock::time_point{std::chrono::seconds{at.tv_sec} +
                                                 std::chrono::nanoseconds{at.tv_nsec}};
}

Time to_wall(Time steady) {
    return steady == Time::max() ? steady : steady + (now() - steady_now());
}

}  // namespace chaperone

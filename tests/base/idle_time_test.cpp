// SPDX-License-Identifier: Apache-2.0
// The kernel is asked which policy a thread has. Root may use idle time; who may not stays as
// he is.
#include "userspace/base/idle_time.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <future>
#include <latch>
#include <thread>

namespace chaperone {
namespace {

int policy() {
    return ::sched_getscheduler(0);
}

TEST(IdleTime, IsUsedAsLongAsItIsAskedFor) {
    const int used = ::geteuid() == 0 || IdleTime::may() ? SCHED_IDLE : SCHED_OTHER;
    IdleTime time;
    for (int turn = 0; turn != 2; ++turn) {
        {
            const IdleTime::Use use{time};
            EXPECT_EQ(policy(), used);
        }
        EXPECT_EQ(policy(), SCHED_OTHER);
    }
}

TEST(IdleTime, EndsForWhoIsWaitedFor) {
    IdleTime time;
    std::latch begun{1}, hurried{1};
    auto worker = std::async(std::launch::async, [&] {
        const IdleTime::Use use{time};
        begun.count_down();
        hurried.wait();
        return policy();
    });
    begun.wait();
    time.hurry();
    hurried.count_down();
    EXPECT_EQ(worker.get(), SCHED_OTHER);
    EXPECT_EQ(policy(), SCHED_OTHER) << "who waits is left as he was";
}

TEST(IdleTime, NobodyIsHurriedWhoDoesNotUseIt) {
    IdleTime time;
    time.hurry();
    EXPECT_EQ(policy(), SCHED_OTHER);
    {
        const IdleTime::Use use{time};
    }
    time.hurry();
    EXPECT_EQ(policy(), SCHED_OTHER);
}

// In a thread of its own: what it gives up cannot be taken back.
TEST(IdleTime, IsLeftAloneByWhoCouldNotLeaveIt) {
    std::thread{[] {
        rlimit limit{};
        ASSERT_EQ(::getrlimit(RLIMIT_NICE, &limit), 0);
        const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NICE, &none), 0);
        // Without capabilities, as an effective user who is not root (capabilities(7)).
        if (::geteuid() == 0) ASSERT_EQ(::syscall(SYS_setresuid, -1, 65534, -1), 0);
        EXPECT_FALSE(IdleTime::may());
        IdleTime time;
        {
            const IdleTime::Use use{time};
            EXPECT_EQ(policy(), SCHED_OTHER);
        }
        EXPECT_EQ(policy(), SCHED_OTHER);
        EXPECT_EQ(::setrlimit(RLIMIT_NICE, &limit), 0);
    }}.join();
}

}  // namespace
}  // namespace chaperone

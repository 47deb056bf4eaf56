// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/steady.h"

#include <gtest/gtest.h>

namespace chaperone {
namespace {

using namespace std::chrono_literals;

TEST(SteadyNow, NeverGoesBackAndBeginsAtTheWallClock) {
    const Time before = now();
    const Time first = steady_now();
    Time last = first;
    for (int i = 0; i != 1000; ++i) {
        const Time next = steady_now();
        EXPECT_GE(next, last);
        last = next;
    }
    EXPECT_LT(std::chrono::abs(first - before), 1h);
}

TEST(SteadyNow, IsShownByTheWallClock) {
    const Time steady = steady_now();
    EXPECT_LT(std::chrono::abs(to_wall(steady) - now()), 10s);
    EXPECT_LT(std::chrono::abs(to_wall(steady + 1h) - to_wall(steady) - 1h), 10s);
    EXPECT_EQ(to_wall(Time::max()), Time::max()) << "until something else ends it";
}

TEST(AboutNow, IsTheSteadyClockAMomentAgo) {
    const auto before = about_now();
    const auto exactly = std::chrono::steady_clock::now();
    EXPECT_LE(before, exactly);
    EXPECT_LT(exactly - before, 10s);
    EXPECT_GE(about_now(), before);
}

}  // namespace
}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/look_out.h"

#include <gtest/gtest.h>

namespace chaperone::net {
namespace {

constexpr LookOut::Duration kSoon = LookOut::kWorth;
constexpr LookOut::Duration kLate = LookOut::kWorth + std::chrono::nanoseconds{1};

TEST(LookOut, SleepsAtFirst) {
    EXPECT_EQ(LookOut{}.looks(), 0U);
}

TEST(LookOut, LooksMoreOftenWhileItIsWorthIt) {
    LookOut out;
    unsigned before = 0;
    for (int i = 0; i != 20; ++i) {
        i % 2 == 0 ? out.slept(kSoon) : out.found();
        EXPECT_GE(out.looks(), before);
        before = out.looks();
    }
    EXPECT_EQ(before, LookOut::kMost);
}

// A thread whose sessions wait for slow servers must not burn its processor.
TEST(LookOut, GivesUpWhereAnswersTakeLong) {
    LookOut out;
    while (out.looks() != LookOut::kMost) out.found();
    unsigned in_vain = 0;
    for (int i = 0; i != 100; ++i) {
        in_vain += out.looks();
        out.slept(kLate);
    }
    EXPECT_EQ(out.looks(), 0U);
    EXPECT_LT(in_vain, 2 * LookOut::kMost);
}

}  // namespace
}  // namespace chaperone::net

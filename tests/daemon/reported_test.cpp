// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/reported.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace chaperone::daemon {
namespace {

TEST(Reported, WhatThereIsNoRoomForIsCounted) {
    Reported reported;
    for (std::uint32_t pid = 0; pid != Reported::kMost + 3; ++pid) reported.add({.pid = pid});
    const Reported::Taken first = reported.take();
    ASSERT_EQ(first.denials.size(), Reported::kMost);
    EXPECT_EQ(first.denials.back().pid, Reported::kMost - 1);
    EXPECT_EQ(first.more, 3u);

    reported.add({.pid = 7});
    const Reported::Taken second = reported.take();
    ASSERT_EQ(second.denials.size(), 1u);
    EXPECT_EQ(second.denials.front().pid, 7u);
    EXPECT_EQ(second.more, 0u);
}

TEST(Reported, NothingIsLostBetweenThreads) {
    Reported reported;
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n != 5000; ++n) reported.add({});
        });
    std::uint64_t total = 0;
    const auto count = [&] {
        const Reported::Taken taken = reported.take();
        total += taken.denials.size() + taken.more;
    };
    for (int n = 0; n != 100; ++n) count();
    for (std::thread& thread : threads) thread.join();
    count();
    EXPECT_EQ(total, 20000u);
}

}  // namespace
}  // namespace chaperone::daemon

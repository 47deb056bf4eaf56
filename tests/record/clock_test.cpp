// SPDX-License-Identifier: Apache-2.0
// A wall clock that is set while the journal is written: entries stay in their order, and what is
// signed stays verifiable.
#include "tests/record/support.h"

#include "userspace/record/index.h"

namespace chaperone::record {
namespace {

using namespace std::chrono_literals;

class ClockTest : public JournalTest {
protected:
    // An hour back, a year forward, and to where it was; each with a checkpoint of its own.
    void write_over_jumps() {
        const Time start = *parse_rfc3339("2026-03-01T12:00:00Z");
        const Duration jumps[] = {0h, -1h, 24h * 365, 1min};
        for (const Duration jump : jumps) {
            const Time time = start + jump;
            WriterOptions options;
            options.clock = [time] { return time; };
            options.checkpoint_interval = 1h;
            const auto writer = open(std::move(options));
            for (int i = 0; i != 3; ++i) {
                Entry made = entry("SELECT " + std::to_string(number_++));
                made.set_time(time.time_since_epoch().count());
                ASSERT_TRUE(writer->append(made));
            }
        }
    }

    int number_ = 0;
};

TEST_F(ClockTest, WhatWasWrittenOverJumpsVerifies) {
    write_over_jumps();
    const auto result = verified();
    EXPECT_TRUE(result.ok()) << (result.findings.empty() ? "" : result.findings[0].message());
}

TEST_F(ClockTest, AnAlteredEntryIsFoundAmongThem) {
    write_over_jumps();
    auto changed = parts();
    changed.frames[5] = frame_of(entry("forged"));
    replace(segment(), changed.joined());
    EXPECT_FALSE(verified().ok());
}

TEST_F(ClockTest, TheIndexTakesAllOfThem) {
    write_over_jumps();
    const auto index = Index::open(state_ / "index.db");
    ASSERT_TRUE(index);
    EXPECT_TRUE((*index)->catch_up(journal()));
    EXPECT_GE((*index)->next(), 12U);
}

}  // namespace
}  // namespace chaperone::record

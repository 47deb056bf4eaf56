// SPDX-License-Identifier: Apache-2.0
// Refusals that are alike: the first is written at once, the others as a count.
#include "userspace/daemon/denials.h"

#include <gtest/gtest.h>

#include <functional>

namespace chaperone::daemon {
namespace {

using namespace std::chrono_literals;
using Kind = kernel::Denial::Kind;

constexpr Denials::Clock::time_point kBegin{1h};

Denials denials() {
    return Denials{[](const std::string& workload, const std::string& address) {
        EXPECT_EQ(workload, "billing");
        return address == "10.0.0.7" ? std::vector<std::string>{"db.internal", "old.internal"}
                                     : std::vector<std::string>{};
    }};
}

kernel::Denial connect() {
    kernel::Denial denial;
    denial.kind = Kind::Connect;
    denial.cgroup_id = 7;
    denial.workload = "billing";
    denial.destination = *kernel::parse_address("10.0.0.7", 22);
    denial.pid = 100;
    denial.comm = "nc";
    return denial;
}

TEST(Denials, WritesTheFirstAndCountsThoseLikeIt) {
    Denials all = denials();
    const auto first = all.add(connect(), kBegin);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->event().destination().name(), "db.internal") << "as it was told last";
    kernel::Denial again = connect();
    again.pid = 101;
    EXPECT_FALSE(all.add(again, kBegin + 1s));
    EXPECT_FALSE(all.add(again, kBegin + 2s));
    EXPECT_TRUE(all.due(kBegin + 9s, false).empty());
    const auto due = all.due(kBegin + 10s, false);
    ASSERT_EQ(due.size(), 1U);
    EXPECT_EQ(due[0].event().count(), 2U);
    EXPECT_TRUE(all.add(again, kBegin + 11s)) << "a while later it is news again";
}

TEST(Denials, WritesNoCountOfNone) {
    Denials all = denials();
    ASSERT_TRUE(all.add(connect(), kBegin));
    EXPECT_TRUE(all.due(kBegin + 1h, false).empty());
}

TEST(Denials, AtTheEndNothingIsKeptBack) {
    Denials all = denials();
    ASSERT_TRUE(all.add(connect(), kBegin));
    EXPECT_FALSE(all.add(connect(), kBegin));
    EXPECT_EQ(all.due(kBegin, true).size(), 1U);
    EXPECT_TRUE(all.due(kBegin, true).empty());
}

// Whatever an auditor would tell apart.
TEST(Denials, CountsOnlyWhatIsAlike) {
    const std::function<void(kernel::Denial&)> changes[] = {
        [](auto& d) { d.kind = Kind::Datagram; },
        [](auto& d) { d.cgroup_id = 8; },
        [](auto& d) { d.destination.port = 23; },
        [](auto& d) { d.protocol = 17; },
        [](auto& d) { d.uid = 1; },
        [](auto& d) { d.comm = "ncat"; },
        [](auto& d) { d.door = "/run/docker.sock"; },
        [](auto& d) { d.what = "a file"; },
        [](auto& d) { d.target = -5; },
        [](auto& d) { d.signal = 9; },
    };
    Denials all = denials();
    ASSERT_TRUE(all.add(connect(), kBegin));
    for (const auto& change : changes) {
        kernel::Denial other = connect();
        change(other);
        EXPECT_TRUE(all.add(other, kBegin)) << "change " << &change - changes;
        EXPECT_FALSE(all.add(other, kBegin)) << "change " << &change - changes;
    }
    // But a caller of a listener has another port each time.
    kernel::Denial inbound = connect();
    inbound.kind = Kind::Inbound;
    ASSERT_TRUE(all.add(inbound, kBegin));
    inbound.destination.port = 40'001;
    EXPECT_FALSE(all.add(inbound, kBegin));
}

TEST(Denials, BeyondItsRoomEachIsWritten) {
    Denials all = denials();
    kernel::Denial one = connect();
    for (std::size_t i = 0; i < Denials::kMost; ++i) {
        one.comm = std::to_string(i);
        ASSERT_TRUE(all.add(one, kBegin));
    }
    one.comm = "one more";
    EXPECT_TRUE(all.add(one, kBegin));
    EXPECT_TRUE(all.add(one, kBegin));
    one.comm = "0";
    EXPECT_FALSE(all.add(one, kBegin));
    EXPECT_EQ(all.due(kBegin + 10s, false).size(), 1U);
    one.comm = "one more";
    EXPECT_TRUE(all.add(one, kBegin + 10s));
    EXPECT_FALSE(all.add(one, kBegin + 10s)) << "there is room again";
}

}  // namespace
}  // namespace chaperone::daemon

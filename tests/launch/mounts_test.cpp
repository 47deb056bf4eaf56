// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/mounts.h"

#include "userspace/launch/cgroup.h"

#include <gtest/gtest.h>

namespace chaperone::launch {
namespace {

// The optional fields between the sixth and the dash may be none or several.
TEST(Mounts, ReadsHybridAndPureSystems) {
    const auto hybrid = parse_mounts(
        "23 1 0:21 / / rw - ext4 /dev/vda rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:4 master:1 - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
        "42 23 0:40 / /mnt/a\\040b\\134c rw - bpf none rw\n");
    ASSERT_TRUE(hybrid);
    ASSERT_EQ(hybrid->size(), 4u);
    EXPECT_EQ(*find_cgroup2(*hybrid), "/sys/fs/cgroup/unified");
    EXPECT_EQ((*hybrid)[3].point, "/mnt/a b\\c");
    EXPECT_EQ((*hybrid)[3].type, "bpf");
}

TEST(Mounts, RefusesLinesThatAreNone) {
    for (const char* bad :
         {"\n", "1 2 3", "23 1 0:21 / / rw ext4 /dev/vda rw", "23 1 0:21 / /x rw -"})
        EXPECT_FALSE(parse_mounts(bad)) << bad;
    EXPECT_EQ(find_cgroup2({}).error().code, Errc::NotFound);
}

TEST(SafeName, LeavesNothingThatMeansMore) {
    EXPECT_EQ(safe_name("billing-agent.v1"), "billing-agent.v1");
    EXPECT_EQ(safe_name("../../etc"), "_.._.._etc");
    EXPECT_EQ(safe_name(""), "_");
    EXPECT_EQ(safe_name("a/b@c d"), "a_b_c_d");
    EXPECT_EQ(safe_name(std::string(500, 'x')).size(), 100u);
}

}  // namespace
}  // namespace chaperone::launch

// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/percent.h"

#include <gtest/gtest.h>

namespace chaperone {
namespace {

TEST(Percent, EncodesAllButTheUnreserved) {
    EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
    EXPECT_EQ(percent_encoded(std::string_view{" /+%\0\xff", 6}), "%20%2F%2B%25%00%FF");
    EXPECT_EQ(percent_encoded("/a b/", "/"), "/a%20b/");
    EXPECT_EQ(percent_encoded(""), "");
}

}  // namespace
}  // namespace chaperone

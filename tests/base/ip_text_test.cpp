// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/ip_text.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>

#include <array>

namespace chaperone {
namespace {

TEST(IpText, IsWhatTheLibraryWrites) {
    for (const char* text :
         {"0.0.0.0", "127.0.0.1", "10.20.30.40", "192.0.2.7", "9.99.100.255", "255.255.255.255"}) {
        std::array<std::uint8_t, 4> address{};
        ASSERT_EQ(::inet_pton(AF_INET, text, address.data()), 1);
        EXPECT_EQ(ip_text(address), text);
    }
    for (const char* text :
         {"::", "::1", "2001:db8::1", "fe80::1:2", "::ffff:192.0.2.7", "1:2:3:4:5:6:7:8"}) {
        std::array<std::uint8_t, 16> address{};
        ASSERT_EQ(::inet_pton(AF_INET6, text, address.data()), 1);
        EXPECT_EQ(ip_text(address), text);
    }
}

TEST(IpText, SaysSoWhereItIsNone) {
    EXPECT_EQ(ip_text({}), "?");
    EXPECT_EQ(ip_text(std::array<std::uint8_t, 5>{}), "?");
}

}  // namespace
}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/host_name.h"

#include <gtest/gtest.h>

namespace chaperone::authority {
namespace {

using namespace std::string_literals;

struct Good {
    std::string input, text;
    std::size_t octets;
};

TEST(HostName, HasOneForm) {
    const std::string label(63, 'a');
    for (const Good& good :
         std::vector<Good>{{"db.internal", "db.internal", 0},
                           {"DB.Internal.", "db.internal", 0},
                           {"localhost", "localhost", 0},
                           {"a_b.x-y.c0m", "a_b.x-y.c0m", 0},
                           {"xn--bcher-kva.example", "xn--bcher-kva.example", 0},
                           {"1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa", 0},
                           {label + "." + label + "." + label + "." + label.substr(2),
                            label + "." + label + "." + label + "." + label.substr(2), 0},
                           {"10.1.2.3", "10.1.2.3", 4},
                           {"::ffff:10.1.2.3", "10.1.2.3", 4},
                           {"FD00:0:0::1", "fd00::1", 16},
                           {"::1", "::1", 16}}) {
        const auto name = read_host_name(good.input);
        ASSERT_TRUE(name) << good.input;
        EXPECT_EQ(name->text, good.text);
        EXPECT_EQ(name->address.size(), good.octets) << good.input;
    }
}

TEST(HostName, RefusesTheRest) {
    const std::string label(63, 'a');
    for (const std::string& bad : {""s,
                                   "."s,
                                   "*"s,
                                   "*.example.com"s,
                                   "a..b"s,
                                   ".a"s,
                                   "a.."s,
                                   "-a.b"s,
                                   "a-.b"s,
                                   "a b"s,
                                   "a\0b"s,
                                   "good.com\0.evil.com"s,
                                   "a/b"s,
                                   "a:80"s,
                                   "[::1]"s,
                                   "fe80::1%eth0"s,
                                   "b\xc3\xbc.de"s,
                                   "1.2.3"s,
                                   "1.2.3.4.5"s,
                                   "256.1.1.1"s,
                                   "0x7f.1"s,
                                   "127.0x1"s,
                                   "a@b"s,
                                   "a\nb"s,
                                   "a,DNS:b"s,
                                   std::string(64, 'a') + ".b",
                                   label + "." + label + "." + label + "." + label,
                                   std::string(1000, 'a')})
        EXPECT_FALSE(read_host_name(bad)) << bad;
}

}  // namespace
}  // namespace chaperone::authority

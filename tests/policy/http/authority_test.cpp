// SPDX-License-Identifier: Apache-2.0
// Hosts in every spelling that attackers know: those that all readers read alike have one form, and
// the others are none.
#include "policy/http/authority.h"

#include <gtest/gtest.h>

namespace chaperone::policy::http {
namespace {

struct Spelling {
    std::string_view text;
    std::string_view host;
    int port = 0;  // 0: none is named
};

class OneHost : public testing::TestWithParam<Spelling> {};

TEST_P(OneHost, IsReadInOneWay) {
    const auto read = split_authority(GetParam().text);
    ASSERT_TRUE(read) << GetParam().text;
    EXPECT_EQ(read->host, GetParam().host) << GetParam().text;
    EXPECT_EQ(read->port.value_or(0), GetParam().port) << GetParam().text;
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Spellings, OneHost, testing::Values(
    Spelling{"a", "a"},
    Spelling{"a:80", "a", 80},
    Spelling{"a:65535", "a", 65535},
    Spelling{"a:", "a"},
    Spelling{"a.", "a"},
    Spelling{"a.:443", "a", 443},
    Spelling{"A-b.C", "a-b.c"},
    Spelling{"a_b.internal", "a_b.internal"},
    Spelling{"-a-.b", "-a-.b"},
    Spelling{"xn--bcher-kva.example", "xn--bcher-kva.example"},
    Spelling{"XN--BCHER-KVA.EXAMPLE.", "xn--bcher-kva.example"},
    Spelling{"1.example", "1.example"},
    Spelling{"127.0.0.1.nip.io", "127.0.0.1.nip.io"},
    Spelling{"0xa.0b", "0xa.0b"},
    Spelling{"1e1", "1e1"},
    Spelling{"127.0.0.1", "127.0.0.1"},
    Spelling{"127.0.0.1.", "127.0.0.1"},
    Spelling{"127.0.0.1:8080", "127.0.0.1", 8080},
    Spelling{"0.0.0.0", "0.0.0.0"},
    Spelling{"[::1]", "::1"},
    Spelling{"[0::1]", "::1"},
    Spelling{"[::1]:", "::1"},
    Spelling{"[0:0:0:0:0:0:0:1]:80", "::1", 80},
    Spelling{"[::0001]", "::1"},
    Spelling{"[::0.0.0.1]", "::1"},
    Spelling{"[2001:DB8::A]:1", "2001:db8::a", 1},
    Spelling{"[::ffff:127.0.0.1]", "127.0.0.1"},
    Spelling{"[::FFFF:7f00:1]", "127.0.0.1"},
    Spelling{"[0:0:0:0:0:ffff:7f00:0001]:9", "127.0.0.1", 9}));

class NoHost : public testing::TestWithParam<std::string_view> {};

TEST_P(NoHost, IsNotGuessedAt) {
    EXPECT_FALSE(split_authority(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Spellings, NoHost, testing::Values(
    // Addresses of inet_aton(3) and of URLs in browsers.
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1", "0X7F.0.0.1",
    "017700000001", "0177.0.0.1", "0177.1", "0x7f.0.0.0x1", "127.0.0.0x1", "127.0.0.01",
    "127.0.0.001", "127.00.0.1", "127.0.0.256", "127.0.0.1.0", "256", "4294967296", "0", "00",
    "0x", "a.0x", "a.1", "a.b.2", "1.2.3", "1.2.3.4.5", "127.0.0.1..", "127.1.", "0.0", "a.0x7F",
    // Brackets.
    "[::1", "::1", "::1]", "[::1]x", "[]", "[a]", "[1.2.3.4]", "[::1%25lo]", "[fe80::1%lo]",
    "[::1%]", "[::1.2.3]", "[:::1]", "[1::2::3]", "[::12345]", "[::ffff:127.1]", "[::1 ]", "[[::1]]",
    "[v1.a]", "[::1]:x", "[::1]80", "a[::1]", "[::1],[::2]",
    // Ports.
    ":80", "a:b", "a:1:2", "a:-1", "a:+1", "a:0x50", "a: 80", "a:80 ", "a:080", "a:00080", "a:0",
    "a:65536", "a:99999", "a:4294967376", "a:80a", "a:8_0", "a:80,81", "a:%38%30", "a:\xef\xbc\x98",
    // Names.
    "", ".", "..", "a..", "a..b", ".a", "u@a", "u:p@a", "a@", "@a", "a/b", "a b", " a", "a ", "a\tb",
    "a?b", "a#b", "a\\b", "a,b", "a;b", "a=b", "a&b", "a+b", "a*b", "*", "*.a", "a!b", "a$b", "a'b",
    "a(b)", "a~b", "a|b", "a^b", "a`b", "a{b}", "a\"b", "a<b>", "http://a", "//a", "a%2eb", "%61",
    "a%00", "127%2e0.0.1", std::string_view{"a\0b", 3}, "a\x7f", "a\x01",
    "b\xc3\xbc""cher.example", "\xef\xbd\x81", "127\xef\xbc\x8e""0.0.1", "127\xe3\x80\x82""0.0.1",
    "a\xc2\xad""b", "a\xe2\x80\x8b""b", "\xe2\x91\xa0""27.0.0.1", "\xd0\xb0", "a\xff"));
// clang-format on

TEST(Authority, HasTheLengthsOfNames) {
    const std::string label(63, 'a');
    EXPECT_TRUE(split_authority(label));
    EXPECT_FALSE(split_authority(label + "a"));
    const std::string name = label + "." + label + "." + label + "." + std::string(61, 'a');
    EXPECT_TRUE(split_authority(name));
    EXPECT_TRUE(split_authority(name + ".:80"));
    EXPECT_FALSE(split_authority(name + "a"));
}

}  // namespace
}  // namespace chaperone::policy::http

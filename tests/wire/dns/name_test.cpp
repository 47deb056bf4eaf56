// SPDX-License-Identifier: Apache-2.0
#include "tests/wire/dns/bytes.h"

#include <array>

namespace chaperone::wire::dns::testing {
namespace {

TEST(DnsName, ReadsAndWritesText) {
    struct Case {
        std::string_view text;
        std::string_view shown;
    };
    static const std::string label63(63, 'a');
    static const std::string longest =
        label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
    const std::array cases{Case{"db.internal", "db.internal"},
                           Case{"DB.Internal.", "db.internal"},
                           Case{".", "."},
                           Case{"_pg._tcp.x-1", "_pg._tcp.x-1"},
                           Case{R"(a\.b.c)", R"(a\046b.c)"},
                           Case{R"(a\046b.c)", R"(a\046b.c)"},
                           Case{R"(nul\000.c)", R"(nul\000.c)"},
                           Case{"b\xc3\xbc"
                                "cher.x",
                                R"(b\195\188cher.x)"},
                           Case{"*.x", R"(\042.x)"},
                           Case{longest, longest}};
    for (const Case& one : cases) EXPECT_EQ(name(one.text).text(), one.shown);
}

TEST(DnsName, RefusesTextThatIsNoName) {
    const std::string label64(64, 'a');
    const std::string label63(63, 'a');
    const std::string too_long =
        label63 + "." + label63 + "." + label63 + "." + std::string(62, 'b');
    for (const std::string& text :
         {std::string{}, std::string{".a"}, std::string{"a..b"}, std::string{"a.."}, label64,
          label64 + ".x", too_long, std::string{R"(a\25)"}, std::string{R"(a\256)"},
          std::string{R"(a\)"}})
        EXPECT_FALSE(Name::from_text(text)) << text;
}

TEST(DnsName, FollowsPointersBackwardsOnly) {
    const auto message = "\x01x\x00\x01y\xc0\x00\xc0\x03"sv;
    std::size_t at = 3;
    const auto whole = Name::read(as_bytes(message), at);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->text(), "y.x");
    EXPECT_EQ(at, 7U);
    const auto twice = Name::read(as_bytes(message), at);
    ASSERT_TRUE(twice);
    EXPECT_EQ(twice->text(), "y.x");
    EXPECT_EQ(at, 9U);
}

TEST(DnsName, RefusesWhatIsNoNameOnTheWire) {
    struct Case {
        std::string what;
        std::string message;
        std::size_t at;
    };
    std::string chain(2, '\0');  // pointers to pointers, more than a name has labels
    for (int i = 0; i < 200; ++i) {
        const std::size_t to = i == 0 ? 0 : chain.size() - 2;
        chain += static_cast<char>(0xc0 | to >> 8);
        chain += static_cast<char>(to & 0xff);
    }
    std::string over;
    for (int i = 0; i < 5; ++i) over += '\x3f' + std::string(63, 'a');
    over += '\0';
    const std::array cases{Case{"to itself", "\xc0\x00"s, 0},
                           Case{"forward", "\xc0\x02\x00"s, 0},
                           Case{"a loop of two", "\xc0\x02\xc0\x00"s, 2},
                           Case{"a loop through a label", "\x01x\xc0\x00"s, 0},
                           Case{"reserved bits", "\x40x\x00"s, 0},
                           Case{"reserved bits, the others", "\x80x\x00"s, 0},
                           Case{"over 255 bytes", over, 0},
                           Case{"a long chain", chain, chain.size() - 2}};
    for (const Case& one : cases) {
        std::size_t at = one.at;
        EXPECT_FALSE(Name::read(as_bytes(one.message), at)) << one.what;
    }
}

TEST(DnsName, CutAnywhereIsAnError) {
    const auto message =
        "\x03www\x07"
        "example\x03"
        "com\x00"sv;
    for (std::size_t size = 0; size != message.size(); ++size) {
        std::size_t at = 0;
        EXPECT_FALSE(Name::read(as_bytes(message.substr(0, size)), at)) << size;
    }
}

TEST(DnsName, ComparesWithoutCase) {
    EXPECT_EQ(name("DB.Internal"), name("db.internal"));
    EXPECT_FALSE(name("db.internal") == name("db.internal.x"));
    EXPECT_FALSE(name(R"(a\.b)") == name("a.b"));
}

TEST(DnsName, PlainIsWhatHostsAndServicesAreCalled) {
    for (const auto text : {"db.internal", "_pg._tcp.x", "xn--bcher-kva.example", "1.2.3"})
        EXPECT_TRUE(name(text).is_plain()) << text;
    for (const auto text : {R"(a\.b.x)", R"(a\000.x)", "*.x", R"(a\032b)", "b\xc3\xbc"})
        EXPECT_FALSE(name(text).is_plain()) << text;
}

}  // namespace
}  // namespace chaperone::wire::dns::testing

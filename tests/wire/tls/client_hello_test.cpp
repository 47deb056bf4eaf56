// SPDX-License-Identifier: Apache-2.0
// ClientHellos: what is read, what is refused; where they are cut or split changes nothing.
#include "userspace/wire/tls/client_hello.h"

#include <gtest/gtest.h>

namespace chaperone::wire::tls {
namespace {

using namespace std::string_literals;
using testing::TestWithParam;

std::string number(std::size_t value, int octets) {
    std::string out;
    for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8)
        out += static_cast<char>(value >> shift & 0xff);
    return out;
}
std::string sized(std::string_view body, int octets) {
    return number(body.size(), octets).append(body);
}
std::string extension(std::size_t type, std::string_view body) {
    return number(type, 2) + sized(body, 2);
}
std::string sni(std::string_view name) {
    return extension(0, sized("\0"s + sized(name, 2), 2));
}
std::string alpn(std::initializer_list<std::string_view> names) {
    std::string list;
    for (const auto name : names) list += sized(name, 1);
    return extension(16, sized(list, 2));
}
std::string versions(std::string_view list) {
    return extension(43, sized(list, 1));
}
std::string body(std::string_view extensions) {
    return "\x03\x03" + std::string(32, 'r') + sized(std::string(32, 's'), 1) +
           sized("\x13\x01\x13\x02", 2) + sized("\0"s, 1) + sized(extensions, 2);
}
std::string message(std::string_view body) {
    return "\x01" + sized(body, 3);
}
std::string records(std::string_view text, std::size_t each = 16384) {
    std::string out;
    for (; !text.empty(); text.remove_prefix(std::min(each, text.size())))
        out += "\x16\x03\x01" + sized(text.substr(0, each), 2);
    return out;
}
std::string hello(std::string_view extensions) {
    return records(message(body(extensions)));
}

const std::string kModern = extension(0x1a1a, "") + sni("API.example.com") +
                            alpn({"\x2a\x2a", "h2", "http/1.1"}) +
                            versions("\x3a\x3a\x03\x04\x03\x03"s) + extension(0xfe0d, "grease");

ClientHello read(std::string_view input) {
    auto got = decode_client_hello(as_bytes(input));
    EXPECT_TRUE(got.has_value());
    EXPECT_TRUE(got && got->has_value());
    return got && *got ? **got : ClientHello{};
}
Errc error_of(std::string_view input, const Limits& limits = {}) {
    const auto got = decode_client_hello(as_bytes(input), limits);
    EXPECT_FALSE(got.has_value());
    return got ? Errc{} : got.error().code;
}

TEST(ClientHello, SaysWhatTheClientAsksFor) {
    const auto got = read(hello(kModern));
    EXPECT_EQ(got.server_name, "API.example.com");
    EXPECT_EQ(got.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
    EXPECT_EQ(got.versions, (std::vector<std::uint16_t>{0x0304, 0x0303}));
    EXPECT_TRUE(got.ech);
    EXPECT_TRUE(got.offers(0x0304));
}

TEST(ClientHello, OfAnOldClientHasNoExtensions) {
    const auto old =
        "\x03\x01" + std::string(32, 'r') + sized("", 1) + sized("\0\x2f"s, 2) + sized("\0"s, 1);
    const auto got = read(records(message(old)));
    EXPECT_EQ(got.server_name, "");
    EXPECT_EQ(got.versions, (std::vector<std::uint16_t>{0x0301}));
    EXPECT_FALSE(got.ech);
}

TEST(ClientHello, AsksForMoreAtEveryCut) {
    const auto input = hello(kModern);
    for (std::size_t cut = 0; cut != input.size(); ++cut) {
        const auto got = decode_client_hello(as_bytes(input).first(cut));
        ASSERT_TRUE(got.has_value()) << cut;
        EXPECT_FALSE(got->has_value()) << cut;
        EXPECT_TRUE(may_be_tls(as_bytes(input).first(cut)));
    }
}

TEST(ClientHello, IsTheSameOverAnyRecords) {
    const auto whole = message(body(kModern));
    for (const std::size_t each : {1, 2, 3, 5, 100, 1000})
        EXPECT_EQ(read(records(whole, each)).server_name, "API.example.com") << each;
    const auto split = records(whole, 3);
    for (std::size_t cut = 0; cut != split.size(); ++cut) {
        const auto got = decode_client_hello(as_bytes(split).first(cut));
        ASSERT_TRUE(got.has_value() && !got->has_value()) << cut;
    }
}

TEST(ClientHello, WhatFollowsItIsNotItsOwn) {
    EXPECT_EQ(read(hello(kModern) + "early data").server_name, "API.example.com");
    EXPECT_EQ(read(records(message(body(kModern)) + "more")).server_name, "API.example.com");
}

TEST(ClientHello, OverItsLimitsIsTooLarge) {
    EXPECT_EQ(read(hello(extension(21, std::string(20'000, '\0')) + sni("a.b"))).server_name,
              "a.b");
    EXPECT_EQ(error_of(records("\x01\x02\x00\x00"s)), Errc::TooLarge);
    EXPECT_EQ(error_of(records(message(body(kModern)), 1), {.records = 16}), Errc::TooLarge);
    std::string many;
    for (std::size_t i = 0; i != 300; ++i) many += extension(1000 + i, "");
    EXPECT_EQ(error_of(hello(many)), Errc::TooLarge);
}

struct Bad {
    const char* what;
    std::string input;
};
class Refused : public TestWithParam<Bad> {};

TEST_P(Refused, AsMalformed) {
    EXPECT_EQ(error_of(GetParam().input), Errc::Malformed) << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(
    ClientHello, Refused,
    testing::Values(
        Bad{"another record", "\x17\x03\x03\0\x01x"s}, Bad{"another version", "\x16\x02\0\0\1x"s},
        Bad{"an empty record", "\x16\x03\x01\0\0"s},
        Bad{"a record too long", "\x16\x03\x01\x40\1"s},
        Bad{"another message", records("\x02\0\0\1x"s)},
        Bad{"another record between",
            records(message(body(kModern)).substr(0, 40)) + "\x15\x03\x01\0\2\2\x28"s},
        Bad{"a message too short", records("\x01\0\0\2\3\3"s)},
        Bad{"no cipher suites", records(message("\3\3" + std::string(32, 'r') + "\0\0\0\1\0"s))},
        Bad{"extensions that end early", hello("\0\0\0\x9"s)},
        Bad{"an extension twice", hello(sni("a.b") + sni("c.d"))},
        Bad{"two names",
            hello(extension(0, sized("\0"s + sized("a", 2) + "\0"s + sized("b", 2), 2)))},
        Bad{"no name", hello(extension(0, sized("", 2)))}, Bad{"an empty name", hello(sni(""))},
        Bad{"a name with NUL", hello(sni("a\0.b"s))}, Bad{"a name with a line", hello(sni("a\nb"))},
        Bad{"a name that is too long", hello(sni(std::string(256, 'a')))},
        Bad{"a name cut short", hello(extension(0, "\0\5\0\0\7ab"s))},
        Bad{"bytes after the names", hello(extension(0, sized("\0"s + sized("a", 2), 2) + "x"))},
        Bad{"no protocol", hello(alpn({}))}, Bad{"an empty protocol", hello(alpn({"h2", ""}))},
        Bad{"no version", hello(versions(""))}, Bad{"half a version", hello(versions("\3\4\3"))},
        Bad{"bytes after the extensions", records(message(body(kModern) + "x"))}));

TEST(MayBeTls, FromTheFirstBytes) {
    EXPECT_TRUE(may_be_tls({}));
    EXPECT_TRUE(may_be_tls(as_bytes("\x16")));
    EXPECT_FALSE(may_be_tls(as_bytes("\x16\x02")));
    EXPECT_FALSE(may_be_tls(as_bytes("G")));
    EXPECT_FALSE(may_be_tls(as_bytes("\x80\x2e\x01")));  // SSLv2
}

}  // namespace
}  // namespace chaperone::wire::tls

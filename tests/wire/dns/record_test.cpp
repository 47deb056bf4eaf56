// SPDX-License-Identifier: Apache-2.0
#include "tests/wire/dns/bytes.h"

#include <array>

namespace chaperone::wire::dns::testing {
namespace {

// Priority 1, target ".", then parameters.
std::string binding(std::string_view parameters) {
    return std::string{"\0\1\0"sv} + std::string{parameters};
}

TEST(ServiceBinding, LosesItsEch) {
    struct Case {
        std::string_view what;
        std::string_view before;
        std::string_view after;
    };
    constexpr auto kAlpn = "\0\1\0\3\2h2"sv;
    const std::array cases{
        Case{"none", "\0\1\0\3\2h2"sv, kAlpn}, Case{"ech alone", "\0\5\0\2ab"sv, ""sv},
        Case{"between others", "\0\1\0\3\2h2\0\5\0\2ab\0\x07\0\1x"sv, "\0\1\0\3\2h2\0\x07\0\1x"sv},
        Case{"mandatory, too", "\0\0\0\4\0\1\0\5\0\1\0\3\2h2\0\5\0\2ab"sv,
             "\0\0\0\2\0\1\0\1\0\3\2h2"sv},
        Case{"mandatory alone", "\0\0\0\2\0\5\0\5\0\0"sv, ""sv}};
    for (const auto type : {kSvcb, kHttps})
        for (const Case& one : cases) {
            Record made = record("x", type, binding(one.before));
            EXPECT_TRUE(strip_ech(made)) << one.what;
            EXPECT_EQ(as_text(made.data), binding(one.after)) << one.what;
        }
}

TEST(ServiceBinding, WhatBreaksTheFormatIsRemoved) {
    const std::array broken{std::string{"\0"sv},            // no priority
                            std::string{"\0\1"sv},          // no target
                            std::string{"\0\1\xc0\0"sv},    // a compressed target
                            binding("\0\5\0\3ab"sv),        // a value that ends early
                            binding("\0"sv),                // a key that does
                            binding("\0\7\0\0\0\5\0\0"sv),  // not in order
                            binding("\0\5\0\0\0\5\0\0"sv),  // twice
                            binding("\0\0\0\3\0\1\0\0\1\0\0\0\5\0\0"sv)};  // half a key in the list
    for (const std::string& data : broken) {
        Record made = record("x", kHttps, data);
        EXPECT_FALSE(strip_ech(made)) << data.size();
    }
    Message message;
    for (auto* section : {&message.answers, &message.authorities, &message.additionals}) {
        section->push_back(record("x", kHttps, broken[0]));
        section->push_back(record("x", kA, "\1\2\3\4"));
    }
    strip_ech(message);
    EXPECT_EQ(message.answers.size() + message.authorities.size() + message.additionals.size(), 3U);
}

TEST(Addresses, AreThoseOfARecord) {
    EXPECT_EQ(addresses_of(record("x", kA, "\xc0\0\2\7"sv)),
              (std::vector<Ip>{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7}}));
    const auto v6 = "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"sv;
    EXPECT_EQ(addresses_of(record("x", kAaaa, v6)).size(), 1U);
    EXPECT_EQ(addresses_of(record("x", kTxt, "\3abc")).size(), 0U);
    Record chaos = record("x", kA, "\1\2\3\4");
    chaos.class_ = 3;
    EXPECT_TRUE(addresses_of(chaos).empty());
    const std::string hints = binding("\0\4\0\x08\1\2\3\4\5\6\7\x08\0\6\0\x10"sv) + std::string{v6};
    EXPECT_EQ(addresses_of(record("x", kHttps, hints)).size(), 3U);
    EXPECT_TRUE(addresses_of(record("x", kHttps, binding("\0\4\0\3\1\2\3"sv))).empty());
}

}  // namespace
}  // namespace chaperone::wire::dns::testing

// SPDX-License-Identifier: Apache-2.0
// Frame heads, closes and extensions: what is taken, what is refused, and every cut.
#include "userspace/wire/websocket/frame.h"

#include "userspace/wire/websocket/close.h"
#include "userspace/wire/websocket/extensions.h"
#include "userspace/wire/websocket/utf8_stream.h"

#include <gtest/gtest.h>

namespace chaperone::wire::websocket {
namespace {

using namespace std::string_literals;

constexpr MaskKey kKey{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

struct Taken {
    std::string bytes;
    FrameRules rules;
    FrameHead head;
};

TEST(FrameHead, IsTakenAndWrittenTheSame) {
    const Taken table[] = {
        {"\x81\x05"s, {}, {.opcode = Opcode::Text, .length = 5}},  // RFC 6455, 5.7
        {"\x81\x85\x37\xfa\x21\x3d"s, {.masked = true}, {.mask = kKey, .length = 5}},
        {"\x01\x03"s, {}, {.fin = false, .length = 3}},
        {"\x80\x02"s, {}, {.opcode = Opcode::Continuation, .length = 2}},
        {"\x89\x05"s, {}, {.opcode = Opcode::Ping, .length = 5}},
        {"\x8a\x7d"s, {}, {.opcode = Opcode::Pong, .length = 125}},
        {"\x88\0"s, {}, {.opcode = Opcode::Close, .length = 0}},
        {"\x82\x7e\x01\0"s, {}, {.opcode = Opcode::Binary, .length = 256}},
        {"\x82\x7e\0\x7e"s, {}, {.opcode = Opcode::Binary, .length = 126}},
        {"\x82\x7f\0\0\0\0\0\1\0\0"s, {}, {.opcode = Opcode::Binary, .length = 65'536}},
        {"\xc1\x07"s, {.compression = true}, {.rsv1 = true, .length = 7}},
    };
    for (const Taken& row : table) {
        for (std::size_t cut = 0; cut != row.bytes.size(); ++cut) {
            const auto part = decode_head(as_bytes(row.bytes).first(cut), row.rules);
            ASSERT_TRUE(part.has_value()) << cut;
            EXPECT_FALSE(part->has_value()) << cut;
        }
        const auto whole = decode_head(as_bytes(row.bytes + "rest"), row.rules);
        ASSERT_TRUE(whole.has_value() && whole->has_value());
        EXPECT_EQ((*whole)->head, row.head);
        EXPECT_EQ((*whole)->size, row.bytes.size());
        Buffer out;
        encode_head(out, row.head);
        EXPECT_EQ(as_text(out), row.bytes);
    }
}

TEST(FrameHead, IsRefused) {
    const struct {
        std::string bytes;
        FrameRules rules;
    } table[] = {
        {"\x91\0"s, {}},  // RSV3
        {"\xa1\0"s, {}},  // RSV2
        {"\xa1\0"s, {.compression = true}},
        {"\xc1\0"s, {}},                     // RSV1, nothing agreed on
        {"\xc0\0"s, {.compression = true}},  // RSV1 at a continuation
        {"\xc9\0"s, {.compression = true}},  // RSV1 at a ping
        {"\x83\0"s, {}},                     // opcodes 3 and 7, 11 and 15
        {"\x87\0"s, {}},
        {"\x8b\0"s, {}},
        {"\x8f\0"s, {}},
        {"\x09\0"s, {}},                        // a ping in fragments
        {"\x89\x7e\0\x7e"s, {}},                // a ping of 126 bytes
        {"\x82\x7e\0\x7d"s, {}},                // 125 in two bytes
        {"\x82\x7f\0\0\0\0\0\0\xff\xff"s, {}},  // 65535 in eight
        {"\x82\x7f\x80\0\0\0\0\0\0\0"s, {}},    // the highest bit
        {"\x81\x85\1\2\3\4"s, {}},              // a masked frame of a server
        {"\x81\x05"s, {.masked = true}},        // an unmasked one of a client
    };
    for (const auto& row : table)
        EXPECT_FALSE(decode_head(as_bytes(row.bytes), row.rules))
            << testing::PrintToString(row.bytes);
}

TEST(Mask, IsThatOfTheSpecificationAndCutIndependent) {
    Buffer out;
    encode_frame(out, {.mask = kKey}, as_bytes("Hello"));
    EXPECT_EQ(as_text(out), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    Buffer whole = copy(as_bytes("some longer payload")), pieces = whole;
    mask(whole, kKey);
    for (std::size_t i = 0; i != pieces.size(); ++i) mask(std::span{pieces}.subspan(i, 1), kKey, i);
    EXPECT_EQ(whole, pieces);
}

TEST(Close, TableOfCodes) {
    for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                           3000, 3999, 4000, 4999}) {
        Buffer out;
        encode_close(out, static_cast<std::uint16_t>(code), "why");
        const auto close = decode_close(out);
        ASSERT_TRUE(close) << code;
        EXPECT_EQ(close->code, code);
        EXPECT_EQ(close->reason, "why");
    }
    for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
        const Buffer bytes{static_cast<std::byte>(code >> 8), static_cast<std::byte>(code & 0xff)};
        EXPECT_FALSE(decode_close(bytes)) << code;
    }
    EXPECT_EQ(decode_close({})->code, kNoCode);
    EXPECT_FALSE(decode_close(as_bytes("\x03"s)));
    EXPECT_FALSE(decode_close(as_bytes("\x03\xe8\xff"s)));  // a reason that is not UTF-8
}

TEST(Close, LongReasonsAreCutBetweenCharacters) {
    std::string reason(122, 'x');
    reason += "\xc3\xa4 and more";
    Buffer out;
    encode_close(out, kPolicyViolation, reason);
    const auto close = decode_close(out);
    ASSERT_TRUE(close);
    EXPECT_EQ(close->reason, std::string(122, 'x'));
}

TEST(Utf8Stream, TableAtEveryCut) {
    const std::pair<std::string, bool> table[] = {
        {"", true},
        {"plain text of ASCII, longer than eight", true},
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80", true},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\x80", false},
        {"\xe2\x82", false},
        {"abcdefgh\xff", false},
    };
    for (const auto& [text, good] : table)
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            Utf8Stream stream;
            const bool taken = stream.feed(as_bytes(text).first(cut)) &&
                               stream.feed(as_bytes(text).subspan(cut)) && stream.at_border();
            EXPECT_EQ(taken, good) << testing::PrintToString(text) << " at " << cut;
        }
}

TEST(Extensions, OffersThatWeCanReadPass) {
    const std::pair<std::string_view, std::string_view> table[] = {
        {"permessage-deflate", "permessage-deflate"},
        {"permessage-deflate; client_max_window_bits",
         "permessage-deflate; client_max_window_bits"},
        {"x-other, permessage-deflate;server_max_window_bits=10",
         "permessage-deflate;server_max_window_bits=10"},
        {"permessage-deflate; server_max_window_bits=\"10\" , permessage-deflate",
         "permessage-deflate; server_max_window_bits=\"10\", permessage-deflate"},
        {"permessage-deflate; unknown", ""},
        {"permessage-deflate; server_max_window_bits", ""},
        {"permessage-deflate; server_max_window_bits=7", ""},
        {"permessage-deflate; server_max_window_bits=016", ""},
        {"permessage-deflate; server_no_context_takeover=1", ""},
        {"permessage-bzip2", ""},
        {"", ""},
    };
    for (const auto& [offer, kept] : table) {
        const auto got = filter_offers(offer);
        ASSERT_TRUE(got) << offer;
        EXPECT_EQ(*got, kept);
    }
    EXPECT_FALSE(filter_offers("perm essage"));
    EXPECT_FALSE(filter_offers("permessage-deflate; a=\"b"));
    std::string many;
    for (int i = 0; i != 40; ++i) many += "x,";
    EXPECT_FALSE(filter_offers(many));
}

TEST(Extensions, WhatWasAgreedOn) {
    EXPECT_EQ(*decode_agreed(""), std::nullopt);
    EXPECT_EQ(**decode_agreed("permessage-deflate"), DeflateParameters{});
    const DeflateParameters all{true, true, 9, 12};
    EXPECT_EQ(
        **decode_agreed("permessage-deflate; server_no_context_takeover; client_max_window_bits"
                        "=12; client_no_context_takeover; server_max_window_bits=9"),
        all);
    for (const std::string_view bad : {"x-other", "permessage-deflate, permessage-deflate",
                                       "permessage-deflate; "
                                       "client_max_window_bits",
                                       "permessage-deflate; client_no_context_takeover; "
                                       "client_no_context_takeover"})
        EXPECT_FALSE(decode_agreed(bad)) << bad;
}

}  // namespace
}  // namespace chaperone::wire::websocket

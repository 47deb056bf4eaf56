// SPDX-License-Identifier: Apache-2.0
// Bodies are masked by what they are, at every cut, through every coding.
#include "userspace/session/masking/body_masker.h"

#include "tests/support/masks.h"
#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

#include <string>

namespace chaperone::session {
namespace {

using namespace std::string_literals;
using chaperone::testing::Masks;
using detect::With;

Result<std::string> masked(Masks masks, std::string_view type, std::string_view body,
                           std::size_t piece, std::string_view coding = {}) {
    const TextMasks& made = masks.get();
    auto masker = BodyMasker::make(type, coding, made);
    if (!masker) return fail(masker.error());
    Buffer out;
    for (std::size_t at = 0; at < body.size(); at += piece)
        if (auto done = (*masker)->feed(as_bytes(body.substr(at, piece)), out); !done)
            return fail(done.error());
    if (auto done = (*masker)->finish(out); !done) return fail(done.error());
    return std::string{as_text(out)};
}

struct Case {
    const char* name;
    Masks masks;
    const char* type;
    std::string body;
    std::string expected;
};

class Bodies : public ::testing::TestWithParam<Case> {};

TEST_P(Bodies, AreMaskedAtEveryCut) {
    const Case& c = GetParam();
    for (const std::size_t piece : {c.body.size(), std::size_t{1}, std::size_t{2}, std::size_t{7}})
        EXPECT_EQ(masked(c.masks, c.type, c.body, piece), c.expected) << piece;
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, Bodies, ::testing::Values(
    Case{"Member", Masks{}.path("$.email"), "application/json",
        R"({"id": 7, "email": "a@b.example", "sub": {"email": "c"}})",
        R"({"id": 7, "email": "[REDACTED]", "sub": {"email": "c"}})"},
    Case{"Descendants", Masks{}.path("$..email"), "application/json; charset=utf-8",
        R"([{"email": "a"}, {"x": [{"email": "b"}]}])",
        R"([{"email": "[REDACTED]"}, {"x": [{"email": "[REDACTED]"}]}])"},
    Case{"EscapedName", Masks{}.path("$.email"), "application/json",
        R"({"\u0065mail": "a"})", R"({"\u0065mail": "[REDACTED]"})"},
    Case{"NamesLikeIt", Masks{}.path("$[*].email").path("$[*].x.tel"), "application/json",
        R"([{"eMail": "a", "mails": 1, "email": "b", "x": {"tel": 1, "lat": 2}}, {"tel": "c"}])",
        R"([{"eMail": "a", "mails": 1, "email": "[REDACTED]", "x": {"tel": 0, "lat": 2}}, {"tel": "c"}])"},
    Case{"TwiceTheSameName", Masks{}.path("$.a"), "application/json",
        R"({"a": "x", "a": "y"})", R"({"a": "[REDACTED]", "a": "[REDACTED]"})"},
    Case{"EveryType", Masks{}.path("$.s[*]"), "application/json",
        R"({"s": [1, -2.5e3, true, null, "x", {"y": [3, "z"]}], "t": 1})",
        R"({"s": [0, 0, false, null, "[REDACTED]", {"y": [0, "[REDACTED]"]}], "t": 1})"},
    Case{"Index", Masks{}.path("$[1]"), "application/json", R"(["a", "b", "c"])",
        R"(["a", "[REDACTED]", "c"])"},
    Case{"Null", Masks{}.path("$.a", With::Null), "application/json",
        R"({"a": "x", "b": 1})", R"({"a": null, "b": 1})"},
    Case{"Stronger", Masks{}.path("$.a").path("$..a", With::Null), "application/json",
        R"({"a": 1})", R"({"a": null})"},
    Case{"Found", Masks{}.detect({"EMAIL_ADDRESS"}), "application/problem+json",
        R"({"m": "write to ann@shop.example now", "n": "plain \u00e9"})",
        R"({"m": "write to <EMAIL_ADDRESS> now", "n": "plain \u00e9"})"},
    Case{"FoundBehindEscapes", Masks{}.detect({"EMAIL_ADDRESS"}), "application/json",
        R"({"m": "ann\u0040shop.example"})", R"({"m": "<EMAIL_ADDRESS>"})"},
    Case{"FoundInNames", Masks{}.detect({"EMAIL_ADDRESS"}), "application/json",
        R"({"ann@shop.example": 1})", R"({"<EMAIL_ADDRESS>": 1})"},
    Case{"FoundInNumbers", Masks{}.detect({"CREDIT_CARD"}), "application/json",
        R"({"card": 4111111111111111, "n": 12})", R"({"card": 0, "n": 12})"},
    Case{"Lines", Masks{}.path("$.a"), "application/x-ndjson",
        "{\"a\":1}\n{\"a\":\"x\"}\n", "{\"a\":0}\n{\"a\":\"[REDACTED]\"}\n"},
    Case{"Guarded", Masks{}.path("$.a"), "application/json", ")]}',\n{\"a\":1}", ")]}',\n{\"a\":0}"},
    Case{"Surrogates", Masks{}.detect({"EMAIL_ADDRESS"}), "application/json",
        R"({"m": "\ud83d\ude00 ann@shop.example \ud800"})",
        "{\"m\": \"\xf0\x9f\x98\x80 <EMAIL_ADDRESS> \\ud800\"}"},
    Case{"Form", Masks{}.path("$.email").detect({"US_SSN"}), "application/x-www-form-urlencoded",
        "email=a%40b.example&n=1+2&ssn=536-90-4399&&x",
        "email=%5BREDACTED%5D&n=1+2&ssn=%3CUS_SSN%3E&&x"},
    Case{"Text", Masks{}.detect({"EMAIL_ADDRESS"}), "text/plain",
        "to ann@shop.example\n", "to <EMAIL_ADDRESS>\n"},
    Case{"Events", Masks{}.path("$.a").detect({"EMAIL_ADDRESS"}), "text/event-stream",
        "event: m\r\ndata: {\"a\":1,\ndata: \"b\":\"ann@shop.example\"}\n\n: hi\n\ndata: [DONE]\n\n",
        "event: m\ndata: {\"a\":0,\ndata: \"b\":\"<EMAIL_ADDRESS>\"}\n\n: hi\n\ndata: [DONE]\n\n"},
    Case{"EventsThatAreNoJson", Masks{}.path("$.a"), "text/event-stream",
        "data: a=1\n\n", "data: [REDACTED]\n\n"},
    Case{"Bytes", Masks{}.detect({"EMAIL_ADDRESS"}), "application/octet-stream",
        "\1\xff ann@shop.example \xfe"s, "\1\xff <EMAIL_ADDRESS> \xfe"s},
    Case{"BytesWithZeros", Masks{}.detect({"EMAIL_ADDRESS"}), "application/octet-stream",
        "\0\0\0 ann@shop.example \0"s, "\0\0\0 <EMAIL_ADDRESS> \0"s},
    Case{"NoType", Masks{}.detect({"EMAIL_ADDRESS"}), "", "a\0b ann@shop.example"s,
        "a\0b <EMAIL_ADDRESS>"s},
    Case{"Media", Masks{}.detect({"EMAIL_ADDRESS"}), "image/png",
        "\x89PNG\r\n\x1a\n\0\0 ann@shop.example"s, "\x89PNG\r\n\x1a\n\0\0 ann@shop.example"s},
    Case{"Film", Masks{}.detect({"EMAIL_ADDRESS"}), "video/mp4",
        "\0\0\0\x20""ftypisom ann@shop.example"s, "\0\0\0\x20""ftypisom ann@shop.example"s},
    Case{"MediaThatIsNone", Masks{}.detect({"EMAIL_ADDRESS"}), "image/png",
        "to ann@shop.example\n", "to <EMAIL_ADDRESS>\n"},
    Case{"MediaThatIsShort", Masks{}.detect({"EMAIL_ADDRESS"}), "image/png", "a@b.example",
        "<EMAIL_ADDRESS>"},
    Case{"MediaThatIsEmpty", Masks{}.detect({"EMAIL_ADDRESS"}), "image/png", "", ""}),
    [](const auto& info) { return info.param.name; });
// clang-format on

struct Bad {
    const char* name;
    const char* type;
    const char* coding;
    std::string body;
};

TEST(WideText, DoesNotPass) {
    const struct {
        const char* type;
        std::string body;
    } cases[]{{"text/plain",
               "\xff\xfe"
               "a\0"s},
              {"text/plain", "\xfe\xff\0a"s},
              {"text/plain", "a\0n\0n\0"s},
              {"text/csv", "long enough to be text\0"s},
              {"application/octet-stream", "a\0n\0n\0@\0"s},
              {"application/octet-stream", "\0a\0n\0n\0@"s},
              {"application/octet-stream",
               "\xff\xfe"
               "a\0"s},
              {"image/png", "a\0n\0n\0@\0x\0x\0x\0"s}};
    for (const auto& c : cases)
        for (const std::size_t piece : {c.body.size(), std::size_t{1}})
            EXPECT_FALSE(masked(Masks{}.detect({"EMAIL_ADDRESS"}), c.type, c.body, piece))
                << c.body;
}

class CannotBeMasked : public ::testing::TestWithParam<Bad> {};

TEST_P(CannotBeMasked, DoesNotPass) {
    const Bad& c = GetParam();
    for (const std::size_t piece : {c.body.size() + 1, std::size_t{1}})
        EXPECT_FALSE(masked(Masks{}.path("$.a"), c.type, c.body, piece, c.coding)) << piece;
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, CannotBeMasked, ::testing::Values(
    Bad{"Html", "text/html", "", "<p>"},
    Bad{"Grpc", "application/grpc", "", "x"},
    Bad{"Ranges", "multipart/byteranges", "", "x"},
    Bad{"Picture", "image/png", "", "x"},
    Bad{"Utf16", "application/json; charset=\"utf-16\"", "", "{}"},
    Bad{"Coding", "application/json", "compress", "{}"},
    Bad{"NotCompressed", "application/json", "gzip", "{\"a\": \"in clear\"}"},
    Bad{"CutShort", "application/json", "", "{\"a\": "},
    Bad{"Comma", "application/json", "", "{\"a\": 1,}"},
    Bad{"Comment", "application/json", "", "{/**/\"a\": 1}"},
    Bad{"Quotes", "application/json", "", "{'a': 1}"},
    Bad{"LeadingZero", "application/json", "", "{\"b\": 01}"},
    Bad{"Word", "application/json", "", "{\"b\": True}"},
    Bad{"Bracket", "application/json", "", "{\"b\": [1}"},
    Bad{"Escape", "application/json", "", "{\"b\": \"\\x41\"}"},
    Bad{"Control", "application/json", "", "{\"b\": \"\n\"}"},
    Bad{"Depth", "application/json", "", std::string(600, '[')},
    Bad{"Text", "application/json", "", "a=1"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(LongStrings, AreMaskedInBoundedMemory) {
    std::string body = "{\"a\": \"" + std::string(300'000, 'x') + "\", \"b\": \"";
    body += std::string(300'000, 'y') + " ann@shop.example " + std::string(100, 'z') + "\"}";
    const auto got =
        masked(Masks{}.path("$.a").detect({"EMAIL_ADDRESS"}), "application/json", body, 1000);
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->starts_with("{\"a\": \"[REDACTED]\", \"b\": \"yyy"));
    EXPECT_TRUE(got->ends_with("y <EMAIL_ADDRESS> " + std::string(100, 'z') + "\"}"));
}

TEST(Coded, IsMaskedBehindItsCodings) {
    for (const auto coding : {wire::Coding::Gzip, wire::Coding::Brotli, wire::Coding::Zstd}) {
        std::string packed, plain;
        const auto encoder = wire::make_encoder(coding);
        const wire::Sink sink = [&](Bytes piece) { packed += as_text(piece); };
        encoder->push(as_bytes(R"({"a": "secret", "b": 2})"), sink);
        encoder->finish(sink);
        const auto got =
            masked(Masks{}.path("$.a"), "application/json", packed, 3, wire::name_of(coding));
        ASSERT_TRUE(got) << wire::name_of(coding);
        const auto decoder = wire::make_decoder(coding);
        ASSERT_TRUE(decoder->push(as_bytes(*got), [&](Bytes piece) { plain += as_text(piece); }));
        EXPECT_EQ(plain, R"({"a": "[REDACTED]", "b": 2})");
    }
}

}  // namespace
}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// Content codings: what goes in comes out at every cut, what is broken is refused.
#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

#include <string>

namespace chaperone::wire {
namespace {

using namespace std::string_literals;

std::string encoded(Coding coding, std::string_view text) {
    std::string out;
    const Sink sink = [&](Bytes piece) { out += as_text(piece); };
    const auto encoder = make_encoder(coding);
    encoder->push(as_bytes(text.substr(0, text.size() / 2)), sink);
    encoder->push(as_bytes(text.substr(text.size() / 2)), sink);
    encoder->finish(sink);
    return out;
}

Result<std::string> decoded(Coding coding, std::string_view input, std::size_t piece) {
    std::string out;
    const Sink sink = [&](Bytes bytes) {
        EXPECT_LE(bytes.size(), kPiece);
        out += as_text(bytes);
    };
    const auto decoder = make_decoder(coding);
    for (std::size_t at = 0; at < input.size(); at += piece)
        if (auto done = decoder->push(as_bytes(input.substr(at, piece)), sink); !done)
            return fail(done.error());
    if (auto done = decoder->finish(); !done) return fail(done.error());
    return out;
}

std::string long_text() {
    std::string text;
    for (int i = 0; i != 20'000; ++i) text += std::to_string(i * 7919) + ", ";
    return text;
}

class EveryCoding : public testing::TestWithParam<Coding> {};

TEST_P(EveryCoding, ComesBackAtEveryCut) {
    const std::string text = long_text(), packed = encoded(GetParam(), text);
    EXPECT_LT(packed.size(), text.size());
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{7}, std::size_t{4096}, packed.size()})
        EXPECT_EQ(decoded(GetParam(), packed, piece), text) << piece;
}

TEST_P(EveryCoding, OfNothingIsNothing) {
    EXPECT_EQ(decoded(GetParam(), encoded(GetParam(), ""), 1), "");
    EXPECT_EQ(decoded(GetParam(), "", 1), "");
}

TEST_P(EveryCoding, CutShortIsTruncated) {
    const std::string packed = encoded(GetParam(), long_text());
    for (const std::size_t size : {std::size_t{1}, packed.size() / 2, packed.size() - 1})
        EXPECT_FALSE(decoded(GetParam(), packed.substr(0, size), 512)) << size;
}

TEST_P(EveryCoding, BytesAfterTheEndAreRefused) {
    const std::string packed = encoded(GetParam(), "hello") + "GET / HTTP/1.1";
    EXPECT_FALSE(decoded(GetParam(), packed, packed.size()));
    EXPECT_FALSE(decoded(GetParam(), packed, 1));
}

TEST_P(EveryCoding, NoneIsRefused) {
    EXPECT_FALSE(decoded(GetParam(), "{\"plain\": \"text, not compressed\"}", 64));
}

TEST_P(EveryCoding, GivesOutWhatWentIn) {
    std::string seen;
    const auto encoder = make_encoder(GetParam());
    const auto decoder = make_decoder(GetParam());
    const Sink read = [&](Bytes piece) { seen += as_text(piece); };
    const Sink wire = [&](Bytes piece) { ASSERT_TRUE(decoder->push(piece, read)); };
    encoder->push(as_bytes("data: one\n\n"), wire);
    EXPECT_EQ(seen, "data: one\n\n");
    encoder->push(as_bytes("data: two\n\n"), wire);
    EXPECT_EQ(seen, "data: one\n\ndata: two\n\n");
}

INSTANTIATE_TEST_SUITE_P(All, EveryCoding,
                         testing::Values(Coding::Gzip, Coding::Deflate, Coding::Brotli,
                                         Coding::Zstd),
                         [](const auto& info) { return std::string{name_of(info.param)}; });

TEST(Gzip, OfSeveralMembersIsRead) {
    const std::string two = encoded(Coding::Gzip, "one ") + encoded(Coding::Gzip, "two");
    EXPECT_EQ(decoded(Coding::Gzip, two, 1), "one two");
}

TEST(Deflate, WithoutItsHeaderIsRead) {
    const std::string packed = encoded(Coding::Deflate, long_text());
    const std::string bare = packed.substr(2, packed.size() - 6);  // less header and checksum
    EXPECT_EQ(decoded(Coding::Deflate, bare, 3), long_text());
}

TEST(Zstd, ThatExpandsOutOfProportionIsRefused) {
    const std::string bomb = encoded(Coding::Zstd, std::string(std::size_t{80} << 20, '\0'));
    const auto got = decoded(Coding::Zstd, bomb, bomb.size());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::TooLarge);
}

TEST(Codings, AreReadFromTheField) {
    EXPECT_EQ(parse_codings("gzip"), (std::vector{Coding::Gzip}));
    EXPECT_EQ(parse_codings(" X-GZIP ,\tidentity, Br"),
              (std::vector{Coding::Gzip, Coding::Brotli}));
    EXPECT_TRUE(parse_codings("identity")->empty());
    EXPECT_EQ(parse_codings("compress").error().code, Errc::Unsupported);
    EXPECT_EQ(parse_codings("gzip, gzip, gzip").error().code, Errc::TooLarge);
}

}  // namespace
}  // namespace chaperone::wire

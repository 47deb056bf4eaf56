// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/blotter.h"

#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace chaperone::session {
namespace {

const std::vector<std::string> kSecrets{"abcabd-secret", "another-one"};

std::string through(std::string_view text, std::size_t piece) {
    const auto filter = make_blotter(kSecrets);
    Buffer out;
    for (std::size_t at = 0; at < text.size(); at += piece)
        EXPECT_TRUE(filter->push(as_bytes(text.substr(at, piece)), false, out));
    EXPECT_TRUE(filter->push({}, true, out));
    return std::string{as_text(out)};
}

TEST(Blotter, TakesSecretsOutWhereverTheyAreCut) {
    const std::string text = "x abcabcabd-secret, another-one; abcabd-secre another-onanother-one";
    const std::string wanted = "x abc" + std::string(13, '*') + ", " + std::string(11, '*') +
                               "; abcabd-secre another-on" + std::string(11, '*');
    for (std::size_t piece = 1; piece <= text.size(); ++piece)
        EXPECT_EQ(through(text, piece), wanted) << piece;
}

TEST(Blotter, TakesSecretsWithinOthersOutWhole) {
    const std::vector<std::string> secrets{"bcabd", "abcabd-secret", "aaab"};
    const std::string text = "x abcabd-secret aaaabcabd abcabd-secre";
    const std::string wanted = "x ************* a******** a*****-secre";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        const auto filter = make_blotter(secrets);
        Buffer out;
        for (std::size_t at = 0; at < text.size(); at += piece)
            EXPECT_TRUE(
                filter->push(as_bytes(std::string_view{text}.substr(at, piece)), false, out));
        EXPECT_TRUE(filter->push({}, true, out));
        EXPECT_EQ(as_text(out), wanted) << piece;
    }
}

TEST(Blotter, HoldsBackNoMoreThanMayBeOne) {
    const auto filter = make_blotter(kSecrets);
    Buffer out;
    ASSERT_TRUE(filter->push(as_bytes("data: 1\n\n"), false, out));
    EXPECT_EQ(as_text(out), "data: 1\n\n");
    ASSERT_TRUE(filter->push(as_bytes("data: abca"), false, out));
    EXPECT_EQ(as_text(out), "data: 1\n\ndata: ");
    ASSERT_TRUE(filter->push(as_bytes("x"), false, out));
    EXPECT_EQ(as_text(out), "data: 1\n\ndata: abcax");
}

TEST(Blotter, ReadsCodings) {
    for (const auto coding : {wire::Coding::Gzip, wire::Coding::Brotli, wire::Coding::Zstd}) {
        Buffer sent, out, read;
        const auto into = [](Buffer& to) { return [&to](Bytes piece) { append(to, piece); }; };
        const auto encoder = wire::make_encoder(coding);
        encoder->push(as_bytes("x abcabd-secret y"), into(sent));
        encoder->finish(into(sent));
        const auto filter = make_blotter(kSecrets, wire::name_of(coding));
        ASSERT_TRUE(filter);
        EXPECT_FALSE((*filter)->keeps_length());
        for (std::size_t at = 0; at != sent.size(); ++at)
            ASSERT_TRUE((*filter)->push(Bytes{sent}.subspan(at, 1), false, out));
        ASSERT_TRUE((*filter)->push({}, true, out));
        ASSERT_TRUE(wire::make_decoder(coding)->push(out, into(read)));
        EXPECT_EQ(as_text(read), "x " + std::string(13, '*') + " y");
    }
    EXPECT_FALSE(make_blotter(kSecrets, "compress"));
}

TEST(Blotter, KnowsHowProgramsWriteASecret) {
    const auto all = spellings("a/b+c=<\"d");
    for (const char* one :
         {"a/b+c=<\"d", "a%2Fb%2Bc%3D%3C%22d", "a%2fb%2bc%3d%3c%22d", "a/b%2Bc%3D%3C%22d",
          "a/b+c=<\\\"d", "a\\/b+c=<\\\"d", "a/b+c=&lt;&quot;d"})
        EXPECT_NE(std::ranges::find(all, one), all.end()) << one;
    EXPECT_EQ(spellings("plain-token"), std::vector<std::string>{"plain-token"});
}

TEST(Blotter, OfNothingIsNone) {
    EXPECT_EQ(make_blotter({}), nullptr);
    EXPECT_EQ(make_blotter({""}), nullptr);
}

}  // namespace
}  // namespace chaperone::session

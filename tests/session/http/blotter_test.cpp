// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/blotter.h"

#include <gtest/gtest.h>

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

TEST(Blotter, OfNothingIsNone) {
    EXPECT_EQ(make_blotter({}), nullptr);
    EXPECT_EQ(make_blotter({""}), nullptr);
}

}  // namespace
}  // namespace chaperone::session

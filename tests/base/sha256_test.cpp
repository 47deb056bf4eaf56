// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/sha256.h"

#include "userspace/base/encoding.h"

#include <gtest/gtest.h>

#include <string>

namespace chaperone {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, IsTheStandards) {
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(to_hex(sha256({})),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, OfPiecesIsThatOfTheWhole) {
    const std::string text(1000, 'x');
    for (const std::size_t at : {0, 1, 63, 64, 65, 1000}) {
        const Bytes first = as_bytes(text).first(at), rest = as_bytes(text).subspan(at);
        EXPECT_EQ(sha256(first, rest), sha256(as_bytes(text))) << at;
        EXPECT_EQ(sha256(first, {}, rest), sha256(as_bytes(text))) << at;
        Sha256 hash;
        EXPECT_EQ(hash.add(first).add(rest).finish(), sha256(as_bytes(text))) << at;
    }
}

}  // namespace
}  // namespace chaperone

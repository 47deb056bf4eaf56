// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/encoding.h"

#include "userspace/base/clock.h"
#include "userspace/base/ids.h"
#include "userspace/base/secret.h"
#include "userspace/base/sha256.h"

#include <gtest/gtest.h>

namespace chaperone {
namespace {

TEST(Base64, ReadsWhatItWrites) {
    for (const std::string_view text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
        EXPECT_EQ(as_text(*from_base64(to_base64(as_bytes(text)))), text);
        EXPECT_EQ(as_text(*from_base64url(to_base64url(as_bytes(text)))), text);
    }
    EXPECT_EQ(to_base64(as_bytes("fooba")), "Zm9vYmE=");  // RFC 4648, section 10
}

TEST(Base64, RefusesWhatIsNotCanonical) {
    for (const std::string_view text : {"Zg", "Zh==", "Zm9=", "Z===", "Zm 9", "Zg==Zg=="})
        EXPECT_FALSE(from_base64(text)) << text;
    for (const std::string_view text : {"Zh", "Z", "Zg==", "+/"})
        EXPECT_FALSE(text == "+/" ? from_base64url("+/") : from_base64url(text)) << text;
}

TEST(Hex, ReadsWhatItWritesAndRefusesTheRest) {
    EXPECT_EQ(to_hex(as_bytes("\x01\xab")), "01ab");
    EXPECT_EQ(as_text(*from_hex("01AB")), "\x01\xab");
    EXPECT_FALSE(from_hex("0"));
    EXPECT_FALSE(from_hex("0g"));
}

TEST(Sha256, GivesTheKnownDigests) {
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(Sha256{}.add(as_bytes("a")).add(as_bytes("bc")).finish(), sha256(as_bytes("abc")));
    // RFC 4231, case 2
    EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Clock, ReadsWhatItWrites) {
    for (const std::string_view text :
         {"2026-11-21T09:39:16Z", "1999-12-31T23:59:59.25Z", "2000-02-29T00:00:00.000000001Z"})
        EXPECT_EQ(to_rfc3339(*parse_rfc3339(text)), text);
    EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-01-01T01:30:00+01:30")), "2026-01-01T00:00:00Z");
    for (const std::string_view text :
         {"", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01"})
        EXPECT_FALSE(parse_rfc3339(text)) << text;
}

TEST(Clock, ReadsDurations) {
    EXPECT_EQ(parse_duration("1h30m"), std::chrono::minutes{90});
    EXPECT_EQ(parse_duration("7d"), std::chrono::hours{168});
    EXPECT_EQ(to_text(std::chrono::minutes{90}), "1h30m");
    for (const std::string_view text : {"", "10", "m", "1m1h", "-5s", "1x", "99999999999d"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Ids, SortByTimeAndDiffer) {
    const Time time = *parse_rfc3339("2026-11-21T09:39:16Z");
    const std::string first = new_id(time), second = new_id(time + std::chrono::milliseconds{1});
    EXPECT_EQ(first.size(), 26U);
    EXPECT_LT(first, second);
    EXPECT_NE(new_id(time), new_id(time));
}

TEST(Secret, IsWipedWhereItWasTakenFrom) {
    std::string text = "hunter2";
    const Secret secret = Secret::take(text);
    EXPECT_TRUE(text.empty());
    EXPECT_TRUE(secret.equals("hunter2"));
    EXPECT_FALSE(secret.equals("hunter3"));
    EXPECT_FALSE(secret.equals("hunter"));
}

}  // namespace
}  // namespace chaperone

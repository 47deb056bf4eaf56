// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_uri.h"

#include "userspace/authority/token_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chaperone::authority {
namespace {

using testing::HasSubstr;

TEST(TokenUri, NamesTokenKeyAndPin) {
    const auto uri = read_token_uri(
        "pkcs11:token=My%20HSM;manufacturer=Acme;model=X;serial=00ff;object=ca%3bkey;id=%01%ff;"
        "type=private;slot-id=12?pin-source=file:/etc/chaperone/ca.pin&module-path=/lib/hsm.so");
    ASSERT_TRUE(uri) << uri.error().message();
    EXPECT_EQ(uri->token, "My HSM");
    EXPECT_EQ(uri->manufacturer, "Acme");
    EXPECT_EQ(uri->model, "X");
    EXPECT_EQ(uri->serial, "00ff");
    EXPECT_EQ(uri->object, "ca;key");
    EXPECT_EQ(uri->id, "\x01\xff");
    EXPECT_EQ(uri->slot, 12UL);
    EXPECT_EQ(uri->pin_source, "/etc/chaperone/ca.pin");
    EXPECT_EQ(uri->module, "/lib/hsm.so");
    EXPECT_EQ(uri->describe(), "key \"ca;key\" in token \"My HSM\"");
}

TEST(TokenUri, TakesAPinSourceWhereDraftsHadIt) {
    for (const char* source : {"file:/p", "file:///p", "/p"}) {
        const auto uri = read_token_uri("pkcs11:object=a;pin-source=" + std::string{source});
        ASSERT_TRUE(uri) << source;
        EXPECT_EQ(uri->pin_source, "/p");
    }
}

struct Bad {
    const char* name;
    std::string text;
    const char* why;
};

class TokenUriBad : public testing::TestWithParam<Bad> {};

TEST_P(TokenUriBad, IsRefusedWithTheReason) {
    const auto uri = read_token_uri(GetParam().text);
    ASSERT_FALSE(uri);
    EXPECT_EQ(uri.error().code, Errc::Invalid);
    EXPECT_THAT(uri.error().detail, HasSubstr(GetParam().why));
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, TokenUriBad,
    testing::Values(
        Bad{"Empty",          "",                                             "begin with pkcs11:"},
        Bad{"OtherScheme",    "file:/etc/key",                                "begin with pkcs11:"},
        Bad{"NoKey",          "pkcs11:token=a",                               "must name the key"},
        Bad{"NothingAtAll",   "pkcs11:",                                      "must name the key"},
        Bad{"CutPercent",     "pkcs11:object=a%4",                            "two digits"},
        Bad{"NoHex",          "pkcs11:object=a%4g",                           "two digits"},
        Bad{"Nul",            "pkcs11:object=a%00b",                          "NUL"},
        Bad{"NulInPath",      "pkcs11:object=a?pin-source=/a%00",             "absolute path"},
        Bad{"Twice",          "pkcs11:object=a;object=b",                     "said twice"},
        Bad{"TwiceApart",     "pkcs11:object=a;pin-source=/a?pin-source=/b",  "said twice"},
        Bad{"NoEquals",       "pkcs11:object",                                "without ="},
        Bad{"EmptyAttribute", "pkcs11:object=a;;token=b",                     "without ="},
        Bad{"Unknown",        "pkcs11:object=a;colour=red",                   "colour is not known"},
        Bad{"Public",         "pkcs11:object=a;type=public",                  "type must be private"},
        Bad{"Slot",           "pkcs11:object=a;slot-id=1x",                   "must be a number"},
        Bad{"EmptyId",        "pkcs11:id=",                                   "1 to 255"},
        Bad{"PinInside",      "pkcs11:object=a?pin-value=1234",               "must not stand in the configuration"},
        Bad{"PinOfAProgram",  "pkcs11:object=a?pin-source=%7c/bin/pin",       "names a program"},
        Bad{"RelativePin",    "pkcs11:object=a?pin-source=ca.pin",            "absolute path"},
        Bad{"TooLong",        "pkcs11:object=" + std::string(5000, 'a'),      "too long"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(TokenMessage, OpeningsComeBackAndAreRefusedAtEveryCut) {
    const auto uri = read_token_uri("pkcs11:token=a;object=b;id=%00%01;slot-id=3?pin-source=/p");
    const Buffer message = write_token_opening(*uri);
    const auto back = read_token_opening(message);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->token, "a");
    EXPECT_EQ(back->id, std::string("\0\1", 2));
    EXPECT_EQ(back->slot, 3UL);
    EXPECT_EQ(back->pin_source, "/p");
    for (std::size_t cut = 0; cut != message.size(); ++cut)
        EXPECT_FALSE(read_token_opening(Bytes{message}.first(cut))) << cut;
    Buffer longer = message;
    longer.push_back(std::byte{'x'});
    EXPECT_FALSE(read_token_opening(longer));
}

TEST(TokenMessage, QuestionsAndAnswers) {
    const Buffer digest(32, std::byte{7});
    Buffer message = write_token_question(TokenScheme::Rsa, digest);
    ASSERT_TRUE(read_token_question(message));
    EXPECT_EQ(read_token_question(message)->scheme, TokenScheme::Rsa);
    EXPECT_FALSE(read_token_question(Bytes{message}.first(32)));
    message[0] = std::byte{'?'};
    EXPECT_FALSE(read_token_question(message));
    const Buffer refusal = write_token_answer(fail(Errc::Denied, "no"));
    EXPECT_EQ(read_token_answer(refusal).error().code, Errc::Denied);
    EXPECT_EQ(read_token_answer(refusal).error().detail, "no");
    EXPECT_EQ(as_text(*read_token_answer(write_token_answer(copy(as_bytes("sig"))))), "sig");
    EXPECT_FALSE(read_token_answer({}));
    EXPECT_EQ(read_token_answer(as_bytes("\x7fwhat")).error().code, Errc::Malformed);
}

}  // namespace
}  // namespace chaperone::authority

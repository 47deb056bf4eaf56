// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/key_set.h"

#include "tests/identity/signer.h"
#include "userspace/base/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace chaperone::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Signer& rsa() {
    static const Signer key{KeyKind::Rsa, "r"};
    return key;
}
const Signer& p256() {
    static const Signer key{KeyKind::P256, "e"};
    return key;
}

std::string set_of(std::initializer_list<std::string> keys) {
    std::string text;
    for (const std::string& key : keys) text += (text.empty() ? "" : ",") + key;
    return R"({"keys":[)" + text + "]}";
}

TEST(KeySet, TakesEveryKindOfKey) {
    for (const KeyKind kind :
         {KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519}) {
        const auto set =
            KeySet::parse(Signer{kind}.jwks(R"(,"use":"sig","x5c":["not looked at"])"));
        ASSERT_TRUE(set) << set.error().message();
        ASSERT_EQ(set->keys().size(), 1U);
        EXPECT_EQ(set->keys()[0].kind, kind);
        EXPECT_EQ(set->keys()[0].id, "k1");
    }
}

// RFC 8037, appendix A.4: the key and the signature of its example.
TEST(KeySet, VerifiesTheExampleOfRfc8037) {
    const auto set = KeySet::parse(
        R"({"keys":[{"kty":"OKP","crv":"Ed25519",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
    ASSERT_TRUE(set);
    const Key* key = set->find({}, Algorithm::EdDsa);
    ASSERT_NE(key, nullptr);
    const std::string_view text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const auto signature = from_base64url(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    ASSERT_TRUE(signature);
    EXPECT_TRUE(verify_signature(*key, Algorithm::EdDsa, as_bytes(text), *signature));
    EXPECT_FALSE(verify_signature(*key, Algorithm::EdDsa, as_bytes("other"), *signature));
}

// RFC 7515, appendix A.3: ES256.
TEST(KeySet, VerifiesTheExampleOfRfc7515) {
    const auto set = KeySet::parse(
        R"({"keys":[{"kty":"EC","crv":"P-256",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
    ASSERT_TRUE(set);
    const std::string_view text =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        "LmNvbS9pc19yb290Ijp0cnVlfQ";
    const auto signature = from_base64url(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    ASSERT_TRUE(signature);
    EXPECT_TRUE(verify_signature(set->keys()[0], Algorithm::Es256, as_bytes(text), *signature));
}

TEST(KeySet, LeavesOutWhatIsNotForUs) {
    const auto set = KeySet::parse(set_of({
        rsa().jwk(),
        R"({"kty":"oct","k":"c2VjcmV0","kid":"hs"})",
        R"({"kty":"AKP","alg":"ML-DSA-44","pub":"AA","kid":"pq"})",
        R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA","kid":"btc"})",
        R"({"kty":"OKP","crv":"X25519","x":"AA","kid":"x"})",
        p256().jwk(R"(,"use":"enc")"),
        p256().jwk(R"(,"key_ops":["sign"])"),
        p256().jwk(R"(,"alg":"RS256")"),
        p256().jwk(R"(,"alg":"none")"),
        p256().jwk(R"(,"d":"AAAA")"),
    }));
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_EQ(set->keys().size(), 1U);
    EXPECT_THAT(set->left_out(),
                ElementsAre(HasSubstr("'hs': published with its private half"), HasSubstr("kty"),
                            HasSubstr("curve"), HasSubstr("curve"), HasSubstr("use is not sig"),
                            HasSubstr("key_ops"), HasSubstr("alg"), HasSubstr("alg"),
                            HasSubstr("private half")));
}

struct Untrusted {
    const char* name;
    std::string key;
    const char* why;
};

class KeySetUntrusted : public testing::TestWithParam<Untrusted> {};

TEST_P(KeySetUntrusted, IsLeftOut) {
    const auto set = KeySet::parse(set_of({rsa().jwk(), GetParam().key}));
    ASSERT_TRUE(set) << set.error().message();
    ASSERT_EQ(set->left_out().size(), 1U);
    EXPECT_THAT(set->left_out()[0], HasSubstr(GetParam().why));
    const auto alone = KeySet::parse(set_of({GetParam().key}));
    ASSERT_FALSE(alone);
    EXPECT_EQ(alone.error().code, Errc::Invalid);
}

std::string rsa_with_exponent(std::string_view e) {
    return R"({"kid":"x","kty":"RSA","n":")" + rsa().number("n") + R"(","e":")" + std::string{e} +
           R"("})";
}

std::string ec(std::string_view x, std::string_view y) {
    return R"({"kid":"x","kty":"EC","crv":"P-256","x":")" + std::string{x} + R"(","y":")" +
           std::string{y} + R"("})";
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, KeySetUntrusted,
    testing::Values(
        Untrusted{"SmallModulus", Signer(KeyKind::Rsa, "x", 1024).jwk(), "1024 bits"},
        Untrusted{"ExponentOne", rsa_with_exponent("AQ"), "exponent"},
        Untrusted{"ExponentEven", rsa_with_exponent("AQAA"), "exponent"},
        Untrusted{"ExponentHuge", rsa_with_exponent("AQAAAAAAAAAAAQ"), "exponent"},
        Untrusted{"ExponentMissing", R"({"kid":"x","kty":"RSA","n":"AQAB"})", "member e"},
        Untrusted{"NotBase64url", rsa_with_exponent("A+AB"), "member e"},
        Untrusted{"NotCanonical", rsa_with_exponent("AR"), "member e"},
        Untrusted{"PointOffCurve", ec(p256().number("qx", 32), p256().number("qx", 32)), "not a"},
        Untrusted{"CoordinateShort", ec("AQAB", "AQAB"), "coordinate length"},
        Untrusted{"Ed25519Short", R"({"kid":"x","kty":"OKP","crv":"Ed25519","x":"AQAB"})",
                  "coordinate length"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

struct BadSet {
    const char* name;
    std::string text;
    Errc why;
};

class KeySetBad : public testing::TestWithParam<BadSet> {};

TEST_P(KeySetBad, IsRefusedWhole) {
    const auto set = KeySet::parse(GetParam().text);
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code, GetParam().why) << set.error().message();
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, KeySetBad,
    testing::Values(
        BadSet{"Empty", "", Errc::Malformed},
        BadSet{"NotJson", "{", Errc::Malformed},
        BadSet{"NotAnObject", "[]", Errc::Malformed},
        BadSet{"NoKeys", "{}", Errc::Malformed},
        BadSet{"KeysNoList", R"({"keys":{}})", Errc::Malformed},
        BadSet{"KeyNoObject", R"({"keys":[1]})", Errc::Malformed},
        BadSet{"NoneUsable", R"({"keys":[]})", Errc::Invalid},
        BadSet{"SameKidTwice", set_of({rsa().jwk(), rsa().jwk()}), Errc::Malformed},
        BadSet{"SameKidOneBound", set_of({rsa().jwk(), rsa().jwk(R"(,"alg":"PS256")")}),
               Errc::Malformed},
        BadSet{"KidNoText", R"({"keys":[{"kid":1,"kty":"RSA"}]})", Errc::Malformed},
        BadSet{"MemberTwice", R"({"keys":[{"kid":"a","kid":"b","kty":"RSA"}]})", Errc::Malformed},
        BadSet{"MemberTwiceEscaped", R"({"keys":[{"kid":"a","\u006bid":"b","kty":"RSA"}]})",
               Errc::Malformed},
        BadSet{"Deep", R"({"keys":)" + std::string(64, '[') + std::string(64, ']') + "}",
               Errc::Malformed},
        BadSet{"TooLong", std::string(KeySet::kMaxText + 1, ' '), Errc::TooLarge}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(KeySet, RefusesTooManyKeys) {
    std::string keys = "{}";
    for (std::size_t i = 0; i != KeySet::kMaxKeys; ++i) keys += ",{}";
    const auto set = KeySet::parse(R"({"keys":[)" + keys + "]}");
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().code, Errc::TooLarge);
}

TEST(KeySet, FindsByKidKindAndAlg) {
    const Signer bound{KeyKind::Rsa, "bound"};
    const auto set =
        KeySet::parse(set_of({rsa().jwk(), p256().jwk(), bound.jwk(R"(,"alg":"PS256")")}));
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_NE(set->find("r", Algorithm::Rs256), nullptr);
    EXPECT_NE(set->find("r", Algorithm::Ps512), nullptr);
    EXPECT_EQ(set->find("r", Algorithm::Es256), nullptr);
    EXPECT_EQ(set->find("bound", Algorithm::Rs256), nullptr);
    EXPECT_NE(set->find("bound", Algorithm::Ps256), nullptr);
    EXPECT_EQ(set->find("other", Algorithm::Rs256), nullptr);
    EXPECT_NE(set->find({}, Algorithm::Es256), nullptr);  // the only one that fits
    EXPECT_EQ(set->find({}, Algorithm::Ps256), nullptr);  // two fit
    EXPECT_NE(set->find({}, Algorithm::Rs256), nullptr);
    EXPECT_EQ(set->find({}, Algorithm::EdDsa), nullptr);
}

TEST(KeySet, TwoKindsMayShareAKid) {
    const auto set =
        KeySet::parse(set_of({Signer{KeyKind::Rsa}.jwk(), Signer{KeyKind::P256}.jwk()}));
    ASSERT_TRUE(set) << set.error().message();
    EXPECT_EQ(set->find("k1", Algorithm::Es256)->kind, KeyKind::P256);
}

TEST(Algorithm, NamesGoBothWays) {
    for (const std::string_view name :
         {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
        EXPECT_EQ(name_of(*algorithm_named(name)), name);
    for (const std::string_view name : {"none", "None", "HS256", "rs256", "ES256K", ""})
        EXPECT_FALSE(algorithm_named(name)) << name;
}

}  // namespace
}  // namespace chaperone::identity

// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/token_verifier.h"

#include "tests/identity/signer.h"
#include "userspace/base/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace chaperone::identity {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

constexpr Time kNow{seconds{1'800'000'000}};
constexpr std::string_view kGood =
    R"({"iss":"https://id.example.com","sub":"agent:billing","aud":"chaperone",)"
    R"("exp":1800000300,"nbf":1799999990,"iat":1799999990,"jti":"t1","groups":["agents","billing"]})";

const Signer& signer(KeyKind kind) {
    static std::map<KeyKind, Signer> made;
    const auto at = made.find(kind);
    return at != made.end() ? at->second : made.emplace(kind, Signer{kind}).first->second;
}

TokenRules rules() {
    return {.issuer = "https://id.example.com", .audience = "chaperone"};
}

Result<Claims> verify(std::string_view token, const TokenRules& by = rules(),
                      KeyKind kind = KeyKind::P256, Time now = kNow) {
    return verify_token(token, *KeySet::parse(signer(kind).jwks()), by, now);
}

// The claims of kGood with some other text in the place of `from`.
std::string with(std::string_view from, std::string_view to) {
    std::string text{kGood};
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string signed_claims(std::string_view claims) {
    return signer(KeyKind::P256).token(Algorithm::Es256, claims);
}

class EveryAlgorithm : public testing::TestWithParam<Algorithm> {};

TEST_P(EveryAlgorithm, VerifiesAndBindsEveryByte) {
    const Algorithm algorithm = GetParam();
    const KeyKind kind = kind_for(algorithm);
    const std::string token = signer(kind).token(algorithm, kGood);
    const auto claims = verify(token, rules(), kind);
    ASSERT_TRUE(claims) << claims.error().message();
    EXPECT_EQ(claims->subject, "agent:billing");
    EXPECT_THAT(claims->groups, ElementsAre("agents", "billing"));
    // A token of another key of the same kind and kid.
    EXPECT_EQ(verify(Signer{kind}.token(algorithm, kGood), rules(), kind).error().code,
              Errc::Denied);
    // Any changed character is seen, wherever it is.
    for (std::size_t i = 0; i < token.size(); i += 7) {
        std::string changed = token;
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(verify(changed, rules(), kind)) << i;
    }
    // Nor is a shorter signature good.
    EXPECT_FALSE(verify(token.substr(0, token.size() - 4), rules(), kind));
}

INSTANTIATE_TEST_SUITE_P(Table, EveryAlgorithm,
                         testing::Values(Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512,
                                         Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512,
                                         Algorithm::Es256, Algorithm::Es384, Algorithm::Es512,
                                         Algorithm::EdDsa),
                         [](const auto& info) { return std::string{name_of(info.param)}; });

struct BadHeader {
    const char* name;
    const char* header;
    Errc why;
};

class TokenHeader : public testing::TestWithParam<BadHeader> {};

TEST_P(TokenHeader, IsRefusedThoughTheSignatureIsGood) {
    const auto got =
        verify(signer(KeyKind::P256).token(Algorithm::Es256, GetParam().header, kGood));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, GetParam().why) << got.error().message();
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, TokenHeader,
    testing::Values(
        BadHeader{"None",        R"({"alg":"none"})",                              Errc::Unsupported},
        BadHeader{"NoneOddly",   R"({"alg":"nOnE"})",                              Errc::Unsupported},
        BadHeader{"Hmac",        R"({"alg":"HS256"})",                             Errc::Unsupported},
        BadHeader{"NoAlg",       R"({"typ":"JWT"})",                               Errc::Unsupported},
        BadHeader{"AlgNoText",   R"({"alg":["ES256"]})",                           Errc::Unsupported},
        BadHeader{"Lower",       R"({"alg":"es256"})",                             Errc::Unsupported},
        BadHeader{"OtherKind",   R"({"alg":"RS256","kid":"k1"})",                  Errc::NotFound},
        BadHeader{"OtherCurve",  R"({"alg":"ES384","kid":"k1"})",                  Errc::NotFound},
        BadHeader{"UnknownKid",  R"({"alg":"ES256","kid":"k2"})",                  Errc::NotFound},
        BadHeader{"KidNoText",   R"({"alg":"ES256","kid":1})",                     Errc::Malformed},
        BadHeader{"Crit",        R"({"alg":"ES256","crit":["exp"],"exp":1})",      Errc::Unsupported},
        BadHeader{"CritEmpty",   R"({"alg":"ES256","crit":[]})",                   Errc::Unsupported},
        BadHeader{"Unencoded",   R"({"alg":"ES256","b64":false})",                 Errc::Unsupported},
        BadHeader{"OtherTyp",    R"({"alg":"ES256","typ":"logout+jwt"})",          Errc::Unsupported},
        BadHeader{"DpopTyp",     R"({"alg":"ES256","typ":"dpop+jwt"})",            Errc::Unsupported},
        BadHeader{"TypNoText",   R"({"alg":"ES256","typ":7})",                     Errc::Unsupported},
        BadHeader{"AlgTwice",    R"({"alg":"ES256","alg":"ES256"})",               Errc::Malformed},
        BadHeader{"NotJson",     R"({"alg":"ES256")",                              Errc::Malformed},
        BadHeader{"NoObject",    R"("ES256")",                                     Errc::Malformed}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(TokenHeader, TakesTheTypesOfAccessTokens) {
    for (const std::string_view type : {"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"}) {
        const std::string header = R"({"alg":"ES256","typ":")" + std::string{type} + R"("})";
        EXPECT_TRUE(verify(signer(KeyKind::P256).token(Algorithm::Es256, header, kGood))) << type;
    }
    EXPECT_TRUE(verify(signer(KeyKind::P256).token(Algorithm::Es256, R"({"alg":"ES256"})", kGood)));
}

// The key that the token brings along is not the issuer's.
TEST(TokenHeader, IgnoresKeysInsideTheToken) {
    const Signer thief{KeyKind::P256, "k1"};
    const std::string header =
        R"({"alg":"ES256","jku":"https://evil.example/jwks","jwk":)" + thief.jwk() + "}";
    EXPECT_EQ(verify(thief.token(Algorithm::Es256, header, kGood)).error().code, Errc::Denied);
}

struct BadClaims {
    const char* name;
    std::string claims;
    Errc why;
};

class TokenClaims : public testing::TestWithParam<BadClaims> {};

TEST_P(TokenClaims, AreRefused) {
    const auto got = verify(signed_claims(GetParam().claims));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, GetParam().why) << got.error().message();
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, TokenClaims,
    testing::Values(
        BadClaims{"OtherIssuer",    with("https://id.example.com", "https://id.example.org"), Errc::Denied},
        BadClaims{"IssuerSlash",    with("id.example.com", "id.example.com/"),           Errc::Denied},
        BadClaims{"IssuerList",     with(R"("https://id.example.com")", R"(["https://id.example.com"])"), Errc::Malformed},
        BadClaims{"NoIssuer",       with("iss", "ish"),                                  Errc::Malformed},
        BadClaims{"OtherAudience",  with(R"("aud":"chaperone")", R"("aud":"other")"),    Errc::Denied},
        BadClaims{"NoAudience",     with(R"("aud":"chaperone",)", ""),                   Errc::Denied},
        BadClaims{"AudiencesEmpty", with(R"("aud":"chaperone")", R"("aud":[])"),         Errc::Denied},
        BadClaims{"AudiencePart",   with(R"("aud":"chaperone")", R"("aud":"chaperone2")"), Errc::Denied},
        BadClaims{"AudienceNumber", with(R"("aud":"chaperone")", R"("aud":[1])"),        Errc::Malformed},
        BadClaims{"NoSubject",      with(R"("sub":"agent:billing",)", ""),               Errc::Malformed},
        BadClaims{"SubjectEmpty",   with("agent:billing", ""),                           Errc::Malformed},
        BadClaims{"SubjectNul",     with("agent:billing", R"(root\u0000x)"),             Errc::Malformed},
        BadClaims{"SubjectTwice",   with(R"("jti":"t1")", R"("sub":"root")"),            Errc::Malformed},
        BadClaims{"SubjectLong",    with("agent:billing", std::string(2000, 'a')),       Errc::Malformed},
        BadClaims{"NoExpiry",       with(R"("exp":1800000300,)", ""),                    Errc::Malformed},
        BadClaims{"ExpiryText",     with("1800000300", R"("1800000300")"),               Errc::Malformed},
        BadClaims{"ExpiryNull",     with("1800000300", "null"),                          Errc::Malformed},
        BadClaims{"ExpiryNegative", with("1800000300", "-1"),                            Errc::Malformed},
        BadClaims{"Expired",        with("1800000300", "1799999940"),                    Errc::Expired},
        BadClaims{"ExpiredLong",    with("1800000300", "0"),                             Errc::Expired},
        BadClaims{"NotYet",         with(R"("nbf":1799999990)", R"("nbf":1800000061)"),  Errc::Denied},
        BadClaims{"NotYetEver",     with(R"("nbf":1799999990)", R"("nbf":1e300)"),       Errc::Denied},
        BadClaims{"IssuedAhead",    with(R"("iat":1799999990)", R"("iat":1800000061)"),  Errc::Denied},
        BadClaims{"GroupsNumbers",  with(R"(["agents","billing"])", "[1]"),              Errc::Malformed},
        BadClaims{"GroupsObject",   with(R"(["agents","billing"])", "{}"),               Errc::Malformed},
        BadClaims{"ActText",        with(R"("jti":"t1")", R"("act":"x")"),               Errc::Malformed},
        BadClaims{"ActNoSubject",   with(R"("jti":"t1")", R"("act":{})"),                Errc::Malformed},
        BadClaims{"NotJson",        "{",                                                 Errc::Malformed},
        BadClaims{"NotUtf8",        with("agent:billing", "\xff"),                       Errc::Malformed},
        BadClaims{"Deep",           with("\"t1\"", "\"t1\",\"x\":" + std::string(40, '[') + std::string(40, ']')), Errc::Malformed}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(TokenClaims, AllowForSkewToTheSecond) {
    const auto good = [](const std::string& claims, TokenRules by = rules()) {
        return verify(signed_claims(claims), by).has_value();
    };
    EXPECT_TRUE(good(with("1800000300", "1799999941")));
    EXPECT_TRUE(good(with(R"("nbf":1799999990)", R"("nbf":1800000060)")));
    EXPECT_TRUE(good(with(R"("iat":1799999990)", R"("iat":1800000060)")));
    TokenRules strict = rules();
    strict.skew = {};
    EXPECT_FALSE(good(with("1800000300", "1800000000"), strict));
    EXPECT_TRUE(good(with("1800000300", "1800000001"), strict));
    EXPECT_FALSE(good(with(R"("nbf":1799999990)", R"("nbf":1800000001)"), strict));
}

TEST(TokenClaims, ReadEveryForm) {
    const auto claims = verify(signed_claims(
        R"({"iss":"https://id.example.com","sub":"u","aud":["x","chaperone"],"exp":1.8000003e9,)"
        R"("realm_access":{"roles":["a","b"]},"email":"u@example.com"})"));
    ASSERT_TRUE(claims) << claims.error().message();
    EXPECT_THAT(claims->audience, ElementsAre("x", "chaperone"));
    EXPECT_EQ(claims->expires_at, Time{seconds{1'800'000'300}});
    EXPECT_FALSE(claims->not_before);
    EXPECT_TRUE(claims->groups.empty());
    EXPECT_THAT(claims->json, testing::HasSubstr(R"("email":"u@example.com")"));
}

TEST(TokenClaims, AnExpiryBeyondOurClockIsNever) {
    for (const char* exp : {"99999999999", "18446744073709551615", "1e40"})
        EXPECT_TRUE(verify(signed_claims(with("1800000300", exp)))) << exp;
}

TEST(TokenClaims, ReadGroupsWhereTheyAre) {
    const auto groups = [](std::string_view path, std::string_view member) {
        TokenRules by = rules();
        by.groups_claim = path;
        auto claims = verify(signed_claims(with(R"("jti":"t1")", member)), by);
        EXPECT_TRUE(claims) << claims.error().message();
        return claims ? claims->groups : std::vector<std::string>{};
    };
    EXPECT_THAT(groups("realm_access.roles", R"("realm_access":{"roles":["a","b"]})"),
                ElementsAre("a", "b"));
    EXPECT_THAT(groups("roles", R"("roles":"solo")"), ElementsAre("solo"));
    EXPECT_THAT(groups("https://x.example/groups", R"("https://x.example/groups":["g"])"),
                ElementsAre("g"));
    EXPECT_THAT(groups("a.b.c", R"("a":{"b":"no object"})"), ElementsAre());
    EXPECT_THAT(groups("", R"("jti":"t")"), ElementsAre());
}

// RFC 8693 section 4.1: the nested act is who acted before.
TEST(TokenClaims, KeepTheChainOfActors) {
    const auto claims = verify(signed_claims(with(
        R"("jti":"t1")", R"("act":{"sub":"agent:now","act":{"sub":"service:before","x":1}})")));
    ASSERT_TRUE(claims) << claims.error().message();
    EXPECT_THAT(claims->actors, ElementsAre("agent:now", "service:before"));
    std::string deep = R"({"sub":"a"})";
    for (std::size_t i = 0; i != kMaxActors; ++i) deep = R"({"sub":"a","act":)" + deep + "}";
    EXPECT_FALSE(verify(signed_claims(with(R"("jti":"t1")", R"("act":)" + deep))));
}

TEST(Token, MustBeCanonicalAndWhole) {
    const std::string token = signed_claims(kGood);
    ASSERT_TRUE(verify(token));
    const auto first = token.find('.'), second = token.rfind('.');
    const std::vector<std::string> bad{
        "",
        ".",
        "..",
        "a.b",
        token + ".",
        token + ".x",
        token + "=",
        " " + token,
        token + "\n",
        token.substr(0, second + 1),
        token.substr(0, second),
        token.substr(first),
        token.substr(0, first) + ".." + token.substr(second + 1),
        token.substr(0, first) + "=" + token.substr(first),
        std::string(kMaxToken + 1, 'a'),
    };
    for (const std::string& text : bad) EXPECT_FALSE(verify(text)) << text;
    // The last character of 64 octets of signature has two bits to spare: they must be zero.
    std::string spare = token;
    const std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    spare.back() = alphabet[alphabet.find(spare.back()) + 1];
    EXPECT_EQ(verify(spare).error().code, Errc::Malformed);
}

TEST(Token, EveryCutIsRefused) {
    const std::string token = signed_claims(kGood);
    for (std::size_t cut = 0; cut != token.size(); ++cut)
        EXPECT_FALSE(verify(std::string_view{token}.substr(0, cut))) << cut;
}

// R and S must be the two halves; DER, which other formats use, is refused.
TEST(Token, EcdsaSignaturesAreOfFixedLength) {
    const std::string token = signed_claims(kGood);
    const std::string head = token.substr(0, token.rfind('.') + 1);
    for (const std::size_t size : {0UL, 1UL, 63UL, 65UL, 70UL, 128UL})
        EXPECT_FALSE(verify(head + to_base64url(Buffer(size, std::byte{1})))) << size;
    // R = S = 0, the "psychic signature".
    EXPECT_EQ(verify(head + to_base64url(Buffer(64))).error().code, Errc::Denied);
}

TEST(TokenRules, NarrowTheAlgorithms) {
    TokenRules narrow = rules();
    narrow.algorithms = {Algorithm::Rs256};
    EXPECT_EQ(verify(signed_claims(kGood), narrow).error().code, Errc::Unsupported);
    narrow.algorithms = {Algorithm::Es256};
    EXPECT_TRUE(verify(signed_claims(kGood), narrow));
}

TEST(TokenRules, EmptyRulesAcceptNobody) {
    EXPECT_EQ(verify(signed_claims(kGood), TokenRules{}).error().code, Errc::Denied);
    EXPECT_EQ(verify(signed_claims(kGood), {.issuer = "https://id.example.com"}).error().code,
              Errc::Denied);
}

}  // namespace
}  // namespace chaperone::identity

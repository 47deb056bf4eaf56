// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/provider.h"

#include "tests/identity/signer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace chaperone::identity {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{std::chrono::seconds{1'800'000'000}};
constexpr std::string_view kClaims =
    R"({"iss":"https://id.example.com","sub":"u","aud":"chaperone","exp":1900000000})";
constexpr std::string_view kDiscovery =
    R"({"issuer":"https://id.example.com","jwks_uri":"https://keys.example.com/jwks"})";

class ProviderTest : public testing::Test {
protected:
    static std::unique_ptr<Provider> make() {
        auto made = Provider::make(
            {.rules = {.issuer = "https://id.example.com", .audience = "chaperone"}});
        EXPECT_TRUE(made);
        return std::move(*made);
    }
    void expect_fetch(Fetch::What what) {
        const auto fetch = provider->needs_fetch(now);
        ASSERT_TRUE(fetch);
        EXPECT_EQ(fetch->what, what);
        EXPECT_FALSE(provider->needs_fetch(now)) << "handed out twice";
    }
    void load(const Signer& signer) {
        expect_fetch(Fetch::What::Discovery);
        ASSERT_TRUE(provider->accept(Fetch::What::Discovery, kDiscovery, now));
        expect_fetch(Fetch::What::Keys);
        ASSERT_TRUE(provider->accept(Fetch::What::Keys, signer.jwks(), now));
        EXPECT_FALSE(provider->needs_fetch(now));
    }
    Errc error_of(const Signer& signer) {
        const auto got = provider->verify(signer.token(Algorithm::Es256, kClaims), wall, now);
        return got ? Errc{} : got.error().code;
    }

    Signer old_key{KeyKind::P256, "old"}, new_key{KeyKind::P256, "new"};
    Time now = kStart;  // steady
    Time wall = kStart;
    std::unique_ptr<Provider> provider = make();
};

TEST_F(ProviderTest, FetchesDiscoveryThenKeysThenVerifies) {
    EXPECT_EQ(error_of(old_key), Errc::Unavailable);
    const auto discovery = provider->needs_fetch(now);
    ASSERT_TRUE(discovery);
    EXPECT_EQ(discovery->url, "https://id.example.com/.well-known/openid-configuration");
    ASSERT_TRUE(provider->accept(Fetch::What::Discovery, kDiscovery, now));
    const auto keys = provider->needs_fetch(now);
    ASSERT_TRUE(keys);
    EXPECT_EQ(keys->url, "https://keys.example.com/jwks");
    ASSERT_TRUE(provider->accept(Fetch::What::Keys, old_key.jwks(), now));
    EXPECT_EQ(error_of(old_key), Errc{});
    EXPECT_EQ(provider->fetched_at(), now);
}

TEST_F(ProviderTest, FollowsARotationAtOnce) {
    load(old_key);
    now += 10min;
    EXPECT_EQ(error_of(new_key), Errc::NotFound);
    expect_fetch(Fetch::What::Keys);
    ASSERT_TRUE(provider->accept(Fetch::What::Keys, new_key.jwks(), now));
    EXPECT_EQ(error_of(new_key), Errc{});
    EXPECT_EQ(error_of(old_key), Errc::NotFound);
}

TEST_F(ProviderTest, MadeUpKeysCauseFewFetches) {
    load(old_key);
    int fetches = 0;
    for (int i = 0; i != 600; ++i) {  // a token with an unknown key every second, ten minutes long
        now += 1s;
        EXPECT_EQ(error_of(new_key), Errc::NotFound);
        if (!provider->needs_fetch(now)) continue;
        ++fetches;
        ASSERT_TRUE(provider->accept(Fetch::What::Keys, old_key.jwks(), now));
    }
    EXPECT_EQ(fetches, 20);  // one in 30 s
}

TEST_F(ProviderTest, BadTokensWithKnownKeysCauseNone) {
    load(old_key);
    const Signer thief{KeyKind::P256, "old"};
    EXPECT_EQ(error_of(thief), Errc::Denied);
    EXPECT_FALSE(provider->needs_fetch(now));
}

// A token's own times are the wall clock's; how old keys are, no clock that is set changes.
TEST_F(ProviderTest, AClockThatIsSetMakesNoKeysOldOrYoung) {
    load(old_key);
    wall = kStart - std::chrono::hours{1};
    EXPECT_EQ(error_of(old_key), Errc{}) << "not more than its times say";
    wall = kStart + std::chrono::hours{24 * 3650};
    EXPECT_EQ(error_of(old_key), Errc::Expired);
    EXPECT_FALSE(provider->needs_fetch(now));
    wall = kStart;
    EXPECT_EQ(error_of(old_key), Errc{});
    now += std::chrono::hours{1};
    EXPECT_TRUE(provider->needs_fetch(now));
    now += std::chrono::hours{25};
    EXPECT_EQ(error_of(old_key), Errc::Unavailable) << "the wall clock stood still";
}

TEST_F(ProviderTest, RefreshesWhenOldAndGoesOnWithStaleKeys) {
    load(old_key);
    now += 59min;
    EXPECT_FALSE(provider->needs_fetch(now));
    now += 1min;
    expect_fetch(Fetch::What::Discovery);
    provider->failed(now);
    now += 24h;
    EXPECT_EQ(error_of(old_key), Errc{});
    now += 1s;
    EXPECT_EQ(error_of(old_key), Errc::Unavailable);
}

TEST_F(ProviderTest, BacksOffUpToAMinute) {
    const auto wait = [&] {
        expect_fetch(Fetch::What::Discovery);
        provider->failed(now);
        const Time from = now;
        while (!provider->needs_fetch(now)) now += 1s;
        provider->failed(now);  // the one that the loop took out
        const Time again = now;
        while (now - again < 60s) now += 1s;
        return again - from;
    };
    EXPECT_EQ(wait(), 1s);
    EXPECT_EQ(wait(), 4s);
    EXPECT_EQ(wait(), 16s);
    EXPECT_EQ(wait(), 60s);
    EXPECT_EQ(wait(), 60s);
}

TEST_F(ProviderTest, AFetchThatNeverReturnsIsGivenAgain) {
    expect_fetch(Fetch::What::Discovery);
    now += Provider::kFetchTimeout - 1ns;
    EXPECT_FALSE(provider->needs_fetch(now));
    now += 1ns;
    expect_fetch(Fetch::What::Discovery);
}

TEST_F(ProviderTest, ABadAnswerLeavesTheOldKeys) {
    load(old_key);
    now += 1h;
    expect_fetch(Fetch::What::Discovery);
    EXPECT_FALSE(provider->accept(Fetch::What::Discovery, "<html>", now));
    now += 1s;
    expect_fetch(Fetch::What::Discovery);
    ASSERT_TRUE(provider->accept(Fetch::What::Discovery, kDiscovery, now));
    expect_fetch(Fetch::What::Keys);
    EXPECT_FALSE(provider->accept(Fetch::What::Keys, R"({"keys":[]})", now));
    EXPECT_FALSE(provider->needs_fetch(now));
    EXPECT_EQ(error_of(old_key), Errc{});
}

TEST_F(ProviderTest, RefusesADiscoveryDocumentThatMisleads) {
    for (const std::string_view body :
         {R"({"issuer":"https://evil.example.com","jwks_uri":"https://keys.example.com/jwks"})",
          R"({"jwks_uri":"https://keys.example.com/jwks"})",
          R"({"issuer":"https://id.example.com"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"http://keys.example.com/jwks"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"http://127.0.0.1/jwks"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"https://a@keys.example.com/jwks"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"https:///jwks"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"file:///etc/passwd"})",
          R"({"issuer":"https://id.example.com","jwks_uri":"https://x/\r\nHost: y"})",
          R"({"issuer":"https://evil.example.com","issuer":"https://id.example.com",
              "jwks_uri":"https://keys.example.com/jwks"})",
          R"([])", R"()"}) {
        EXPECT_FALSE(provider->accept(Fetch::What::Discovery, body, now)) << body;
    }
}

struct BadSettings {
    const char* issuer;
    bool loopback_http;
};

TEST(ProviderMake, WantsAnHttpsIssuerAndAnAudience) {
    for (const BadSettings& bad : {BadSettings{"", false},
                                   {"id.example.com", false},
                                   {"http://id.example.com", false},
                                   {"http://127.0.0.1:8080", false},
                                   {"http://id.example.com", true},
                                   {"http://127.0.0.1.example.com", true},
                                   {"http://localhost.example.com", true},
                                   {"https://", false},
                                   {"https://:443", false},
                                   {"https://u@id.example.com", false},
                                   {"https://id.example.com?x", false},
                                   {"https://id.example.com#x", false},
                                   {"https://id.example.com/a b", false}})
        EXPECT_FALSE(Provider::make(
            {.rules = {.issuer = bad.issuer, .audience = "a"}, .loopback_http = bad.loopback_http}))
            << bad.issuer;
    EXPECT_FALSE(Provider::make({.rules = {.issuer = "https://id.example.com"}}));
    for (const char* issuer : {"http://127.0.0.1:8080", "http://[::1]:8080/realm",
                               "http://localhost", "https://id.example.com/realms/x"})
        EXPECT_TRUE(
            Provider::make({.rules = {.issuer = issuer, .audience = "a"}, .loopback_http = true}))
            << issuer;
}

TEST(ProviderMake, AnIssuerWithASlashKeepsIt) {
    const auto provider =
        Provider::make({.rules = {.issuer = "https://id.example.com/t/", .audience = "a"}});
    ASSERT_TRUE(provider);
    EXPECT_EQ((*provider)->needs_fetch(kStart)->url,
              "https://id.example.com/t/.well-known/openid-configuration");
}

TEST_F(ProviderTest, ServesThreadsWhileKeysChange) {
    load(old_key);
    const std::string token = old_key.token(Algorithm::Es256, kClaims);
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t != 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i != 50; ++i)
                good += provider->verify(token, kStart, kStart).has_value();
        });
    for (int i = 0; i != 50; ++i)
        ASSERT_TRUE(provider->accept(Fetch::What::Keys, old_key.jwks(), kStart));
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(good, 200);
}

}  // namespace
}  // namespace chaperone::identity

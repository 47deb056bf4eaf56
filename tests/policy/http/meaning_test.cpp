// SPDX-License-Identifier: Apache-2.0
#include "policy/http/meaning.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace chaperone::policy::http {
namespace {

using Pairs = std::multimap<std::string, std::string>;

TEST(HttpMeaning, IsOfWhatIsNotKnownToHaveNone) {
    EXPECT_EQ(meaningful({{"X-Tenant", "prod"},
                          {"Content-Type", "text/csv"},
                          {"User-Agent", "curl"},
                          {"Authorization", "Bearer x"},
                          {"X-Stainless-Retry-Count", "1"},
                          {"traceparent", "00-1"}}),
              (Pairs{{"content-type", "text/csv"}, {"x-tenant", "prod"}}));
}

TEST(HttpMeaning, KeepsTheOrderWithinAName) {
    EXPECT_EQ(meaningful({{"X-B", "2"}, {"X-A", "z"}, {"x-b", "1"}}),
              (Pairs{{"x-a", "z"}, {"x-b", "2"}, {"x-b", "1"}}));
}

// PostgREST overwrites rows by that.
TEST(HttpMeaning, OfPreferIsAllButTheWaiting) {
    EXPECT_EQ(meaningful({{"Prefer", "respond-async, wait=10"}}), Pairs{});
    EXPECT_EQ(meaningful({{"Prefer", "wait=10, resolution=merge-duplicates"}}),
              (Pairs{{"prefer", "resolution=merge-duplicates"}}));
}

TEST(HttpMeaning, SecretsAreToldByTheirNames) {
    for (const char* name : {"x-api-key", "private-token", "x-auth", "x-vault-token"})
        EXPECT_TRUE(may_be_secret(name)) << name;
    for (const char* name : {"content-type", "x-tenant", "x-amz-acl", "destination"})
        EXPECT_FALSE(may_be_secret(name)) << name;
}

}  // namespace
}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// Where a path leads, step by step, and what may be left out on the way.
#include "policy/json_path.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {
namespace {

constexpr std::array<std::string_view, 9> kNames{"",   "a",  "b",     "email",   "eMail",
                                                 "ea", "ab", "phone", "\xc3\xa9"};

bool leads_to(const JsonPath& path, const std::vector<std::string_view>& steps) {
    JsonPath::State state = JsonPath::kRoot;
    for (const std::string_view step : steps)
        state = step.starts_with('#') ? path.element(state, std::stoul(std::string{step.substr(1)}))
                                      : path.member(state, step);
    return path.complete(state);
}

TEST(JsonPath, IsReadOrRefused) {
    for (const char* bad : {"", "a", "$", "$.", "$[", "$['a", "$[1:2]", "$[?(@.a)]", "$.a b",
                            "$[-1]", "$...a", "$[]"})
        EXPECT_FALSE(JsonPath::parse(bad)) << bad;
    for (const char* good :
         {"$.a", "$..a", "$[*].a", "$.*", "$..*", "$['a b'].c", "$[\"x\"][3]", "$..[2]"})
        EXPECT_TRUE(JsonPath::parse(good)) << good;
}

TEST(JsonPath, LeadsToWhatItNames) {
    EXPECT_TRUE(leads_to(*JsonPath::parse("$.a.b"), {"a", "b"}));
    EXPECT_FALSE(leads_to(*JsonPath::parse("$.a.b"), {"b", "a"}));
    EXPECT_FALSE(leads_to(*JsonPath::parse("$.a.b"), {"a"}));
    EXPECT_TRUE(leads_to(*JsonPath::parse("$[*]['b']"), {"#7", "b"}));
    EXPECT_TRUE(leads_to(*JsonPath::parse("$.a[1]"), {"a", "#1"}));
    EXPECT_FALSE(leads_to(*JsonPath::parse("$.a[1]"), {"a", "#0"}));
    EXPECT_TRUE(leads_to(*JsonPath::parse("$..b"), {"a", "#3", "b"}));
    EXPECT_TRUE(leads_to(*JsonPath::parse("$..a.b"), {"a", "a", "b"}));
    EXPECT_TRUE(leads_to(*JsonPath::parse("$.a..*"), {"a", "b", "#0"}));
}

// Every state that a walk over all names comes to, four deep.
void names_hold(const JsonPath& path, JsonPath::State state, int depth) {
    for (const std::string_view name : kNames) {
        const JsonPath::State next = path.member(state, name);
        if (next != 0) {
            EXPECT_NE(path.names(state) & JsonPath::bit_of(name), 0U) << path.text() << ' ' << name;
            if (depth != 0) names_hold(path, next, depth - 1);
        }
    }
    const JsonPath::State next = path.element(state, 0);
    if (next != 0 && depth != 0) names_hold(path, next, depth - 1);
}

TEST(JsonPath, NamesLeaveNothingOutThatMatches) {
    for (const char* text : {"$.a", "$['']", "$.email.b", "$[*].email", "$.*.a", "$..email",
                             "$.a..b", "$[0].ab['\xc3\xa9']", "$.ea[*].*.phone"})
        names_hold(*JsonPath::parse(text), JsonPath::kRoot, 3);
}

TEST(JsonPath, NamesLeaveOutMostOfWhatDoesNot) {
    const JsonPath path = *JsonPath::parse("$.email");
    int left = 0;
    for (const std::string_view name : kNames)
        left += (path.names(JsonPath::kRoot) & JsonPath::bit_of(name)) != 0 ? 1 : 0;
    EXPECT_LE(left, 2);
    EXPECT_EQ(path.names(path.member(JsonPath::kRoot, "email")), 0U);
}

}  // namespace
}  // namespace chaperone::policy

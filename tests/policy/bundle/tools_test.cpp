// SPDX-License-Identifier: Apache-2.0
// What `policy test`, `policy explain` and `policy check` are made of.
#include "policy/bundle/check.h"
#include "policy/bundle/schema.h"
#include "policy/engine/variables.h"
#include "policy/testing/run_tests.h"
#include "tests/policy/bundle/support.h"
#include "userspace/base/file.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace chaperone::policy {
namespace {

constexpr std::string_view kRules = R"(  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind == "drop")
    deny: {reason: no}
  - id: reads
    when: sql.parsed && sql.writes.size() == 0
    allow: {}
)";

std::shared_ptr<const bundle::Bundle> tested(const std::string& cases) {
    const bundle::Loaded loaded = load_text(policy_text("p", kRules) +
                                            "---\napiVersion: chaperone.dev/v1\nkind: PolicyTest\n"
                                            "metadata: {name: t}\nspec:\n  cases:\n" +
                                            cases);
    EXPECT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    return loaded.bundle;
}

constexpr const char* kDrop =
    "  - {name: drop, workload: billing, resource: orders, sql: DROP TABLE t, "
    "expect: {effect: deny, rule: no-ddl, masks: []}}\n";
constexpr const char* kWrong =
    "  - {name: \"a < b\", workload: billing, resource: orders, sql: SELECT 1, "
    "expect: {effect: deny, rule: no-ddl}}\n";

TEST(RunTests, PassesAndFailsAndSaysWhy) {
    const auto report = testing::run_tests(tested(std::string{kDrop} + kWrong));
    ASSERT_EQ(report.cases.size(), 2U);
    EXPECT_TRUE(report.cases[0].pass) << report.cases[0].why;
    EXPECT_FALSE(report.cases[1].pass);
    EXPECT_EQ(report.cases[1].why, "expected deny, got allow by reads");
    EXPECT_EQ(report.failed(), 1U);
}

TEST(RunTests, RuleMayBeNamedWithItsPolicy) {
    std::string full = kDrop;
    full.replace(full.find("rule: no-ddl"), 12, "rule: p/no-ddl");
    EXPECT_EQ(testing::run_tests(tested(full)).failed(), 0U);
}

TEST(RunTests, CountsRulesAndBranches) {
    const auto report = testing::run_tests(tested(kDrop));
    ASSERT_EQ(report.coverage.size(), 2U);
    EXPECT_EQ(report.coverage[0].rule, "p/no-ddl");
    EXPECT_EQ(report.coverage[0].decided, 1U);
    EXPECT_EQ(report.coverage[1].matched, 0U);
    EXPECT_LT(report.coverage[1].branches_seen, report.coverage[1].branches);
}

TEST(RunTests, JunitIsEscaped) {
    const std::string xml = to_junit(testing::run_tests(tested(kWrong)));
    EXPECT_NE(xml.find("name=\"a &lt; b\""), std::string::npos) << xml;
    EXPECT_NE(xml.find("failures=\"1\""), std::string::npos) << xml;
}

TEST(Explain, ShowsFactsRulesAndTheirParts) {
    const auto bundle = tested(kDrop);
    const auto asked = ask(*bundle, about("SELECT id FROM customers"));
    ASSERT_TRUE(asked);
    const Explanation explanation = explain(bundle, asked->request);
    EXPECT_EQ(explanation.decision->rule, "reads");
    const auto json = boost::json::parse(to_json(explanation));
    const auto& effect = json.at("facts").at("sql").at("effects").as_array().front();
    EXPECT_EQ(boost::json::serialize(effect),
              R"({"kind":"read","object":"public.customers","columns":["id"]})");
    const auto& rules = json.at("rules").as_array();
    ASSERT_EQ(rules.size(), 2U);
    EXPECT_EQ(rules[0].at("id"), "p/no-ddl");
    EXPECT_EQ(rules[0].at("matched"), false);
    EXPECT_EQ(rules[1].at("matched"), true);
    EXPECT_FALSE(rules[1].at("trace").as_array().empty());
    EXPECT_NE(to_text(explanation).find("allow by rule reads"), std::string::npos);
}

TEST(Explain, AsksOnlyAboutWhatIsThere) {
    const auto bundle = tested(kDrop);
    EXPECT_FALSE(ask(*bundle, about("SELECT 1", "nowhere")));
    Question question = about("SELECT 1");
    question.tables = {{"no dot", {}}};
    EXPECT_FALSE(ask(*bundle, question));
}

std::string warnings(std::string_view rules) {
    const bundle::Loaded loaded = load_text(policy_text("p", rules));
    EXPECT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    std::string ids;
    for (const bundle::Issue& issue : bundle::drift(*loaded.bundle)) ids += issue.id + " ";
    return ids;
}

TEST(Drift, NothingToSay) {
    EXPECT_EQ(warnings(kRules), "");
}
TEST(Drift, ImpossibleAndAlways) {
    EXPECT_EQ(warnings("  rules:\n  - {id: a, allow: {}}\n"
                       "  - {id: b, when: \"1 == 2 && sql.parsed\", deny: {}}\n"
                       "  - {id: c, when: \"1 == 1\", allow: {}}\n"),
              "impossible always ");
}
TEST(Drift, OverriddenRule) {
    EXPECT_EQ(warnings("  rules:\n  - {id: b, when: sql.parsed, deny: {}}\n"
                       "  - {id: c, when: \"sql.parsed \", allow: {}}\n"),
              "never-decides ");
}
TEST(Drift, ContradictionOfFiles) {
    const bundle::Loaded loaded = load_files(
        {{"house.yaml", std::string{kHouse}},
         {"a.yaml", policy_text("a", "  rules: [{id: x, when: sql.parsed, allow: {}}]\n")},
         {"b.yaml", policy_text("b", "  rules: [{id: y, when: sql.parsed, deny: {}}]\n")}});
    ASSERT_TRUE(loaded.bundle);
    const auto issues = bundle::drift(*loaded.bundle);
    ASSERT_EQ(issues.size(), 1U) << bundle::to_text(issues);
    EXPECT_EQ(issues[0].id, "contradiction");
    EXPECT_EQ(issues[0].file, "a.yaml");
}
TEST(Drift, ResourceThatNobodyMayUse) {
    EXPECT_EQ(warnings("  rules:\n  - {id: a, when: resource.name == 'orders', allow: {}}\n"),
              "resource-unused ");
}
TEST(Drift, NobodyCanApprove) {
    EXPECT_EQ(warnings("  rules:\n  - {id: a, approve: {by: [\"user:x\"], count: 2}}\n"),
              "no-approver ");
}
TEST(Drift, AcceptedInPlace) {
    EXPECT_EQ(warnings("  rules:\n  - id: a\n    approve: {by: [\"user:x\"], count: 2}\n"
                       "    accept: [{warning: no-approver, reason: soon}]\n"),
              "");
    EXPECT_EQ(warnings("  rules:\n  - id: a\n    allow: {}\n"
                       "    accept: [{warning: no-approver, reason: soon}]\n"),
              "unused-accept ");
}

TEST(Readme, HoldsTheTableOfVariables) {
    const auto readme = read_file(CHAPERONE_SOURCE_DIR "/policy/README.md");
    ASSERT_TRUE(readme);
    EXPECT_NE(readme->find(engine::variables_markdown()), std::string::npos)
        << "write this into policy/README.md:\n"
        << engine::variables_markdown();
}

TEST(Schema, IsTheCheckedInFile) {
    const auto file = read_file(CHAPERONE_SOURCE_DIR "/policy/schema.json");
    ASSERT_TRUE(file);
    const std::string made = bundle::json_schema();
    EXPECT_EQ(boost::json::parse(made).at("oneOf").as_array().size(), 7U);
    EXPECT_TRUE(*file == made) << "write this into policy/schema.json:\n" << made;
}

}  // namespace
}  // namespace chaperone::policy

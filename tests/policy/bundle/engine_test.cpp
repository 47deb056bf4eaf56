// SPDX-License-Identifier: Apache-2.0
// How effects combine, what counts at which stage, and that what cannot be known decides closed.
#include "tests/policy/bundle/support.h"

#include "policy/sql/facts.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace chaperone::policy {
namespace {

constexpr std::string_view kGuardrails = R"(  when: resource.labels.env == "prod"
  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind in ["create", "alter", "drop", "truncate"])
    deny: {reason: "agents do not change the schema", hint: "open a migration request"}
  - id: writes
    when: sql.writes.size() > 0
    approve: {by: ["group:dba"], count: 2, within: 5m, scope: 15m}
  - id: pii
    mask:
    - {columns: ["public.customers.email", "*.ssn"], with: redact}
    - {detect: [EMAIL_ADDRESS, CREDIT_CARD], with: pseudonym}
  - id: reads
    when: sql.effects.all(e, e.kind == "read")
    allow: {}
)";

TEST(Engine, TheExampleOfTheDesign) {
    const auto bundle = bundle_of(kGuardrails);
    EXPECT_EQ(verdict(bundle, about("DROP TABLE log")), "deny no-ddl");
    EXPECT_EQ(verdict(bundle, about("UPDATE log SET note = 'x'")), "approve writes");
    EXPECT_EQ(verdict(bundle, about("SELECT id FROM customers")), "allow reads");
    EXPECT_EQ(verdict(bundle, about("SELECT 1; DROP TABLE log")), "deny no-ddl");
    EXPECT_EQ(verdict(bundle, about("SELEC 1")), "deny");
    EXPECT_EQ(verdict(bundle, about("")), "allow");
    const DecisionPtr read = decide(bundle, about("SELECT email FROM customers"));
    EXPECT_EQ(read->masks.column("public", "customers", "email"), detect::With::Redact);
    EXPECT_EQ(read->masks.column("other", "people", "ssn"), detect::With::Redact);
    EXPECT_EQ(read->masks.column("public", "customers", "id"), std::nullopt);
    EXPECT_EQ(read->masks.detectors.size(), 1U);
    const DecisionPtr write = decide(bundle, about("UPDATE log SET note = 'x'"));
    ASSERT_EQ(write->approvals.size(), 1U);
    EXPECT_EQ(write->approvals[0].count, 2U);
    EXPECT_EQ(write->approvals[0].window, std::chrono::minutes{15});
    EXPECT_EQ(decide(bundle, about("DROP TABLE log"))->hint, "open a migration request");
    EXPECT_EQ(read->bundle, bundle->digest());
}

struct Row {
    const char* name;
    const char* rules;
    const char* sql;
    const char* verdict;
};

class Combination : public testing::TestWithParam<Row> {};

TEST_P(Combination, DecidesAsTheTableSays) {
    EXPECT_EQ(
        verdict(bundle_of(std::string{"  rules:\n"} + GetParam().rules), about(GetParam().sql)),
        GetParam().verdict);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, Combination, testing::Values(
    Row{"NothingAllows",   "  - {id: d, when: \"false\", deny: {}}\n",                                  "SELECT 1", "deny"},
    Row{"Allow",           "  - {id: a, allow: {}}\n",                                                  "SELECT 1", "allow a"},
    Row{"DenyWins",        "  - {id: a, allow: {}}\n  - {id: d, deny: {}}\n",                           "SELECT 1", "deny d"},
    Row{"DenyOverApprove", "  - {id: a, approve: {by: [\"user:x\"]}}\n  - {id: d, deny: {}}\n",         "SELECT 1", "deny d"},
    Row{"ApproveOverAllow","  - {id: a, allow: {}}\n  - {id: p, approve: {by: [\"user:x\"]}}\n",        "SELECT 1", "approve p"},
    Row{"MaskAloneDenies", "  - {id: m, mask: [{columns: [x]}]}\n",                                     "SELECT 1", "deny"},
    // A condition that fails: no label "none".
    Row{"FailedDeny",      "  - {id: a, allow: {}}\n  - {id: d, when: workload.labels.none == \"x\", deny: {}}\n", "SELECT 1", "deny d"},
    Row{"FailedApprove",   "  - {id: a, allow: {}}\n  - {id: p, when: workload.labels.none == \"x\", approve: {by: [\"user:x\"]}}\n", "SELECT 1", "approve p"},
    Row{"FailedAllow",     "  - {id: a, when: workload.labels.none == \"x\", allow: {}}\n",             "SELECT 1", "deny"},
    Row{"OptionalLabel",   "  - {id: a, allow: {}}\n  - {id: d, when: \"workload.labels.?none.orValue('') == 'x'\", deny: {}}\n", "SELECT 1", "allow a"},
    Row{"FailedInRequest", "  - {id: a, allow: {}}\n  - {id: d, when: \"sql.effects[7].kind == 'read'\", deny: {}}\n", "SELECT 1", "deny d"},
    Row{"FailedButFalse",  "  - {id: a, allow: {}}\n  - {id: d, when: \"workload.labels.none == 'x' && sql.text == 'no'\", deny: {}}\n", "SELECT 1", "allow a"},
    // What cannot be analysed is not allowed by a rule that did not think of it.
    Row{"UnknownByAbsence","  - {id: a, when: sql.writes.size() == 0, allow: {}}\n",                    "SELEC 1",  "deny"},
    Row{"UnknownAsked",    "  - {id: a, when: sql.writes.size() == 0, allow: {unknown: true}}\n",       "SELEC 1",  "allow a"},
    Row{"UnknownNamed",    "  - {id: a, when: \"!sql.parsed\", allow: {}}\n",                           "SELEC 1",  "allow a"},
    Row{"UnknownAnything", "  - {id: a, allow: {}}\n",                                                  "SELEC 1",  "allow a"},
    Row{"MaskedFlow",      "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email]}]}\n",         "INSERT INTO log(note) SELECT email FROM customers", "deny masked-flow"},
    Row{"UnmaskedFlow",    "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email]}]}\n",         "INSERT INTO log(id) SELECT id FROM customers", "allow a"},
    Row{"MaskedInPlace",   "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email]}]}\n",         "UPDATE customers SET email = lower(email)", "allow a"},
    Row{"MaskedFilter",    "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email], filters: deny}]}\n", "SELECT id FROM customers WHERE email = 'x'", "deny masked-filter"},
    Row{"OtherFilter",     "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email], filters: deny}]}\n", "SELECT email FROM customers WHERE id = '1'", "allow a"},
    Row{"FilterByDefault", "  - {id: a, allow: {}}\n  - {id: m, mask: [{columns: [email]}]}\n",         "SELECT id FROM customers WHERE email = 'x'", "allow a"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

// Whatever the order of files, policies and rules: the same answers.
TEST(Engine, OrderNeverMatters) {
    std::vector<std::string> rules{
        "  - {id: a, when: sql.reads.size() > 0, allow: {}}\n",
        "  - {id: b, when: \"'public.log' in sql.reads\", deny: {reason: r1}}\n",
        "  - {id: c, when: \"'public.log' in sql.reads\", deny: {reason: r2}}\n",
        "  - {id: d, when: sql.writes.size() > 0, approve: {by: [\"user:x\"]}}\n",
        "  - {id: e, when: sql.writes.size() > 0, approve: {by: [\"user:y\"]}}\n",
        "  - {id: f, mask: [{columns: [email], with: partial}]}\n",
        "  - {id: g, mask: [{columns: [email], with: hash}, {columns: [ssn]}]}\n"};
    const std::vector<std::string> texts{"SELECT id FROM customers", "SELECT * FROM log",
                                         "UPDATE log SET id = '1'", "SELECT 1", "SELEC"};
    std::vector<std::string> expected;
    std::mt19937 chance{7};
    for (int round = 0; round != 12; ++round) {
        std::ranges::shuffle(rules, chance);
        std::string spec = "  rules:\n";
        for (const std::string& rule : rules) spec += rule;
        const auto bundle = bundle_of(spec);
        for (std::size_t i = 0; i != texts.size(); ++i) {
            Decision got = *decide(bundle, about(texts[i]));
            got.bundle.clear();
            if (round == 0) expected.push_back(to_json(got));
            EXPECT_EQ(to_json(got), expected[i]) << spec;
        }
    }
}

TEST(Engine, TheStrongerMaskWins) {
    const auto bundle = bundle_of(
        "  rules:\n  - {id: a, allow: {}}\n"
        "  - {id: f, mask: [{columns: [email], with: partial}]}\n"
        "  - {id: g, mask: [{columns: [customers.email], with: \"null\"}]}\n");
    const DecisionPtr got = decide(bundle, about("SELECT email FROM customers"));
    EXPECT_EQ(got->masks.column("public", "customers", "email"), detect::With::Null);
    EXPECT_EQ(got->masks.column("public", "others", "email"), detect::With::Partial);
    EXPECT_EQ(got->masks.unknown_column(), detect::With::Null);
}

TEST(Engine, AnIdOfTwoPoliciesIsPrintedWithItsPolicy) {
    const bundle::Loaded loaded =
        load_text(policy_text("p", "  rules: [{id: a, allow: {}}]\n") + "---\n" +
                  policy_text("q", "  rules: [{id: a, deny: {}}]\n"));
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    EXPECT_EQ(verdict(loaded.bundle, about("SELECT 1")), "deny q/a");
}

TEST(Engine, ShadowIsRecordedAndChangesNothing) {
    const auto bundle = bundle_of(
        "  rules:\n  - {id: a, allow: {}}\n"
        "  - {id: d, mode: shadow, when: sql.writes.size() > 0, deny: {}}\n");
    const DecisionPtr write = decide(bundle, about("UPDATE log SET id = '1'"));
    EXPECT_EQ(write->effect, Effect::Allow);
    EXPECT_EQ(write->shadow_effect, Effect::Deny);
    EXPECT_EQ(write->shadow_rules, std::vector<std::string>{"d"});
    EXPECT_TRUE(decide(bundle, about("SELECT 1"))->shadow_rules.empty());
}

TEST(Engine, AWorkloadInShadowOnlyWatches) {
    const std::string house = std::string{kHouse} +
                              "---\napiVersion: chaperone.dev/v1\nkind: Workload\n"
                              "metadata: {name: trial}\n"
                              "spec: {identity: {subject: t}, mode: shadow}\n";
    const bundle::Loaded loaded =
        load_text(policy_text("p", "  rules: [{id: d, deny: {reason: no}}]\n"), house);
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    Question question = about("DROP TABLE log");
    EXPECT_EQ(decide(loaded.bundle, question)->effect, Effect::Deny);
    question.workload = "trial";
    const DecisionPtr got = decide(loaded.bundle, question);
    EXPECT_EQ(got->effect, Effect::Allow);
    EXPECT_EQ(got->shadow_effect, Effect::Deny);
    EXPECT_EQ(got->shadow_rules, std::vector<std::string>{"d"});
}

TEST(Engine, APolicyIsAboutItsSessions) {
    const auto bundle =
        bundle_of("  when: resource.name == \"orders\"\n  rules: [{id: a, allow: {}}]\n");
    EXPECT_EQ(verdict(bundle, about("SELECT 1")), "allow a");
    EXPECT_EQ(verdict(bundle, about("SELECT 1", "scratch")), "deny");
    EXPECT_EQ(verdict(bundle, about("", "scratch")), "deny");
}

TEST(Connect, OpensOnlyWhereSomethingCanBeAllowed) {
    const auto bundle = bundle_of(
        "  rules:\n"
        "  - {id: a, when: \"resource.name == 'orders' && sql.parsed\", allow: {}}\n"
        "  - {id: d, when: conn.user == \"root\", deny: {reason: not as root}}\n");
    EXPECT_EQ(verdict(bundle, about("")), "allow");
    EXPECT_EQ(verdict(bundle, about("", "scratch")), "deny");
    Question root = about("");
    root.user = "root";
    EXPECT_EQ(verdict(bundle, root), "deny d");
}

TEST(Connect, ReplicationNeedsARuleThatNamesIt) {
    Question question = about("");
    question.replication = true;
    EXPECT_EQ(verdict(bundle_of("  rules: [{id: a, allow: {}}]\n"), question), "deny");
    EXPECT_EQ(
        verdict(bundle_of("  rules: [{id: a, when: conn.replication, allow: {}}]\n"), question),
        "allow a");
    EXPECT_EQ(verdict(bundle_of("  rules:\n  - {id: a, when: conn.replication, allow: {}}\n"
                                "  - {id: m, mask: [{columns: [email]}]}\n"),
                      question),
              "deny masks-need-inspection");
}

TEST(Connect, AsksForTheSessionsApprovalOnly) {
    const std::string rules = "  rules:\n  - {id: p, approve: {by: [\"user:x\"], scope: SCOPE}}\n";
    const auto with = [&](const std::string& scope) {
        std::string spec = rules;
        return bundle_of(spec.replace(spec.find("SCOPE"), 5, scope));
    };
    EXPECT_EQ(verdict(with("session"), about("")), "approve p");
    EXPECT_EQ(verdict(with("statement"), about("")), "allow");
    EXPECT_EQ(verdict(with("statement"), about("SELECT 1")), "approve p");
}

TEST(Connect, DatabasesThatAreNotListedDoNotOpen) {
    const std::string house =
        "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: orders}\n"
        "spec: {protocol: postgresql, hosts: [db], databases: [shop]}\n---\n"
        "apiVersion: chaperone.dev/v1\nkind: Workload\nmetadata: {name: billing}\n"
        "spec: {identity: {subject: b}}\n";
    const bundle::Loaded loaded =
        load_text(policy_text("p", "  rules: [{id: a, allow: {}}]\n"), house);
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    Question question = about("SELECT 1");
    question.database = "shop";
    EXPECT_EQ(verdict(loaded.bundle, question), "allow a");
    question.database = "postgres";
    EXPECT_EQ(verdict(loaded.bundle, question), "deny unlisted-database");
}

// A session, asked by hand.
class Session : public testing::Test {
protected:
    void open(std::string_view rules) {
        bundle_ = bundle_of(rules);
        asked_ = *ask(*bundle_, about("UPDATE log SET note = $1"));
        policy_.emplace(bundle_, asked_.request.session);
    }
    DecisionPtr decide(Stage stage, std::vector<Parameter> parameters = {}) {
        Request request = asked_.request;
        request.stage = stage;
        request.parameters = std::move(parameters);
        return policy_->decide(request);
    }
    std::shared_ptr<const bundle::Bundle> bundle_;
    Asked asked_;
    std::optional<SessionPolicy> policy_;
};

TEST_F(Session, PreparingAsksNobody) {
    open("  rules:\n  - {id: w, when: sql.writes.size() > 0, approve: {by: [\"user:x\"]}}\n");
    EXPECT_EQ(decide(Stage::Prepare)->effect, Effect::Allow);
    EXPECT_EQ(decide(Stage::Execute)->effect, Effect::Approve);
    EXPECT_EQ(decide(Stage::Statement)->effect, Effect::Approve);
}

TEST_F(Session, ValuesCountOnceTheyAreKnown) {
    open(
        "  rules:\n  - {id: a, allow: {}}\n"
        "  - {id: d, when: \"sql.parameters.exists(p, p.text == 'bad')\", deny: {}}\n");
    EXPECT_EQ(decide(Stage::Prepare)->effect, Effect::Allow);
    EXPECT_EQ(decide(Stage::Execute, {{.text = "good"}})->effect, Effect::Allow);
    EXPECT_EQ(decide(Stage::Execute, {{.text = "bad"}})->effect, Effect::Deny);
    EXPECT_EQ(decide(Stage::Execute, {{.null = true}})->effect, Effect::Allow);
    EXPECT_EQ(decide(Stage::Execute, {{.truncated = true, .text = "go"}})->effect, Effect::Deny);
    EXPECT_EQ(decide(Stage::Execute, {{.text = "\xff"}})->effect, Effect::Deny);
    EXPECT_EQ(decide(Stage::Execute, {{.text = "good"}})->effect, Effect::Allow);
}

TEST_F(Session, DecidesTheSameStatementOnce) {
    open("  rules:\n  - {id: a, when: sql.parsed, allow: {}}\n");
    const DecisionPtr first = decide(Stage::Statement);
    EXPECT_EQ(first, decide(Stage::Statement));
    EXPECT_NE(first, decide(Stage::Execute));
}

TEST_F(Session, WhatTheSessionRefusesIsDenied) {
    open("  rules: [{id: a, allow: {}}]\n");
    Request request = asked_.request;
    request.refused = "too large";
    EXPECT_EQ(policy_->decide(request)->effect, Effect::Deny);
    EXPECT_EQ(policy_->decide(request)->reason, "too large");
    EXPECT_EQ(decide(Stage::Statement)->effect, Effect::Allow);
}

TEST(Engine, AThousandRulesLeaveTheFewOfTheSession) {
    std::string spec = "  rules:\n  - {id: a, when: sql.parsed, allow: {}}\n";
    for (int i = 0; i != 1'000; ++i)
        spec += "  - {id: r" + std::to_string(i) + ", when: \"resource.name == 'x" +
                std::to_string(i) + "' && sql.writes.size() > 0\", deny: {}}\n";
    EXPECT_EQ(verdict(bundle_of(spec), about("UPDATE log SET id = '1'")), "allow a");
}

}  // namespace
}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
// Two bundles in meaning, and one that is asked what was recorded.
#include "policy/testing/compare.h"

#include "policy/sql/analyzer.h"
#include "tests/policy/bundle/support.h"

#include <map>

namespace chaperone::policy {
namespace {

std::shared_ptr<const bundle::Bundle> rules(const std::string& text) {
    return bundle_of("  rules:\n" + text);
}

constexpr const char* kReads =
    "  - {id: reads, when: \"sql.effects.all(e, e.kind == 'read')\", allow: {}}\n";

std::map<std::string, std::string> changes(const std::string& before, const std::string& after) {
    const testing::Comparison comparison{rules(before), rules(after)};
    std::map<std::string, std::string> made;
    for (const testing::RuleChange& one : comparison.rules()) made[one.rule] = one.change;
    return made;
}

using Made = std::map<std::string, std::string>;

TEST(Compare, RulesByWhatTheyMatch) {
    const std::string wide =
        "  - {id: r, when: \"sql.effects.exists(e, e.kind in ['drop', 'create'])\", deny: {}}\n";
    const std::string narrow =
        "  - {id: r, when: \"sql.effects.exists(x, x.kind == 'drop')\", deny: {}}\n";
    const std::string other =
        "  - {id: r, when: \"sql.effects.exists(x, x.kind == 'grant')\", deny: {}}\n";
    const std::string rewritten =
        "  - {id: r, when: \"!sql.effects.all(x, x.kind != 'drop')\", deny: {}}\n";
    const std::string approved =
        "  - {id: r, when: \"sql.effects.exists(x, x.kind == 'drop')\", approve: {by: "
        "[\"user:ann\"]}}\n";
    EXPECT_EQ(changes(narrow, narrow), Made{});
    EXPECT_EQ(changes(narrow, wide), (Made{{"p/r", "wider"}}));
    EXPECT_EQ(changes(wide, narrow), (Made{{"p/r", "narrower"}}));
    EXPECT_EQ(changes(narrow, other), (Made{{"p/r", "changed"}}));
    EXPECT_EQ(changes(narrow, rewritten), (Made{{"p/r", "same"}}));
    EXPECT_EQ(changes(narrow, approved), (Made{{"p/r", "effect"}}));
    EXPECT_EQ(changes(narrow, narrow + kReads), (Made{{"p/reads", "added"}}));
    EXPECT_EQ(changes(narrow + kReads, narrow), (Made{{"p/reads", "removed"}}));
}

TEST(Compare, AsksBothTheSameRequests) {
    testing::Comparison comparison{
        rules(kReads),
        rules(std::string{kReads} +
              "  - {id: no-hr, when: \"sql.reads.exists(r, r.startsWith('hr.'))\", deny: {}}\n")};
    ASSERT_TRUE(sql::run_with_big_stack([&] { comparison.ask_probes(); }));
    const auto found = comparison.requests().changes();
    ASSERT_FALSE(found.empty());
    for (const testing::Change& one : found) {
        EXPECT_EQ(one.before, "allow");
        EXPECT_EQ(one.after, "deny");
        EXPECT_EQ(one.rule, "no-hr");
        EXPECT_NE(one.examples.front().find("hr.probe"), std::string::npos);
    }
    EXPECT_NE(to_table(comparison).find("added  p/no-hr"), std::string::npos);
    EXPECT_NE(to_json(comparison).find("\"change\":\"added\""), std::string::npos);
}

TEST(Compare, SeesMasksThatChange) {
    const std::string mask = "  - {id: m, mask: [{columns: [email]}]}\n";
    const std::string more = "  - {id: m, mask: [{columns: [email, ssn]}]}\n";
    testing::Comparison comparison{rules(kReads + mask), rules(kReads + more)};
    ASSERT_TRUE(sql::run_with_big_stack([&] { comparison.ask(about("SELECT 1")); }));
    const auto found = comparison.requests().changes();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].before, "mask email");
    EXPECT_EQ(found[0].after, "mask email, ssn");
}

TEST(Compare, WorkloadsThatOneDoesNotHave) {
    testing::Comparison comparison{rules(kReads), rules(kReads)};
    Question question = about("SELECT 1");
    question.workload = "nobody";
    ASSERT_TRUE(sql::run_with_big_stack([&] { comparison.ask(question); }));
    EXPECT_TRUE(comparison.same());
}

// The same answers as asked one by one, whatever was asked before in the session.
TEST(Asker, AnswersAsAFreshSessionWould) {
    const auto bundle =
        rules(std::string{kReads} +
              "  - {id: late, when: \"now.getFullYear() > 2030\", deny: {}}\n"
              "  - {id: big, when: \"sql.parameters.exists(p, p.text == '7')\", deny: {}}\n");
    testing::Asker asker{bundle};
    std::vector<Question> questions;
    for (const char* statement :
         {"SELECT 1", "DROP TABLE t", "SELECT id FROM log WHERE id = $1", ""}) {
        for (const char* parameter : {"6", "7"}) {
            Question question = about(statement);
            question.tables.clear();
            if (question.statement.contains('$')) question.parameters = {{parameter}};
            questions.push_back(question);
            question.now = Time{std::chrono::hours{24 * 365 * 70}};
            questions.push_back(question);
        }
    }
    const auto work = [&] {
        for (int round = 0; round != 2; ++round)
            for (const Question& question : questions) {
                // A session that opens at another time is another.
                const bool late = question.now != Time{};
                const DecisionPtr got = asker.ask(question, late ? "s2" : "s1");
                ASSERT_TRUE(got);
                const DecisionPtr wanted = decide(bundle, question);
                EXPECT_EQ(got->effect, wanted->effect) << question.statement;
                EXPECT_EQ(got->rule, wanted->rule) << question.statement;
            }
    };
    ASSERT_TRUE(sql::run_with_big_stack(work));
}

}  // namespace
}  // namespace chaperone::policy

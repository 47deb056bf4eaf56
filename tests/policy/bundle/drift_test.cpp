// SPDX-License-Identifier: Apache-2.0
// What `policy check` says of rules that do nothing to each other's purpose, and what it leaves be.
#include "policy/bundle/check.h"
#include "tests/policy/bundle/support.h"

namespace chaperone::policy {
namespace {

// Rules of two files, "effect: condition" each; the warnings as "id file/rule".
struct Two {
    const char* name;
    std::vector<const char*> a, b;
    std::string warnings;
};
void PrintTo(const Two& two, std::ostream* out) {
    *out << two.name;
}

std::string rules_of(const std::vector<const char*>& rules) {
    std::string text = "  rules:\n";
    int number = 0;
    for (const std::string rule : rules) {
        const std::size_t colon = rule.find(": ");
        const std::string effect = rule.substr(0, colon);
        text += "  - id: r" + std::to_string(++number) + "\n    when: >-\n      " +
                rule.substr(colon + 2) + "\n    ";
        if (effect == "approve")
            text += "approve: {by: [\"user:ann\"]}\n";
        else if (effect == "mask")
            text += "mask: [{columns: [email]}]\n";
        else
            text += effect + ": {}\n";
    }
    return text;
}

class Drifts : public ::testing::TestWithParam<Two> {};

TEST_P(Drifts, AreFound) {
    std::vector<bundle::SourceFile> files{{"house.yaml", std::string{kHouse}}};
    files.push_back({"a.yaml", policy_text("a", rules_of(GetParam().a))});
    if (!GetParam().b.empty())
        files.push_back({"b.yaml", policy_text("b", rules_of(GetParam().b))});
    const bundle::Loaded loaded = load_files(std::move(files));
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    const auto issues = bundle::drift(*loaded.bundle);
    std::string got;
    for (const bundle::Issue& issue : issues) {
        if (issue.id == "resource-unused") continue;
        got += (got.empty() ? "" : ", ") + issue.id + " " + issue.file.substr(0, 1);
        got += std::to_string(issue.line);
    }
    EXPECT_EQ(got, GetParam().warnings) << bundle::to_text(issues);
}

constexpr const char* kReads = "allow: sql.parsed && sql.effects.all(e, e.kind == 'read')";

// Rule n of a file has its id at line 6 + 4 (n - 1), its condition's text two lines below.
INSTANTIATE_TEST_SUITE_P(
    Table, Drifts,
    ::testing::Values(
        Two{"Nothing",
            {kReads, "deny: sql.effects.exists(e, e.kind in ['drop', 'create'])"},
            {"approve: sql.writes.size() > 0", "mask: 'public.customers' in sql.reads"},
            ""},
        // Overridden.
        Two{"NarrowAllow",
            {"allow: sql.effects.exists(e, e.kind == 'drop' && e.object == 'public.t')",
             "deny: sql.effects.exists(x, x.kind in ['drop', 'create'])"},
            {},
            "never-decides a6"},
        Two{"NarrowDenyAfterTheWide",
            {"deny: sql.effects.exists(e, e.kind in ['drop', 'create'])",
             "deny: sql.effects.exists(e, e.kind == 'drop')", kReads},
            {},
            "never-decides a10"},
        Two{"NarrowDenyBeforeTheWide",
            {"deny: sql.effects.exists(e, e.kind == 'drop')",
             "deny: sql.effects.exists(e, e.kind in ['drop', 'create'])", kReads},
            {},
            ""},
        Two{"AllowThatIsAlwaysHeld",
            {"approve: sql.writes.size() > 0", "allow: 'public.t' in sql.writes"},
            {},
            "never-decides a10"},
        Two{"ApproveThatIsAlwaysDenied",
            {"approve: sql.writes.exists(w, w.startsWith('hr.'))", "deny: sql.writes.size() >= 1",
             kReads},
            {},
            "never-decides a6"},
        Two{"DeniedByTwoTogether",
            {"allow: sql.effects.exists(e, e.kind == 'drop' || e.kind == 'create') && sql.runs",
             "deny: sql.effects.exists(e, e.kind == 'drop')",
             "deny: sql.effects.exists(e, e.kind == 'create')", kReads},
            {},
            "never-decides a6"},
        Two{"BySession",
            {"allow: resource.name == 'orders' && sql.parsed",
             "deny: resource.labels.?env.orValue('') == 'prod'",
             "allow: resource.name == 'scratch' && sql.parsed"},
            {},
            "never-decides a6"},
        // Contradictions.
        Two{"AllowedHereDeniedThere",
            {"allow: resource.name == 'orders' && sql.effects.all(e, e.kind == 'read')"},
            {"deny: resource.name == 'orders' && sql.effects.exists(e, e.kind == 'read')"},
            "contradiction a6"},
        Two{"OneValueOfSeveral",
            {"allow: sql.parsed && sql.effects.all(e, e.kind in ['read', 'update'])"},
            {"deny: sql.effects.exists(e, e.kind in ['update', 'delete'])"},
            "contradiction a6"},
        Two{"OneResourceOfTwo",
            {"allow: resource.name in ['orders', 'scratch'] && sql.parsed"},
            {"deny: resource.name == 'scratch'"},
            "contradiction a6"},
        Two{"AGuardrailIsNone",
            {"allow: sql.parsed && sql.effects.all(e, e.kind in ['read', 'insert'])"},
            {"deny: sql.effects.exists(e, e.kind == 'insert' && e.object.startsWith('audit.'))",
             "deny: 'public.secrets' in sql.reads"},
            ""},
        // Impossible.
        Two{"NoSuchKind",
            {"deny: sql.effects.exists(e, e.kind in ['creat', 'drop'])", kReads},
            {},
            "impossible a8"},
        Two{"NoSuchWorkload", {"deny: workload.name == 'biling'", kReads}, {}, "impossible a8"},
        Two{"NoSuchProtocol",
            {"deny: resource.protocol == 'postgres'", kReads},
            {},
            "impossible a8"},
        Two{"NoSuchLabel",
            {"deny: resource.labels.?env.orValue('') == 'prd'", kReads},
            {},
            "impossible a6"},
        Two{"NeverBoth",
            {"deny: sql.stage == 'execute' && sql.stage == 'prepare'", kReads},
            {},
            "impossible a6"},
        Two{"NoSuchElement",
            {"deny: sql.effects.all(e, e.kind == 'read') && sql.writes.size() > 0", kReads},
            {},
            "impossible a6"},
        // Masks.
        Two{"MaskOfWhatIsDenied",
            {"mask: resource.name == 'scratch'", "deny: resource.name == 'scratch'",
             "allow: sql.parsed && resource.name == 'orders'"},
            {},
            "never-decides a6"},
        Two{"MaskThatNothingAllows",
            {"mask: sql.effects.exists(e, e.kind == 'copy_out')", kReads},
            {},
            "mask-unmet a6"}),
    [](const auto& info) { return std::string{info.param.name}; });

TEST(DriftMessages, NameTheOtherRuleAndAnExample) {
    const bundle::Loaded loaded = load_files(
        {{"house.yaml", std::string{kHouse}},
         {"a.yaml", policy_text("a", rules_of({"allow: 'public.t' in sql.writes"}))},
         {"b.yaml", policy_text("b", rules_of({"deny: sql.writes.size() > 0", kReads}))}});
    ASSERT_TRUE(loaded.bundle);
    const auto issues = bundle::drift(*loaded.bundle);
    ASSERT_EQ(issues.size(), 1U) << bundle::to_text(issues);
    EXPECT_NE(issues[0].message.find("rule \"b/r1\" at b.yaml:6 denies what this rule allows, for "
                                     "example \""),
              std::string::npos)
        << issues[0].message;
    EXPECT_NE(issues[0].message.find("public.t"), std::string::npos) << issues[0].message;
    EXPECT_NE(issues[0].message.find("by billing on orders"), std::string::npos);
}

TEST(DriftMessages, SuggestTheValueThatWasMeant) {
    const bundle::Loaded loaded = load_text(policy_text(
        "p", rules_of({"deny: sql.effects.exists(e, e.kind in ['drop', 'creat'])", kReads})));
    ASSERT_TRUE(loaded.bundle);
    const auto issues = bundle::drift(*loaded.bundle);
    ASSERT_EQ(issues.size(), 1U);
    EXPECT_EQ(issues[0].message, "sql.effects[].kind is never \"creat\"");
    EXPECT_EQ(issues[0].suggestion, "did you mean \"create\"?");
    EXPECT_EQ(issues[0].column, 48U);
    EXPECT_EQ(issues[0].length, 7U);
}

TEST(DriftMessages, OncePerPolicyThatIsAboutNothingHere) {
    const bundle::Loaded loaded = load_text(
        policy_text("p", "  when: resource.protocol == 'http'\n  rules:\n  - {id: a, allow: {}}\n"
                         "  - {id: b, when: \"1 == 1\", deny: {}}\n"));
    ASSERT_TRUE(loaded.bundle);
    std::string got;
    for (const bundle::Issue& issue : bundle::drift(*loaded.bundle))
        got += issue.id + " " + std::to_string(issue.line) + " ";
    EXPECT_EQ(got, "resource-unused 3 resource-unused 8 impossible 3 ");
}

TEST(DriftApprovers, AreCountedOverGroupsOfTheHost) {
    const auto with = [](const char* by, const bundle::GroupSize& groups) {
        const bundle::Loaded loaded = load_text(policy_text(
            "p", "  rules:\n  - {id: r, approve: {count: 2, by: [" + std::string{by} + "]}}\n"));
        EXPECT_TRUE(loaded.bundle);
        return bundle::to_text(bundle::drift(*loaded.bundle, groups));
    };
    const bundle::GroupSize host = [](const std::string& name) -> std::optional<std::size_t> {
        return name == "dba" ? std::optional<std::size_t>{2} : std::nullopt;
    };
    EXPECT_EQ(with("\"group:dba\"", host), "");
    EXPECT_EQ(with("\"group:nobody-here\"", {}), "");
    EXPECT_NE(with("\"group:nobody-here\"", host).find("\"nobody-here\" is neither a group"),
              std::string::npos);
    // The agent itself is none.
    EXPECT_NE(with("\"user:ann\", \"user:agent:billing\"", host).find("[no-approver]"),
              std::string::npos);
}

}  // namespace
}  // namespace chaperone::policy

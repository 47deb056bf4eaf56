// SPDX-License-Identifier: Apache-2.0
// What `policy test`, `policy explain` and `policy check` are made of.
#include "policy/bundle/check.h"
#include "policy/bundle/schema.h"
#include "policy/engine/variables.h"
#include "policy/testing/run_tests.h"
#include "policy/yaml/text.h"
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

// One case of each way to ask: what the agent sends, as it would be written.
TEST(RunTests, CommandsMessagesAndNames) {
    constexpr std::string_view kWorld = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: host}
spec: {protocol: ssh, hosts: [host.internal]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: chat}
spec: {protocol: http, hosts: [chat.internal]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing}
spec: {identity: {subject: "agent:billing"}}
---
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
  - id: no-delete
    when: ssh.effects.exists(e, e.kind == "delete" && e.object.startsWith("/srv"))
    deny: {reason: nothing is deleted}
  - id: looks
    when: resource.name == "host" && ssh.effects.all(e, e.kind in ["run", "read"])
    allow: {}
  - id: sudo
    when: ssh.programs.exists(p, p == "sudo") && ssh.commands.all(c, c.certain)
    approve: {by: ["group:ops"]}
  - id: chat
    when: resource.name == "chat" && http.method == "GET"
    allow: {}
  - id: no-shouting
    when: ws.text.contains("!")
    deny: {}
  - id: no-txt
    when: dns.type == "TXT"
    deny: {}
---
apiVersion: chaperone.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  cases:
  - {name: looks, workload: billing, resource: host, command: "tail -n 5 /var/log/app | grep x", expect: {effect: allow, rule: looks}}
  - {name: deletes, workload: billing, resource: host, command: "sh -c 'rm -rf /srv/x'", expect: {effect: deny, rule: no-delete}}
  - {name: hidden, workload: billing, resource: host, command: "cat $X", expect: {effect: deny, rule: ""}}
  - {name: unread, workload: billing, resource: host, command: "cat 'x", expect: {effect: deny, rule: ""}}
  - {name: asks, workload: billing, resource: host, command: "sudo reboot", expect: {effect: approve, rule: sudo}}
  - name: talks
    workload: billing
    resource: chat
    http: {url: "https://chat.internal/", headers: {Upgrade: websocket, Connection: Upgrade}}
    ws: {text: hello}
    expect: {effect: allow, rule: chat}
  - name: shouts
    workload: billing
    resource: chat
    http: {url: "https://chat.internal/", headers: {Upgrade: websocket, Connection: Upgrade}}
    ws: {text: "hello!", fromServer: true}
    expect: {effect: deny, rule: no-shouting}
  - {name: resolves, workload: billing, dns: chat.internal, expect: {effect: allow}}
  - {name: text, workload: billing, dns: chat.internal, dnsType: TXT, expect: {effect: deny, rule: no-txt}}
  - {name: nobody's, workload: billing, dns: elsewhere.example, expect: {effect: deny}}
)";
    const bundle::Loaded loaded = load_files({{"all.yaml", std::string{kWorld}}});
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    const auto report = testing::run_tests(loaded.bundle);
    EXPECT_EQ(report.cases.size(), 10U);
    for (const testing::CaseResult& one : report.cases)
        EXPECT_TRUE(one.pass) << one.name << ": " << one.why;
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

// What XML 1.0 has no way to write does not make the file unreadable.
TEST(RunTests, JunitHoldsOnlyWhatXmlHas) {
    testing::Report report;
    report.cases.push_back({.suite = "s",
                            .name = "a\x01\x1b\r\n\t\xef\xbf\xbe\xef\xbf\xbf\xc3\xa9\xff]]>",
                            .pass = true});
    const std::string xml = to_junit(report);
    EXPECT_NE(xml.find("name=\"a??&#13;&#10;&#9;??\xc3\xa9?]]&gt;\""), std::string::npos) << xml;
    EXPECT_NE(to_table(report).find("a??   "), std::string::npos) << to_table(report);
}

// Names in a statement are the agent's: a terminal must not obey them, nor read lines of theirs.
TEST(Explain, ShowsAnAgentsNamesAsOneLine) {
    const auto bundle = tested(kDrop);
    const auto asked = ask(*bundle, about("SELECT \"c\x1b[2J\" FROM \"a\x1b]0;x\x07\nrules\xc2\x9b"
                                          "b\""));
    ASSERT_TRUE(asked);
    const std::string text = to_text(explain(bundle, asked->request));
    EXPECT_EQ(text.find_first_of("\x1b\x07"), std::string::npos) << text;
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos) << text;
    EXPECT_EQ(text.find("\nrules"), text.rfind("\nrules")) << text;
}

TEST(OneLine, IsCutBetweenCodePoints) {
    EXPECT_EQ(yaml::one_line("a\nb\x7f\xc2\x85\xe2\x82"), "a b????");
    EXPECT_EQ(yaml::one_line("\xc3\xa9\xc3\xa9", 3), "\xc3\xa9");
    EXPECT_EQ(yaml::one_line("abc", 0), "");
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

TEST(Explain, ShowsWhatACommandDoes) {
    const auto bundle = tested(kDrop);
    Question question = about("");
    question.command = "sudo rm /srv/x";
    const auto asked = ask(*bundle, question);
    ASSERT_TRUE(asked);
    const auto json = boost::json::parse(to_json(explain(bundle, asked->request)));
    EXPECT_EQ(boost::json::serialize(json.at("facts").at("ssh").at("effects")),
              R"([{"kind":"run","object":"rm"},{"kind":"run","object":"sudo"},)"
              R"({"kind":"delete","object":"/srv/x"},{"kind":"privilege","object":"root"}])");
    EXPECT_EQ(json.at("decision").at("effect"), "deny");
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

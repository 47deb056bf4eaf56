// SPDX-License-Identifier: Apache-2.0
// What a bundle may say, and where and how each mistake in it is reported.
#include "tests/policy/bundle/support.h"

#include <filesystem>
#include <fstream>

namespace chaperone::policy {
namespace {

namespace fs = std::filesystem;
using bundle::Issue;
using bundle::Loaded;

// "policy.yaml:7:3 message | suggestion" of each error.
std::string errors(const Loaded& loaded) {
    std::string text;
    for (const Issue& issue : loaded.issues) {
        if (issue.severity != bundle::Severity::Error) continue;
        text += issue.file + ":" + std::to_string(issue.line) + ":" + std::to_string(issue.column) +
                " " + issue.message;
        if (!issue.suggestion.empty()) text += " | " + issue.suggestion;
        text += "\n";
    }
    return text;
}

struct Bad {
    const char* name;
    const char* text;
    const char* issue;  // the first line of errors()
};

class BadDocument : public testing::TestWithParam<Bad> {};

TEST_P(BadDocument, IsRefusedAtItsPlace) {
    const Loaded loaded = load_files({{"a.yaml", GetParam().text}});
    EXPECT_FALSE(loaded.bundle);
    const std::string got = errors(loaded);
    EXPECT_EQ(got.substr(0, got.find('\n')), GetParam().issue) << got;
}

#define HEAD "apiVersion: chaperone.dev/v1\n"
#define POLICY HEAD "kind: Policy\nmetadata: {name: p}\n"
#define RESOURCE HEAD "kind: Resource\nmetadata: {name: r}\n"

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, BadDocument, testing::Values(
    Bad{"NotYaml", "a: b: c\n", "a.yaml:1:5 this is not YAML: invalid nested block mapping on the same line"},
    Bad{"DuplicateKey", HEAD HEAD "kind: Policy\nmetadata: {name: p}\nspec: {rules: []}\n",
        "a.yaml:2:1 duplicate key \"apiVersion\", first on line 1"},
    Bad{"Tag", HEAD "kind: !!str Policy\n", "a.yaml:2:13 tags are not allowed in a bundle | remove the tag"},
    Bad{"Anchor", HEAD "kind: &x Policy\n", "a.yaml:2:10 anchors are not allowed in a bundle | write the value out"},
    Bad{"Alias", HEAD "kind: *x\n", "a.yaml:2:7 aliases are not allowed in a bundle | write the value out"},
    Bad{"Control", "a: \x01\n", "a.yaml:1:4 a control character, which could hide what is written here"},
    Bad{"Bidi", "a: \xe2\x80\xae" "b\n", "a.yaml:1:4 a control character, which could hide what is written here"},
    Bad{"Utf8", "a: \xff\n", "a.yaml:1:4 this is not valid UTF-8"},
    Bad{"NotAMapping", "- a\n", "a.yaml:1:1 a document must be a mapping with apiVersion, kind, metadata and spec"},
    Bad{"Kind", HEAD "kind: Polcy\n", "a.yaml:2:7 unknown kind \"Polcy\" | did you mean \"Policy\"?"},
    Bad{"Version", "apiVersion: v2\nkind: Policy\nmetadata: {name: p}\nspec: {rules: []}\n",
        "a.yaml:1:13 \"v2\" is no apiVersion that is known here | write chaperone.dev/v1"},
    Bad{"UnknownField", POLICY "spec:\n  rules:\n  - id: a\n    alow: {}\n    allow: {}\n",
        "a.yaml:7:5 unknown field \"alow\" | did you mean \"allow\"?"},
    Bad{"NoEffect", POLICY "spec:\n  rules:\n  - id: a\n", "a.yaml:6:5 one of allow, deny, approve, mask is missing here"},
    Bad{"TwoEffects", POLICY "spec:\n  rules:\n  - id: a\n    allow: {}\n    deny: {}\n",
        "a.yaml:8:5 \"allow\" and \"deny\" exclude each other"},
    Bad{"NoId", POLICY "spec:\n  rules:\n  - allow: {}\n", "a.yaml:6:5 \"id\" is missing here"},
    Bad{"EmptyWhen", POLICY "spec:\n  rules:\n  - id: a\n    when:\n    allow: {}\n",
        "a.yaml:7:5 \"when\" has no condition | leave it out if the rule is about everything"},
    Bad{"DuplicateRule", POLICY "spec:\n  rules:\n  - {id: a, allow: {}}\n  - {id: a, deny: {}}\n",
        "a.yaml:7:10 duplicate rule id \"a\", first on line 6"},
    Bad{"BuiltInRule", POLICY "spec:\n  rules:\n  - {id: masked-flow, allow: {}}\n",
        "a.yaml:6:10 \"masked-flow\" is the name of a built-in rule"},
    Bad{"BadMode", POLICY "spec: {mode: shadw, rules: []}\n", "a.yaml:4:14 \"shadw\" is no mode | did you mean \"shadow\"?"},
    Bad{"BadScope", POLICY "spec:\n  rules:\n  - id: a\n    approve: {by: [\"group:dba\"], scope: always}\n",
        "a.yaml:7:41 \"always\" is no scope | use statement, session or a duration such as 15m"},
    Bad{"BadApprover", POLICY "spec:\n  rules:\n  - id: a\n    approve: {by: [dba]}\n",
        "a.yaml:7:20 \"dba\" is no approver: group:NAME or user:NAME"},
    Bad{"NobodyApproves", POLICY "spec:\n  rules:\n  - id: a\n    approve: {by: []}\n", "a.yaml:7:19 \"by\" is an empty list"},
    Bad{"BadColumn", POLICY "spec:\n  rules:\n  - id: a\n    mask: [{columns: [a.b.c.d]}]\n",
        "a.yaml:7:23 \"a.b.c.d\" is no column: schema.table.column or shorter"},
    Bad{"BadDetector", POLICY "spec:\n  rules:\n  - id: a\n    mask: [{detect: [EMAIL_ADRESS]}]\n",
        "a.yaml:7:22 there is no recogniser \"EMAIL_ADRESS\" | did you mean \"EMAIL_ADDRESS\"?"},
    Bad{"NoHosts", RESOURCE "spec: {protocol: postgresql, hosts: []}\n", "a.yaml:4:37 \"hosts\" is an empty list"},
    Bad{"PortInHost", RESOURCE "spec: {protocol: postgresql, hosts: [\"db:5432\"]}\n",
        "a.yaml:4:39 \"db:5432\" is no host; ports are given under ports"},
    Bad{"HostBits", RESOURCE "spec: {protocol: postgresql, hosts: [10.1.2.3/16]}\n",
        "a.yaml:4:38 has bits behind the prefix; write 10.1.0.0/16"},
    Bad{"InnerStar", RESOURCE "spec: {protocol: postgresql, hosts: [\"db.*.x\"]}\n",
        "a.yaml:4:39 \"*\" may stand only for whole labels at the beginning"},
    Bad{"TcpPorts", RESOURCE "spec: {protocol: tcp, hosts: [db]}\n", "a.yaml:4:7 a resource of protocol tcp must say its ports"},
    Bad{"CaMissing", RESOURCE "spec: {protocol: postgresql, hosts: [db], upstream: {tls: {ca: x.pem}}}\n",
        "a.yaml:4:64 there is no file \"x.pem\" in the bundle"},
    Bad{"CaOutside", RESOURCE "spec: {protocol: postgresql, hosts: [db], upstream: {tls: {ca: ../x.pem}}}\n",
        "a.yaml:4:64 \"../x.pem\" leaves the bundle's directory | files are named relative to the bundle's directory, without .."},
    Bad{"PasswordInClear", RESOURCE "spec: {protocol: postgresql, hosts: [db], credential: {user: u, password: hunter2}}\n",
        "a.yaml:4:75 \"password\" must name a secret, a bundle does not hold them | write {secret: NAME} and store it with `chaperone secret set NAME`"},
    Bad{"Provider", HEAD "kind: Workload\nmetadata: {name: w}\nspec: {identity: {oidc: {provider: corp}}}\n",
        "a.yaml:4:36 there is no IdentityProvider \"corp\""},
    Bad{"TwoNames", RESOURCE "spec: {protocol: postgresql, hosts: [a]}\n---\n" RESOURCE "spec: {protocol: mysql, hosts: [a]}\n",
        "a.yaml:8:18 there is another Resource \"r\" at a.yaml:3"},
    Bad{"TestOfTwoThings", HEAD "kind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - {name: c, workload: w, resource: r, sql: SELECT 1, command: ls, expect: {effect: deny}}\n",
        "a.yaml:6:12 a case is one of sql, http, command and dns"},
    Bad{"TestOfNothing", HEAD "kind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - {name: c, workload: w, resource: r, expect: {effect: deny}}\n",
        "a.yaml:6:25 there is no Workload \"w\""}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(Load, ReportsEveryErrorAtOnce) {
    const Loaded loaded = load_files({{"a.yaml", POLICY "spec:\n  mod: x\n  rules:\n  - id: A\n"
                                                        "    when: sql.nope\n    deny: 3\n"},
                                      {"b.yaml", "x: [\n"}});
    EXPECT_FALSE(loaded.bundle);
    EXPECT_GE(loaded.issues.size(), 4U) << bundle::to_text(loaded.issues);
}

TEST(Load, TwoResourcesMayNotClaimTheSameHostAndPort) {
    const Loaded loaded = load_files(
        {{"a.yaml", RESOURCE "spec: {protocol: postgresql, hosts: [db.x, 10.0.0.0/8]}\n"},
         {"b.yaml", HEAD "kind: Resource\nmetadata: {name: s}\n"
                         "spec: {protocol: postgresql, hosts: [other, \"DB.x.\"]}\n"}});
    EXPECT_EQ(errors(loaded), "b.yaml:4:46 resource \"r\" claims db.x on port 5432 already\n");
}

struct Place {
    const char* name;
    const char* when;
    const char* place;
};

class ConditionError : public testing::TestWithParam<Place> {};

TEST_P(ConditionError, IsFoundInTheFile) {
    const Loaded loaded = load_files({{"a.yaml", std::string{POLICY "spec:\n  rules:\n"
                                                                    "  - id: a\n    "} +
                                                     GetParam().when + "\n    allow: {}\n"}});
    EXPECT_FALSE(loaded.bundle);
    const std::string got = errors(loaded);
    EXPECT_EQ(got.substr(0, got.find(' ')), GetParam().place) << got;
}

// `nope` is what each of them gets wrong.
// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, ConditionError, testing::Values(
    Place{"Plain",   "when: sql.parsed && nope",                          "a.yaml:7:25"},
    Place{"Unicode", "when: identity.subject == 'é' && nope",             "a.yaml:7:38"},
    Place{"Folded",  "when: sql.parsed &&\n      nope",                   "a.yaml:8:7"},
    Place{"Block",   "when: |\n      sql.parsed &&\n        nope",        "a.yaml:9:9"},
    Place{"Fold",    "when: >-\n      sql.parsed\n      && nope",         "a.yaml:9:10"},
    Place{"Single",  "when: 'identity.subject == ''x'' && nope'",         "a.yaml:7:41"},
    Place{"Double",  "when: \"identity.subject == \\\"x\\\" && nope\"",   "a.yaml:7:41"},
    Place{"Escaped", "when: \"identity.subject == '\\u00e9' && nope\"",   "a.yaml:7:44"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(Load, AConditionMustBeABool) {
    const Loaded loaded =
        load_text(policy_text("p", "  rules:\n  - {id: a, when: identity.subject, allow: {}}\n"));
    EXPECT_FALSE(loaded.bundle);
}

TEST(Load, APolicysConditionIsOfTheSession) {
    const Loaded loaded = load_text(policy_text("p", "  when: sql.parsed\n  rules: []\n"));
    EXPECT_NE(errors(loaded).find("decided when the session opens"), std::string::npos);
}

TEST(Load, PrintsTheLineAndACaret) {
    const Loaded loaded = load_files({{"a.yaml", POLICY "spec:\n  rules:\n  - id: a\n    alow: {}\n"
                                                        "    allow: {}\n"}});
    EXPECT_EQ(bundle::to_text(loaded.issues),
              "a.yaml:7:5: error: unknown field \"alow\"\n"
              "  7 |     alow: {}\n"
              "    |     ^~~~\n"
              "  did you mean \"allow\"?\n");
}

class Directory : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "bundle-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
    }
    void TearDown() override { fs::remove_all(root_); }
    void write(const std::string& name, std::string_view text) {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream{root_ / name} << text;
    }
    fs::path root_;
};

constexpr std::string_view kPem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

TEST_F(Directory, ReadsYamlBelowItAndNothingElse) {
    write("one.yaml", RESOURCE "spec: {protocol: postgresql, hosts: [a]}\n");
    write("sub/two.yml", HEAD
          "kind: Resource\nmetadata: {name: s}\n"
          "spec: {protocol: mysql, hosts: [a]}\n");
    write("notes.txt", "not yaml: [\n");
    write(".hidden/three.yaml", "not yaml: [\n");
    const Loaded loaded = bundle::load(root_);
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    EXPECT_EQ(loaded.bundle->resources().size(), 2U);
    EXPECT_EQ(loaded.bundle->digest().size(), 7U + 64U);
}

TEST_F(Directory, ALinkOutOfItIsAnError) {
    write("in/one.yaml", RESOURCE "spec: {protocol: postgresql, hosts: [a]}\n");
    write("out.yaml", HEAD);
    fs::create_symlink(root_ / "out.yaml", root_ / "in/link.yaml");
    const Loaded loaded = bundle::load(root_ / "in");
    EXPECT_FALSE(loaded.bundle);
    EXPECT_NE(errors(loaded).find("link.yaml:0:0 is a link that leaves"), std::string::npos);
}

TEST_F(Directory, ReadsCertificatesAndCountsThemInTheDigest) {
    write("a.yaml", RESOURCE
          "spec: {protocol: postgresql, hosts: [a], upstream: "
          "{tls: {ca: tls/ca.pem}}}\n");
    write("tls/ca.pem", kPem);
    const Loaded first = bundle::load(root_);
    ASSERT_TRUE(first.bundle) << bundle::to_text(first.issues);
    EXPECT_EQ(first.bundle->resources().front().upstream.tls.ca_pem, kPem);
    write("tls/ca.pem", std::string{kPem} + "\n");
    const Loaded second = bundle::load(root_);
    ASSERT_TRUE(second.bundle);
    EXPECT_NE(first.bundle->digest(), second.bundle->digest());
}

TEST_F(Directory, IsTheSameFromItsFilesAndAttachments) {
    write("a.yaml", RESOURCE
          "spec: {protocol: postgresql, hosts: [a], upstream: "
          "{tls: {ca: tls/ca.pem}}}\n");
    write("tls/ca.pem", kPem);
    write("tls/unused.pem", kPem);
    const Loaded read = bundle::load(root_);
    ASSERT_TRUE(read.bundle) << bundle::to_text(read.issues);
    auto files = read.bundle->files();
    for (const auto& file : read.bundle->attachments()) files.push_back(file);
    EXPECT_EQ(files.size(), 2U);
    const Loaded sent = bundle::load(std::move(files));
    ASSERT_TRUE(sent.bundle) << bundle::to_text(sent.issues);
    EXPECT_EQ(sent.bundle->digest(), read.bundle->digest());
}

TEST_F(Directory, IsRefusedOverItsLimits) {
    write("a.yaml", "# a\n");
    write("b.yaml", "# b\n");
    EXPECT_FALSE(bundle::load(root_, {.files = 1}).bundle);
    EXPECT_FALSE(bundle::load(root_, {.file_size = 2}).bundle);
    EXPECT_FALSE(bundle::load(root_, {.total_size = 5}).bundle);
    EXPECT_TRUE(bundle::load(root_).bundle);
}

TEST_F(Directory, ThatIsNotThereIsAnError) {
    const Loaded loaded = bundle::load(root_ / "none");
    EXPECT_FALSE(loaded.bundle);
    EXPECT_EQ(loaded.issues.size(), 1U);
}

TEST(Load, DigestDependsOnPathsAndContents) {
    const auto digest = [](std::vector<bundle::SourceFile> files) {
        return bundle::load(std::move(files)).bundle->digest();
    };
    const std::string base = digest({{"a.yaml", "# x\n"}, {"b.yaml", "# y\n"}});
    EXPECT_EQ(base, digest({{"b.yaml", "# y\n"}, {"a.yaml", "# x\n"}}));
    EXPECT_NE(base, digest({{"c.yaml", "# x\n"}, {"b.yaml", "# y\n"}}));
    EXPECT_NE(base, digest({{"a.yaml", "# z\n"}, {"b.yaml", "# y\n"}}));
}

TEST(Load, EveryFieldOfAResource) {
    const Loaded loaded = load_files({{"a.yaml", RESOURCE R"(spec:
  protocol: postgresql
  hosts: [db.internal, "*.orders.internal", 10.1.0.0/16, "fd00::/8"]
  ports: [5432, 6432]
  inspect: true
  databases: [orders]
  upstream:
    host: 10.9.9.9
    port: 5433
    tls: {mode: verify-ca, ca: ca.pem, serverName: db, cert: ca.pem, key: {secret: orders-key}}
  credential: {user: app_ro, password: {secret: orders}}
  limits: {sessions: 5, idle: 30m, hold: 60s, messageSize: 1048576}
)"},
                                      {"ca.pem", std::string{kPem}}});
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    const bundle::Resource& resource = *loaded.bundle->resource("r");
    EXPECT_EQ(resource.ports, (std::vector<std::uint16_t>{5432, 6432}));
    EXPECT_EQ(resource.upstream.tls.mode, bundle::TlsMode::VerifyCa);
    EXPECT_EQ(resource.upstream.tls.key_secret, "orders-key");
    EXPECT_EQ(resource.credential->password_secret, "orders");
    EXPECT_EQ(resource.limits.idle, std::chrono::minutes{30});
    EXPECT_EQ(resource.databases, std::vector<std::string>{"orders"});
}

TEST(Load, EveryFieldOfAnIdentityProvider) {
    const Loaded loaded = load_files({{"a.yaml", HEAD R"(kind: IdentityProvider
metadata: {name: corp}
spec:
  oidc: {issuer: "https://id.example.com", audience: chaperone, groupsClaim: roles,
         subjectClaim: email, clockSkew: 5s, jwksTtl: 10m, staleFor: 2h}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: w}
spec: {identity: {oidc: {provider: corp, tokenFile: /run/token}}, match: {unit: w.service}}
)"}});
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    const bundle::IdentityProvider& provider = *loaded.bundle->provider("corp");
    EXPECT_EQ(provider.groups_claim, "roles");
    EXPECT_EQ(provider.stale_for, std::chrono::hours{2});
    EXPECT_EQ(loaded.bundle->workload("w")->unit, "w.service");
    EXPECT_EQ(loaded.bundle->workload("w")->oidc->token_file, "/run/token");
}

}  // namespace
}  // namespace chaperone::policy

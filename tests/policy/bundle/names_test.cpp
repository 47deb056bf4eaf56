// SPDX-License-Identifier: Apache-2.0
// What resolves: by what resources claim, and by rules that name `dns`.
#include "policy/names.h"

#include "tests/policy/bundle/support.h"

namespace chaperone::policy {
namespace {

constexpr std::string_view kNamed = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: orders, labels: {env: prod}}
spec: {protocol: postgresql, hosts: [db.internal, "*.orders.internal", 10.1.0.0/16, "fd00::/8"]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: logs}
spec: {protocol: udp, hosts: [logs.internal], ports: [514]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: secret}
spec: {protocol: tcp, hosts: [secret.internal, db.internal], ports: [99]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing}
spec: {identity: {subject: "agent:billing"}}
)";

constexpr std::string_view kRules = R"(  rules:
  - {id: not-secret, when: 'resource.name == "secret"', deny: {}}
  - {id: rest, when: 'resource.name != "secret"', allow: {}}
)";

std::shared_ptr<const bundle::Bundle> named(std::string more = {}) {
    auto loaded = load_text(policy_text("p", std::string{kRules} + more), kNamed);
    EXPECT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    return loaded.bundle;
}

std::string resolves(const std::shared_ptr<const bundle::Bundle>& bundle, std::string name,
                     std::string type = "A") {
    Question question{.workload = "billing"};
    question.dns = std::move(name);
    question.dns_type = std::move(type);
    return verdict(bundle, question);
}

TEST(Names, ResolveWhereAResourceClaimsThem) {
    const auto bundle = named();
    for (const char* name : {"db.internal", "DB.Internal.", "x.orders.internal", "logs.internal",
                             "a.b.orders.internal", "3.2.1.10.in-addr.arpa"})
        EXPECT_EQ(resolves(bundle, name), "allow") << name;
    for (const char* name :
         {"orders.internal", "internal", "xdb.internal", "db.internal.evil.example", "example.com",
          "secret.internal", "3.2.2.10.in-addr.arpa", R"(a\046b.orders.internal)",
          R"(a\000.orders.internal)", "*.orders.internal", ".", "1.10.in-addr.arpa"})
        EXPECT_EQ(resolves(bundle, name), "deny") << name;
}

TEST(Names, AreDecidedByRulesThatNameThem) {
    const auto bundle = named(R"(  - {id: no-text, when: 'dns.type == "TXT"', deny: {reason: "no"}}
  - {id: docs, when: 'dns.name.endsWith(".python.org") && dns.resources.size() == 0', allow: {}}
)");
    EXPECT_EQ(resolves(bundle, "db.internal", "TXT"), "deny no-text");
    EXPECT_EQ(resolves(bundle, "docs.python.org"), "allow docs");
    EXPECT_EQ(resolves(bundle, "docs.python.org", "TXT"), "deny no-text");
    EXPECT_EQ(resolves(bundle, "python.org"), "deny");
    EXPECT_EQ(resolves(bundle, "db.internal"), "allow");
}

TEST(Names, RulesAboutThemSayNothingElse) {
    const auto bundle = bundle_of(
        "  rules:\n  - {id: all-names, when: 'dns.name != \"\"', allow: {}}\n"
        "  - {id: none, when: 'dns.name == \"x\"', deny: {}}\n");
    EXPECT_EQ(verdict(bundle, about("SELECT 1")), "deny");
    EXPECT_EQ(verdict(bundle, about("")), "deny");
}

TEST(Names, RulesAboutOtherThingsSayNothingOfThem) {
    const auto bundle =
        named(R"(  - {id: ddl, when: 'sql.effects.exists(e, e.kind == "drop")', deny: {}}
  - {id: prod, when: 'resource.labels.env == "prod"', deny: {}}
)");
    EXPECT_EQ(resolves(bundle, "logs.internal"), "deny") << "prod cannot be evaluated for logs";
    const auto quiet = named("  - {id: ddl, when: 'sql.writes.size() > 0', deny: {}}\n");
    EXPECT_EQ(resolves(quiet, "db.internal"), "allow");
}

TEST(Names, AreNeitherHeldNorMasked) {
    for (const char* effect : {"approve: {by: [\"group:dba\"]}", "mask: [{columns: [a]}]"})
        EXPECT_FALSE(
            load_text(policy_text("p", "  rules:\n  - {id: x, when: 'dns.name == \"a\"', " +
                                           std::string{effect} + "}\n"))
                .bundle)
            << effect;
}

TEST(Names, OfAddresses) {
    EXPECT_EQ(reverse_address("3.2.1.10.in-addr.arpa"), "10.1.2.3");
    EXPECT_EQ(reverse_address("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f."
                              "ip6.arpa"),
              "fd00::7");
    for (const char* name : {"2.1.10.in-addr.arpa", "x.2.1.10.in-addr.arpa", "in-addr.arpa",
                             "300.2.1.10.in-addr.arpa", "7.0.ip6.arpa", "db.internal"})
        EXPECT_FALSE(reverse_address(name)) << name;
}

TEST(Names, OfASearchListAreKnown) {
    const auto bundle = named();
    EXPECT_TRUE(is_searched(*bundle, "db.internal.corp.example"));
    EXPECT_TRUE(is_searched(*bundle, "x.orders.internal.corp.example"));
    EXPECT_FALSE(is_searched(*bundle, "evil.example"));
    EXPECT_FALSE(is_searched(*bundle, "db.internal"));
}

TEST(Names, SeveralForOneAddress) {
    const auto bundle = named();
    const Destination at{.address = "192.0.2.1", .port = 5432};
    const auto claim = [&](std::vector<std::string> names) {
        return bundle->resource_for(at, names);
    };
    EXPECT_EQ(claim({"evil.example", "x.orders.internal"}).name, "x.orders.internal");
    EXPECT_EQ(claim({"x.orders.internal", "db.internal"}).name, "x.orders.internal");
    EXPECT_EQ(claim({"evil.example"}).resource, nullptr);
    EXPECT_FALSE(claim({"evil.example"}).ambiguous);
    const auto two = load_text(policy_text("p", kRules), R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: one}
spec: {protocol: postgresql, hosts: [one.internal, "*.a.internal"]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: two}
spec: {protocol: postgresql, hosts: [two.internal, "192.0.2.0/24"]}
)");
    ASSERT_TRUE(two.bundle);
    const std::vector<std::string> both{"one.internal", "two.internal"};
    EXPECT_TRUE(two.bundle->resource_for(at, both).ambiguous);
    EXPECT_EQ(two.bundle->resource_for(at, both).resource, nullptr);
    const std::vector<std::string> exact_first{"x.a.internal", "two.internal"};
    EXPECT_EQ(two.bundle->resource_for(at, exact_first).resource->metadata.name, "two");
    const auto by_address = two.bundle->resource_for(at, std::span<const std::string>{});
    ASSERT_NE(by_address.resource, nullptr);
    EXPECT_EQ(by_address.resource->metadata.name, "two");
    EXPECT_TRUE(by_address.name.empty());
}

}  // namespace
}  // namespace chaperone::policy

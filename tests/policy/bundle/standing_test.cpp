// SPDX-License-Identifier: Apache-2.0
// What can be said of connections before there is one, and what cannot.
#include "tests/policy/bundle/support.h"

#include "policy/engine/standing.h"

namespace chaperone::policy {
namespace {

constexpr std::string_view kTunnels = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: tunnel, labels: {env: prod}}
spec: {protocol: tcp, hosts: [10.0.0.0/8], ports: [9000], inspect: false}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: relayed}
spec: {protocol: tcp, hosts: [10.0.0.1], ports: [9000]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: elsewhere}
spec:
  protocol: tcp
  hosts: [10.0.0.2]
  ports: [9000]
  inspect: false
  upstream: {host: 10.0.0.3, port: 9001}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: limited}
spec: {protocol: tcp, hosts: [10.0.0.4], ports: [9000], inspect: false, limits: {sessions: 2}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing, labels: {team: payments}}
spec: {identity: {subject: "agent:billing", groups: [agents]}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: watched}
spec: {identity: {subject: "agent:watched"}, mode: shadow}
)";

struct Standing {
    const char* name;
    const char* rules;
    const char* says;
    const char* resource = "tunnel";
    const char* workload = "billing";
};

class StandingDecision : public testing::TestWithParam<Standing> {};

TEST_P(StandingDecision, IsWhatEveryConnectionWouldGet) {
    const Standing& row = GetParam();
    const bundle::Loaded loaded =
        load_text(policy_text("p", std::string{"  rules:\n"} + row.rules), kTunnels);
    ASSERT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    const auto decision =
        standing_decision(*loaded.bundle, *loaded.bundle->resource(row.resource), row.workload,
                          {.subject = "agent:billing", .groups = {"agents"}});
    std::string says = "asks";
    if (decision) says = std::string{to_text(decision->effect)} + " " + decision->rule;
    EXPECT_EQ(says, row.says);
}

constexpr const char* kAll = "  - {id: all, allow: {}}\n";

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, StandingDecision,
    testing::Values(
        Standing{"Allows", kAll, "allow all"},
        Standing{"NothingAllows", "  - {id: no, when: 'workload.name == \"other\"', allow: {}}\n", "deny "},
        Standing{"Denies", "  - {id: all, allow: {}}\n  - {id: no, when: 'resource.labels.env == \"prod\"', deny: {}}\n", "deny no"},
        Standing{"ByIdentity", "  - {id: us, when: '\"agents\" in identity.groups', allow: {}}\n", "allow us"},
        Standing{"DenyByDestination", "  - {id: all, allow: {}}\n  - {id: no, when: 'session.destination.address == \"10.1.1.1\"', deny: {}}\n", "asks"},
        Standing{"DenyByProcess", "  - {id: all, allow: {}}\n  - {id: no, when: 'session.uid == 0', deny: {}}\n", "asks"},
        Standing{"AllowByTime", "  - {id: early, when: 'now.getHours() < 12', allow: {}}\n", "asks"},
        Standing{"OtherWorkloadsTimeDoesNotMatter", "  - {id: all, allow: {}}\n  - {id: no, when: 'workload.name == \"other\" && now.getHours() < 12', deny: {}}\n", "allow all"},
        Standing{"StatementsAreNeverSeen", "  - {id: all, allow: {}}\n  - {id: no, when: 'sql.writes.size() > 0', deny: {}}\n", "allow all"},
        Standing{"OnlyStatementsAllow", "  - {id: reads, when: 'sql.writes.size() == 0', allow: {}}\n", "deny "},
        Standing{"MaskedIsNotLet", "  - {id: all, allow: {}}\n  - {id: pii, mask: [{columns: ['*.ssn'], with: redact}]}\n", "deny masks-need-inspection"},
        Standing{"APersonIsAsked", "  - {id: all, allow: {}}\n  - {id: ask, approve: {by: ['group:dba'], scope: session}}\n", "asks"},
        Standing{"ShadowIsWatched", "  - {id: all, allow: {}}\n  - {id: no, mode: shadow, deny: {}}\n", "asks"},
        Standing{"CannotBeEvaluated", "  - {id: all, allow: {}}\n  - {id: no, when: 'resource.labels.missing == \"x\"', deny: {}}\n", "deny no"},
        Standing{"Inspected", kAll, "asks", "relayed"},
        Standing{"DialledElsewhere", kAll, "asks", "elsewhere"},
        Standing{"Limited", kAll, "asks", "limited"},
        Standing{"ShadowWorkload", kAll, "asks", "tunnel", "watched"},
        Standing{"UnknownWorkload", kAll, "asks", "tunnel", "nobody"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

}  // namespace
}  // namespace chaperone::policy

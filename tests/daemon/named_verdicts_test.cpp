// SPDX-License-Identifier: Apache-2.0
// Which addresses datagrams may go to because of the names that a workload was told.
#include "userspace/daemon/named_verdicts.h"
#include "userspace/daemon/verdicts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chaperone::daemon {
namespace {

using Known = net::Names::Known;

constexpr std::string_view kBundle = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: metrics}
spec: {protocol: udp, hosts: [metrics.internal, "*.metrics.internal"], ports: [8125, 8126]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: bad}
spec: {protocol: udp, hosts: [bad.internal, bad.metrics.internal], ports: [8125]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: later}
spec: {protocol: udp, hosts: [later.internal], ports: [8125]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: stream}
spec: {protocol: tcp, inspect: false, hosts: [metrics.internal], ports: [9000]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: network}
spec: {protocol: udp, hosts: [10.0.0.0/8], ports: [8125]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: w}
spec: {identity: {subject: "agent:w"}}
---
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
  - {id: all, allow: {}}
  - {id: no, when: 'resource.name == "bad"', deny: {}}
  - {id: hours, when: 'resource.name == "later" && now.getHours() < 8', deny: {}}
)";

NamedPlan plan() {
    auto loaded = policy::bundle::load({{"a.yaml", std::string{kBundle}}});
    EXPECT_TRUE(loaded.bundle) << policy::bundle::to_text(loaded.issues);
    return plan_named(loaded.bundle, "w", {.subject = "agent:w"});
}

struct Told {
    const char* name;
    int until;  // seconds
};

// "8125 let metrics until 60", one for each port.
std::string verdicts(const std::vector<Told>& told, const std::string& address = "10.0.0.7") {
    std::vector<Known> names;
    for (const Told& one : told)
        names.push_back(
            {"w", address, one.name, net::Names::Moment{std::chrono::seconds{one.until}}});
    std::string text;
    for (const kernel::NamedVerdict& one : verdicts_on(plan(), names)) {
        EXPECT_EQ(one.address.host(), address);
        text += text.empty() ? "" : "; ";
        text += std::to_string(one.address.port);
        text += one.action == kernel::Verdict::Action::Let   ? " let "
                : one.action == kernel::Verdict::Action::Ask ? " ask "
                                                             : " refuse ";
        for (const char* name : {"metrics", "bad", "later", "stream", "network"})
            if (one.tag == tag_of(name)) text += name;
        text += " until " + std::to_string(one.until_ns / 1'000'000'000);
    }
    return text;
}

TEST(NamedVerdicts, AreOfPortsOnWhichSomeResourceHasAName) {
    EXPECT_EQ(plan().ports, (std::vector<std::uint16_t>{8125, 8126}));
    EXPECT_TRUE(NamedPlan{}.empty());
}

TEST(NamedVerdicts, FollowTheNameWildcardsIncluded) {
    const std::string both = "8125 let metrics until 60; 8126 let metrics until 60";
    EXPECT_EQ(verdicts({{"metrics.internal", 60}}), both);
    EXPECT_EQ(verdicts({{"a.metrics.internal", 60}}), both);
    EXPECT_EQ(verdicts({{"a.b.metrics.internal", 60}}, "fd00::7"), both);
    EXPECT_EQ(verdicts({{"metrics.internal", 60}}, "::1"), both);
}

TEST(NamedVerdicts, AreNoneOfNamesThatNobodyClaims) {
    EXPECT_EQ(verdicts({}), "");
    EXPECT_EQ(verdicts({{"www.example.com", 60}}), "");
    EXPECT_EQ(verdicts({{"metrics.internal", 60}}, "no address"), "");
}

TEST(NamedVerdicts, RefuseWhatPolicyDeniesOrDoesNotKnowBeforehand) {
    EXPECT_EQ(verdicts({{"bad.internal", 60}}), "8125 refuse bad until 60");
    EXPECT_EQ(verdicts({{"later.internal", 60}}), "8125 ask later until 60");
    // The exact name outweighs the wildcard.
    EXPECT_EQ(verdicts({{"bad.metrics.internal", 60}}),
              "8125 refuse bad until 60; 8126 let metrics until 60");
}

TEST(NamedVerdicts, LiveAsLongAsANameOfThatResource) {
    EXPECT_EQ(verdicts({{"www.example.com", 900},
                        {"a.metrics.internal", 60},
                        {"b.metrics.internal", 90},
                        {"c.metrics.internal", 30}}),
              "8125 let metrics until 90; 8126 let metrics until 90");
}

// Two resources claim the address alike: it cannot be told which is meant, until one has ended.
TEST(NamedVerdicts, RefuseWhatIsUnclear) {
    EXPECT_EQ(verdicts({{"metrics.internal", 90}, {"bad.internal", 60}}),
              "8125 refuse  until 60; 8126 let metrics until 90");
}

}  // namespace
}  // namespace chaperone::daemon

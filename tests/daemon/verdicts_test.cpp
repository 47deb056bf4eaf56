// SPDX-License-Identifier: Apache-2.0
// What the kernel is told of a bundle's destinations, and that one connection has one session id.
#include "userspace/daemon/verdicts.h"
#include "policy/bundle/hosts.h"
#include "userspace/daemon/direct_facts.h"
#include "userspace/daemon/inbound.h"

#include <gtest/gtest.h>

#include <netinet/in.h>

#include <algorithm>

namespace chaperone::daemon {
namespace {

using Action = kernel::Verdict::Action;

std::string resource(std::string_view name, std::string_view spec) {
    return "apiVersion: chaperone.dev/v1\nkind: Resource\nmetadata: {name: " + std::string{name} +
           "}\nspec: {" + std::string{spec} + "}\n---\n";
}

constexpr std::string_view kRest = R"(apiVersion: chaperone.dev/v1
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
)";

// What a table of longest prefixes answers, as the kernel does.
std::string ask(const std::vector<kernel::Verdict>& table, const std::string& host,
                std::uint16_t port, int protocol = IPPROTO_TCP) {
    const auto asked = policy::bundle::HostPattern::parse(host);
    kernel::Address to;
    if (asked->address.v6)
        std::ranges::copy(asked->address.bytes, to.ip.begin());
    else
        to = kernel::v4_address(asked->address.bytes[0], asked->address.bytes[1],
                                asked->address.bytes[2], asked->address.bytes[3], 0);
    const kernel::Verdict* best = nullptr;
    for (const kernel::Verdict& verdict : table) {
        if (verdict.protocol != protocol || verdict.network.port != port) continue;
        bool inside = true;
        for (unsigned bit = 0; bit < verdict.prefix; ++bit) {
            const int shift = 7 - int(bit % 8);
            inside = inside &&
                     (to.ip[bit / 8] >> shift & 1) == (verdict.network.ip[bit / 8] >> shift & 1);
        }
        if (inside && (best == nullptr || verdict.prefix >= best->prefix)) best = &verdict;
    }
    to.port = port;
    EXPECT_EQ(look_up(table, protocol, to), best == nullptr ? Action::Ask : best->action);
    if (best == nullptr) return "nothing";
    switch (best->action) {
    case Action::Ask: return "ask";
    case Action::Let: return "let";
    case Action::Refuse: return "refuse";
    }
    return "?";
}

std::vector<kernel::Verdict> compile(const std::string& resources) {
    const auto loaded = policy::bundle::load({{"a.yaml", resources + std::string{kRest}}});
    EXPECT_TRUE(loaded.bundle) << policy::bundle::to_text(loaded.issues);
    return compile_verdicts(*loaded.bundle, "w", {.subject = "agent:w"});
}

constexpr std::string_view kDirect = "protocol: tcp, inspect: false, ports: [9000], hosts: ";

TEST(Verdicts, AreOfNetworksAndTheMostSpecificHolds) {
    const auto table =
        compile(resource("wide", std::string{kDirect} + "[10.0.0.0/8, 'fd00::/8']") +
                resource("bad", std::string{kDirect} + "[10.1.0.0/16]") +
                resource("seen", "protocol: tcp, ports: [9000], hosts: [10.2.0.0/16, 'fd00::7']"));
    EXPECT_EQ(ask(table, "10.9.9.9", 9000), "let");
    EXPECT_EQ(ask(table, "10.1.9.9", 9000), "refuse");
    EXPECT_EQ(ask(table, "10.2.9.9", 9000), "ask");
    EXPECT_EQ(ask(table, "fd00::8", 9000), "let");
    EXPECT_EQ(ask(table, "fd00::7", 9000), "ask");
    EXPECT_EQ(ask(table, "192.0.2.1", 9000), "ask");
    EXPECT_EQ(ask(table, "10.9.9.9", 9001), "nothing");
    EXPECT_EQ(ask(table, "10.9.9.9", 9000, IPPROTO_UDP), "nothing");
}

TEST(Verdicts, OfAllOfIpv6SayNothingOfIpv4) {
    const auto table = compile(resource("six", std::string{kDirect} + "['::/0']"));
    EXPECT_EQ(ask(table, "2001:db8::1", 9000), "let");
    EXPECT_EQ(ask(table, "192.0.2.1", 9000), "ask");
    const auto both = compile(resource("both", std::string{kDirect} + "['::/0', 0.0.0.0/0]"));
    EXPECT_EQ(ask(both, "192.0.2.1", 9000), "let");
}

TEST(Verdicts, OfEverywhereHoldWhereNoOtherIs) {
    const auto table = compile(resource("any", std::string{kDirect} + "['*']") +
                               resource("bad", std::string{kDirect} + "[10.0.0.0/8]"));
    EXPECT_EQ(ask(table, "192.0.2.1", 9000), "let");
    EXPECT_EQ(ask(table, "2001:db8::1", 9000), "let");
    EXPECT_EQ(ask(table, "10.0.0.1", 9000), "refuse");
}

TEST(Verdicts, AreLeftToTheProxyWhereAnotherResourceHasANameThere) {
    const auto table =
        compile(resource("wide", std::string{kDirect} + "[10.0.0.0/8]") +
                resource("named", "protocol: tcp, ports: [9000], hosts: [db.internal]"));
    EXPECT_EQ(ask(table, "10.0.0.1", 9000), "ask");
    const auto own = compile(resource("wide", std::string{kDirect} + "[10.0.0.0/8, db.internal]"));
    EXPECT_EQ(ask(own, "10.0.0.1", 9000), "let");
    const auto port =
        compile(resource("wide", std::string{kDirect} + "[10.0.0.0/8]") +
                resource("named", "protocol: tcp, ports: [9001], hosts: [db.internal]"));
    EXPECT_EQ(ask(port, "10.0.0.1", 9000), "let");
}

TEST(Verdicts, AreNoneWhereEverythingIsAskedFor) {
    EXPECT_TRUE(compile(resource("seen", "protocol: postgresql, hosts: [10.0.0.1]")).empty());
}

std::string doors(const std::string& resources) {
    const auto loaded = policy::bundle::load({{"a.yaml", resources + std::string{kRest}}});
    EXPECT_TRUE(loaded.bundle) << policy::bundle::to_text(loaded.issues);
    std::string text;
    for (const kernel::Door& door : compile_doors(*loaded.bundle, "w", {.subject = "agent:w"}))
        if (!door.name.starts_with("/run/systemd/"))
            text += door.name + (door.beginning ? "*" : "") +
                    (door.action == Action::Let ? " let\n" : " shut\n");
    return text;
}

TEST(Doors, AreOfResourcesThatPolicyLetsAndTheLog) {
    EXPECT_EQ(doors(""), "/dev/log let\n");
    EXPECT_EQ(doors(resource("db", "protocol: unix, hosts: [/run/pg/.s.PGSQL.5432, '@x', '/a/*']")),
              "/a/* let\n/dev/log let\n/run/pg/.s.PGSQL.5432 let\n@x let\n");
    EXPECT_EQ(doors(resource("bad", "protocol: unix, hosts: [/dev/log]")), "/dev/log shut\n");
    EXPECT_EQ(doors(resource("good", "protocol: unix, hosts: [/a]") +
                    resource("bad", "protocol: unix, hosts: [/a]")),
              "/a shut\n/dev/log let\n");
}

TEST(Doors, AreNamedWithoutDetours) {
    for (const char* spec :
         {"protocol: unix, hosts: [relative]", "protocol: unix, hosts: [/a/../b]",
          "protocol: unix, hosts: [/a//b]", "protocol: unix, hosts: ['/*']",
          "protocol: unix, hosts: ['@*']", "protocol: unix, hosts: ['/a*b']",
          "protocol: unix, hosts: [/a], ports: [1]", "protocol: tcp, hosts: [/a], ports: [1]"}) {
        const auto loaded =
            policy::bundle::load({{"a.yaml", resource("r", spec) + std::string{kRest}}});
        EXPECT_FALSE(loaded.bundle) << spec;
    }
}

TEST(SessionId, IsThatOfTheConnectionInEveryProcess) {
    kernel::Direct opened{.kind = kernel::Direct::Kind::Opened, .generation = 1};
    opened.origin.socket = 4711;
    opened.began = Time{std::chrono::seconds{1'800'000'000}};
    kernel::Direct closed = opened;
    closed.kind = kernel::Direct::Kind::Closed;
    closed.time = opened.began + std::chrono::seconds{5};
    EXPECT_EQ(session_id(opened), session_id(closed));
    EXPECT_EQ(session_id(opened).size(), 26U);
    closed.generation = 2;
    EXPECT_NE(session_id(opened), session_id(closed));
}

std::string callers_of(const std::string& inbound) {
    const auto loaded =
        policy::bundle::load({{"a.yaml",
                               "apiVersion: chaperone.dev/v1\nkind: Workload\nmetadata: {name: b}\n"
                               "spec: {identity: {subject: 'agent:b'}, inbound: [" +
                                   inbound + "]}\n---\n" + std::string{kRest}}});
    if (!loaded.bundle) return policy::bundle::to_text(loaded.issues);
    const std::vector<kernel::Workload> governed = {{.cgroup_id = 1, .name = "b"},
                                                    {.cgroup_id = 2, .name = "w"},
                                                    {.cgroup_id = 3, .name = "x"}};
    std::string text;
    for (const auto& one : compile_inbound(*loaded.bundle->workload("b"), governed)) {
        text += one.protocol == IPPROTO_UDP ? "udp " : "tcp ";
        text += one.workload != 0 ? "w" + std::to_string(one.workload)
                                  : one.network.host() + "/" + std::to_string(one.prefix);
        text += ":" + std::to_string(one.network.port) + "\n";
    }
    return text;
}

TEST(Callers, AreItselfAndWhomTheBundleNames) {
    const std::string itself = "tcp w1:0\nudp w1:0\n";
    EXPECT_EQ(callers_of(""), itself);
    EXPECT_EQ(callers_of("{ports: [80, 81], workloads: [w]}"), itself + "tcp w2:80\ntcp w2:81\n");
    EXPECT_EQ(callers_of("{protocol: udp, workloads: ['*']}"),
              itself + "udp w1:0\nudp w2:0\nudp w3:0\n");
    EXPECT_EQ(callers_of("{ports: [80], hosts: [10.0.0.0/8, '::1', '*']}"),
              itself + "tcp 10.0.0.0/104:80\ntcp ::1/128:80\ntcp ::/0:80\n");
}

TEST(Callers, AreCheckedWithTheBundle) {
    EXPECT_NE(callers_of("{ports: [80], workloads: [nobody]}").find("no Workload"),
              std::string::npos);
    EXPECT_NE(callers_of("{ports: [80]}").find("nobody is named"), std::string::npos);
    EXPECT_NE(callers_of("{ports: [0], hosts: ['*']}").find("0 is no port"), std::string::npos);
    EXPECT_NE(callers_of("{hosts: ['*.internal']}").find("by their address"), std::string::npos);
    EXPECT_NE(callers_of("{protocol: sctp, hosts: ['*']}").find("sctp"), std::string::npos);
}

}  // namespace
}  // namespace chaperone::daemon

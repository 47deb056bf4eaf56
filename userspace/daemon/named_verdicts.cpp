// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/named_verdicts.h"

#include "policy/bundle/hosts.h"
#include "policy/engine/standing.h"
#include "userspace/daemon/verdicts.h"

#include <algorithm>
#include <set>
#include <utility>

namespace chaperone::daemon {
namespace {

using policy::bundle::HostPattern;
using policy::bundle::Transport;

bool has_name(const policy::bundle::Resource& resource) {
    return std::ranges::any_of(resource.hosts, [](const std::string& host) {
        const auto pattern = HostPattern::parse(host);
        return pattern && (pattern->kind == HostPattern::Kind::Exact ||
                           pattern->kind == HostPattern::Kind::Wildcard);
    });
}

std::uint64_t nanoseconds(net::Names::Moment moment) {
    return static_cast<std::uint64_t>(moment.time_since_epoch().count());
}

}  // namespace

kernel::Verdict::Action action_of(const policy::DecisionPtr& decision) {
    if (!decision) return kernel::Verdict::Action::Ask;
    return decision->effect == policy::Effect::Allow ? kernel::Verdict::Action::Let
                                                     : kernel::Verdict::Action::Refuse;
}

NamedPlan plan_named(std::shared_ptr<const policy::bundle::Bundle> bundle,
                     const std::string& workload, const policy::Identity& identity) {
    NamedPlan plan;
    std::set<std::uint16_t> ports;
    for (const auto& resource : bundle->resources()) {
        if (resource.protocol != "udp" || !has_name(resource)) continue;
        ports.insert(resource.ports.begin(), resource.ports.end());
        plan.actions[resource.metadata.name] =
            action_of(policy::standing_decision(*bundle, resource, workload, identity));
    }
    plan.ports.assign(ports.begin(), ports.end());
    plan.bundle = std::move(bundle);
    return plan;
}

std::vector<kernel::NamedVerdict> verdicts_on(const NamedPlan& plan,
                                              const std::vector<net::Names::Known>& names) {
    std::vector<kernel::NamedVerdict> all;
    if (names.empty()) return all;
    const auto address = kernel::parse_address(names.front().address, 0);
    if (!address) return all;
    std::vector<std::string> only;
    for (const net::Names::Known& one : names) only.push_back(one.name);
    for (const std::uint16_t port : plan.ports) {
        const auto claim = plan.bundle->resource_for(
            {.address = names.front().address, .port = port}, only, Transport::Udp);
        if (claim.name.empty() && !claim.ambiguous) continue;
        kernel::NamedVerdict verdict{.address = *address};
        verdict.address.port = port;
        for (const net::Names::Known& one : names) {
            const auto* of_it =
                plan.bundle->resource_for({.port = port, .name = one.name}, Transport::Udp);
            // What is ambiguous is no more once the first of them has ended.
            if (of_it == nullptr || (!claim.ambiguous && of_it != claim.resource)) continue;
            const std::uint64_t until = nanoseconds(one.until);
            const bool later = until > verdict.until_ns;
            if (verdict.until_ns == 0 || later != claim.ambiguous) verdict.until_ns = until;
        }
        verdict.action = kernel::Verdict::Action::Refuse;
        if (claim.resource != nullptr) {
            const auto known = plan.actions.find(claim.resource->metadata.name);
            if (known != plan.actions.end()) verdict.action = known->second;
            verdict.tag = tag_of(claim.resource->metadata.name);
        }
        all.push_back(verdict);
    }
    return all;
}

}  // namespace chaperone::daemon

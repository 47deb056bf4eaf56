// SPDX-License-Identifier: Apache-2.0
// What the bundle says of datagrams to addresses that a workload was told for names: of resources
// of protocol udp that are known by host names, wildcards included. As for streams, a name claims
// its address only for the workload that was told, and only as long as the answer lives. Pure.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/request.h"
#include "userspace/kernel/verdicts.h"
#include "userspace/net/names.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace chaperone::daemon {

// Ask: there is no decision that holds for every connection.
kernel::Verdict::Action action_of(const policy::DecisionPtr& decision);

// Of one workload; made once for a bundle, since names are learnt often.
struct NamedPlan {
    std::shared_ptr<const policy::bundle::Bundle> bundle{};
    std::vector<std::uint16_t> ports{};                        // on which some resource has a name
    std::map<std::string, kernel::Verdict::Action> actions{};  // by resource

    bool empty() const { return ports.empty(); }
};

NamedPlan plan_named(std::shared_ptr<const policy::bundle::Bundle> bundle,
                     const std::string& workload, const policy::Identity& identity);

// Of one address and all that it was told for, the latest first. Names that different resources
// claim alike are refused, since which is meant cannot be told.
std::vector<kernel::NamedVerdict> verdicts_on(const NamedPlan& plan,
                                              const std::vector<net::Names::Known>& names);

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
// Which bundle the gate decides by: that of the moment, for each request, and whether the session
// may go on under a new one.
#include "policy/bundle/bundle.h"
#include "policy/engine/session_policy.h"
#include "userspace/net/gate.h"
#include "userspace/net/shared.h"

#include <utility>

namespace chaperone::net {

policy::DecisionPtr Gate::decide(const policy::Request& request) {
    const std::uint64_t generation = shared_.bundle_generation;
    const bool connecting = request.stage == policy::Stage::Connect;
    if (connecting && request.session) {
        stands_ = generation;
        if (facts_ != request.session) {
            facts_ = request.session;
            live_->facts.with([&](auto& held) { held = facts_; });
        }
    }
    if (!policy_ || connecting || generation != generation_) {
        const auto bundle = shared_.bundle();
        const auto* resource = bundle ? bundle->resource(facts_->resource) : nullptr;
        // A question to a resolver is one about resources, not to one.
        const bool names = bundle && facts_->protocol == "dns";
        if (resource == nullptr && !names && refusal_.empty())
            refusal_ = "the bundle no longer has the resource " + facts_->resource;
        if (!refusal_.empty()) {
            auto refused = std::make_shared<policy::Decision>();
            refused->reason = refusal_;
            if (bundle) refused->bundle = bundle->digest();
            return refused;
        }
        policy_ = std::make_unique<policy::SessionPolicy>(bundle, labelled(*bundle, resource));
        generation_ = generation;
    }
    return policy_->decide(request);
}

// The session's facts with the labels that this bundle has for it: mostly those that it has.
std::shared_ptr<const policy::SessionFacts> Gate::labelled(
    const policy::bundle::Bundle& bundle, const policy::bundle::Resource* resource) const {
    const auto* workload = bundle.workload(facts_->workload);
    const auto& of_resource =
        resource != nullptr ? resource->metadata.labels : facts_->resource_labels;
    const auto& of_workload =
        workload != nullptr ? workload->metadata.labels : facts_->workload_labels;
    if (of_resource == facts_->resource_labels && of_workload == facts_->workload_labels)
        return facts_;
    auto facts = std::make_shared<policy::SessionFacts>(*facts_);
    facts->resource_labels = of_resource;
    facts->workload_labels = of_workload;
    return facts;
}

std::optional<std::string> Gate::left_out() {
    if (stands_ == 0 || stands_ == shared_.bundle_generation || facts_->resource.empty())
        return std::nullopt;
    stands_ = shared_.bundle_generation;
    policy::Request opening;
    opening.session = facts_;
    opening.now = now();
    const policy::DecisionPtr decision = decide(opening);
    if (decision->effect != policy::Effect::Deny) return std::nullopt;
    return "a new bundle does not let the session go on: " + decision->reason;
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/bundle.h"

#include "policy/bundle/findings.h"
#include "policy/bundle/hosts.h"
#include "policy/engine/engine.h"

namespace chaperone::policy::bundle {

Bundle::Bundle() = default;
Bundle::~Bundle() = default;

const Resource* Bundle::resource(std::string_view name) const noexcept {
    const auto found = resources_.find(name);
    return found == resources_.end() ? nullptr : &documents_.resources[found->second];
}

const Workload* Bundle::workload(std::string_view name) const noexcept {
    const auto found = workloads_.find(name);
    return found == workloads_.end() ? nullptr : &documents_.workloads[found->second];
}

const IdentityProvider* Bundle::provider(std::string_view name) const noexcept {
    const auto found = providers_.find(name);
    return found == providers_.end() ? nullptr : &documents_.providers[found->second];
}

const Resource* Bundle::resource_for(const Destination& destination, Transport transport) const {
    const std::size_t found = hosts_->find(destination, transport == Transport::Udp);
    return found == HostIndex::kNone ? nullptr : &documents_.resources[found];
}

Issue Bundle::issue(Severity severity, const Mark& at, std::string message,
                    std::string suggestion) const {
    return make_issue(files_, severity, at, std::move(message), std::move(suggestion));
}

}  // namespace chaperone::policy::bundle

// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/bundle.h"

#include "policy/bundle/findings.h"
#include "policy/bundle/hosts.h"
#include "policy/engine/engine.h"

#include <algorithm>

namespace chaperone::policy::bundle {

Bundle::Bundle() = default;
// Every Bundle was made by a Loader, as one that is not const.
void Bundle::stamp(const Bundle& loaded, Provenance provenance) {
    const_cast<Bundle&>(loaded).provenance_ = std::move(provenance);
}

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

Bundle::Claim Bundle::resource_for(const Destination& destination,
                                   std::span<const std::string> names, Transport transport) const {
    const HostIndex::NameFound named =
        hosts_->find(names, destination.port, transport == Transport::Udp);
    if (named.name == HostIndex::kNone)
        return {
            .resource = resource_for(
                Destination{.address = destination.address, .port = destination.port}, transport)};
    if (named.found == HostIndex::kNone) return {.ambiguous = true};
    return {.resource = &documents_.resources[named.found], .name = names[named.name]};
}

std::vector<const Resource*> Bundle::resources_named(std::string_view name) const {
    std::vector<const Resource*> all;
    for (const std::size_t i : hosts_->claimants(name)) all.push_back(&documents_.resources[i]);
    return all;
}

std::vector<const Resource*> Bundle::resources_at(std::string_view address) const {
    std::vector<const Resource*> all;
    const auto parsed = Address::parse(address);
    if (!parsed) return all;
    for (const std::size_t i : hosts_->claimants(*parsed)) all.push_back(&documents_.resources[i]);
    return all;
}

Issue Bundle::issue(Severity severity, const Mark& at, std::string message,
                    std::string suggestion) const {
    return make_issue(files_, severity, at, std::move(message), std::move(suggestion));
}

bool Workload::takes(std::string_view caller, std::string_view protocol, std::uint16_t port) const {
    return std::ranges::any_of(inbound, [&](const Inbound& one) {
        const bool here =
            one.protocol == protocol &&
            (one.ports.empty() || std::ranges::find(one.ports, port) != one.ports.end());
        return here && std::ranges::any_of(one.workloads, [&](const std::string& name) {
                   return name == "*" || name == caller;
               });
    });
}

}  // namespace chaperone::policy::bundle

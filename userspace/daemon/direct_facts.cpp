// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/direct_facts.h"

#include "userspace/base/ids.h"
#include "userspace/base/sha256.h"
#include "userspace/daemon/verdicts.h"

#include <netinet/in.h>

#include <span>
#include <utility>
#include <vector>

namespace chaperone::daemon {
namespace {

policy::bundle::Transport transport_of(const kernel::Direct& direct) {
    return direct.protocol == IPPROTO_UDP ? policy::bundle::Transport::Udp
                                          : policy::bundle::Transport::Tcp;
}

const policy::bundle::Resource* resource_of(const policy::bundle::Bundle& bundle,
                                            const kernel::Direct& direct,
                                            const policy::Destination& destination) {
    for (const auto& resource : bundle.resources())
        if (tag_of(resource.metadata.name) == direct.tag) return &resource;
    return bundle.resource_for(destination, transport_of(direct));  // the bundle has changed since
}

// By which the resource claims it, or else the one that the workload was told last.
std::string name_of(const policy::bundle::Bundle& bundle, const kernel::Direct& direct,
                    const policy::bundle::Resource* resource,
                    const std::vector<std::string>& names) {
    const kernel::Address& to = direct.origin.destination;
    if (names.empty()) return {};
    const auto claim =
        bundle.resource_for({.address = to.host(), .port = to.port}, names, transport_of(direct));
    if (claim.resource == resource && !claim.name.empty()) return claim.name;
    return names.front();
}

}  // namespace

std::string session_id(const kernel::Direct& direct) {
    const std::string text = std::to_string(direct.origin.socket) + ' ' +
                             std::to_string(direct.generation) + ' ' +
                             std::to_string(direct.origin.netns) + ' ' +
                             std::to_string(direct.began.time_since_epoch().count());
    const Digest digest = sha256(as_bytes(text));
    return make_id(direct.began, std::span{digest}.first<10>());
}

DirectFacts direct_facts(
    const policy::bundle::Bundle& bundle, const kernel::Direct& direct, const Denials::Names& names,
    const std::function<Result<policy::Identity>(const std::string& workload)>& identity) {
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->id = session_id(direct);
    facts->start = direct.origin.time;
    facts->workload = direct.origin.workload.name;
    facts->destination = {.address = direct.origin.destination.host(),
                          .port = direct.origin.destination.port};
    facts->pid = direct.origin.pid;
    facts->uid = direct.origin.uid;
    facts->comm = direct.origin.comm;
    facts->peer = direct.peer.name;
    facts->cgroup = direct.origin.workload.cgroup_id;
    facts->protocol = direct.protocol == IPPROTO_UDP ? "udp" : "tcp";
    const policy::bundle::Resource* resource = nullptr;
    if (direct.inbound) {
        facts->destination = {.address = direct.called.host(), .port = direct.called.port};
    } else {
        if (auto known = identity(facts->workload)) facts->identity = *known;
        resource = resource_of(bundle, direct, facts->destination);
        facts->destination.name =
            name_of(bundle, direct, resource, names(facts->workload, facts->destination.address));
    }
    if (resource != nullptr) {
        facts->resource = resource->metadata.name;
        facts->protocol = resource->protocol;
        facts->resource_labels = resource->metadata.labels;
    }
    return {.facts = std::move(facts), .resource = resource};
}

}  // namespace chaperone::daemon

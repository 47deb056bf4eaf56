// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/other_host.h"

#include "policy/bundle/bundle.h"
#include "policy/bundle/hosts.h"
#include "policy/decision.h"

#include <span>

namespace chaperone::net {

bool is_other_host(const policy::bundle::Bundle& bundle, const policy::SessionFacts& session,
                   const std::string& host, std::uint16_t port) {
    using policy::bundle::Address;
    if (const auto named = Address::parse(host)) {
        const auto dialled = Address::parse(session.destination.address);
        return !dialled || *named != *dialled;
    }
    const std::span<const std::string> names{&host, 1};
    for (const std::uint16_t at : {session.destination.port, port}) {
        const policy::Destination nowhere{.port = at};
        const auto claim = bundle.resource_for(nowhere, names);
        if (claim.ambiguous) return true;
        if (claim.name.empty()) continue;  // whoever takes all names, or nobody
        if (claim.resource->metadata.name != session.resource) return true;
    }
    return false;
}

}  // namespace chaperone::net

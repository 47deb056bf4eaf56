// SPDX-License-Identifier: Apache-2.0
// A connection that the kernel let through by itself, as a session: who it is, and where to as a
// bundle sees it.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"
#include "userspace/daemon/denials.h"
#include "userspace/kernel/redirector.h"

#include <functional>
#include <memory>
#include <string>

namespace chaperone::daemon {

// The session of a connection that a verdict let through: the same id in every process.
std::string session_id(const kernel::Direct& direct);

struct DirectFacts {
    std::shared_ptr<policy::SessionFacts> facts{};
    const policy::bundle::Resource* resource{};  // of the bundle; null: it claims nothing there
};

// Of an inbound one, and where `identity` fails, the facts name no identity. The name is the one by
// which the resource claims the address, or else the one that the workload was told last.
DirectFacts direct_facts(
    const policy::bundle::Bundle& bundle, const kernel::Direct& direct, const Denials::Names& names,
    const std::function<Result<policy::Identity>(const std::string& workload)>& identity);

}  // namespace chaperone::daemon

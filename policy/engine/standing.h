// SPDX-License-Identifier: Apache-2.0
// What a bundle says of every connection of a workload to a resource, before there is one: the
// decision, where nothing that is known only later (process, time, destination, requests) can
// change it. The kernel may then decide alike by itself.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/request.h"

namespace chaperone::policy {

// Of a resource in which requests are not inspected. Null: it depends on the connection, must be
// asked of a person or is watched in shadow, or there is more to do than to let pass.
DecisionPtr standing_decision(const bundle::Bundle& bundle, const bundle::Resource& resource,
                              const std::string& workload, const Identity& identity);

}  // namespace chaperone::policy

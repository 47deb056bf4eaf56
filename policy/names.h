// SPDX-License-Identifier: Apache-2.0
// Which names a workload may resolve without a rule that says so: those that a resource claims
// which it may open. Pure.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {

// The resources that claim this name; for one below in-addr.arpa or ip6.arpa, its address.
std::vector<const bundle::Resource*> claimants_of(const bundle::Bundle& bundle,
                                                  std::string_view name);

// Whether policy lets this workload open a session with the resource at all. `who` needs identity,
// workload and its labels.
bool may_open(const std::shared_ptr<const bundle::Bundle>& bundle, const SessionFacts& who,
              const bundle::Resource& resource, std::string_view name, Time now);

// "10.1.2.3" of "3.2.1.10.in-addr.arpa" (RFC 1035, 3.5; RFC 3596, 2.5); nullopt: no whole address.
std::optional<std::string> reverse_address(std::string_view name);

// Whether a name that nobody claims is one that somebody does with a suffix behind it, as a
// resolver's search list makes them: "db.internal.corp.example" where db.internal is claimed.
bool is_searched(const bundle::Bundle& bundle, std::string_view name);

}  // namespace chaperone::policy

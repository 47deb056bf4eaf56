// SPDX-License-Identifier: Apache-2.0
// What `chaperone policy check` says beyond errors: drift. A bundle that loads may still hold rules
// that cannot decide, rules of two files that contradict, resources that nobody may use.
#pragma once

#include "policy/bundle/bundle.h"

#include <filesystem>
#include <vector>

namespace chaperone::policy::bundle {

// Warnings about a bundle that loaded, in the order of files and lines; those that were accepted in
// place are left out, an acceptance that fits nothing is a warning itself. Ids:
//   never-decides     another rule denies whatever this one matches
//   contradiction     the same condition is allowed in one file and denied in another
//   impossible        the condition is false (or fails) whatever is asked
//   always            a condition that is true whatever is asked
//   resource-unused   no rule can allow any workload anything on the resource
//   no-approver       fewer people can approve than the rule asks for
//   no-rule-test      no PolicyTest case expects the rule (only where some case names a rule)
//   unused-accept     an acceptance that fits no warning
std::vector<Issue> drift(const Bundle& bundle);

// load() and, where that succeeds, drift().
Loaded check(const std::filesystem::path& directory);

}  // namespace chaperone::policy::bundle

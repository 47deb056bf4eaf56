// SPDX-License-Identifier: Apache-2.0
// What `chaperone policy check` says beyond errors: drift. A bundle that loads may still hold rules
// that cannot decide, rules of two files that contradict, masks that nobody can meet.
#pragma once

#include "policy/bundle/bundle.h"

#include <filesystem>
#include <vector>

namespace chaperone::policy::bundle {

// Warnings about a bundle that loaded, in the order of files and lines; those that were accepted in
// place are left out, an acceptance that fits nothing is a warning itself. Ids:
//   never-decides        another rule always overrides it
//   contradiction        the same condition is allowed in one file and denied in another
//   impossible           the condition is false whatever is asked
//   always               a condition that is true whatever is asked
//   mask-without-allow   no request that some rule allows can meet the mask
//   resource-unused      no rule can ever allow anything on the resource
//   no-approver          nobody can be the approver that is asked for
//   mixed-protocols      one condition looks at requests of two protocols
//   no-rule-test         a rule that no PolicyTest case names (only where there are tests)
std::vector<Issue> drift(const Bundle& bundle);

// load() and, where that succeeds, drift().
Loaded check(const std::filesystem::path& directory);

}  // namespace chaperone::policy::bundle

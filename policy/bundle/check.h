// SPDX-License-Identifier: Apache-2.0
// What `chaperone policy check` says beyond errors: drift. A bundle that loads may still hold rules
// that cannot decide, rules of two files that contradict, resources that nobody may use.
#pragma once

#include "policy/bundle/bundle.h"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::policy::bundle {

// How many people are in a group of the operating system; nothing: there is no such group.
using GroupSize = std::function<std::optional<std::size_t>(const std::string&)>;

// Warnings about a bundle that loaded, in the order of files and lines; those that were accepted in
// place are left out, an acceptance that fits nothing is a warning itself. Ids:
//   never-decides     another rule (or several deny rules together) decides whatever it matches
//   contradiction     what one file allows, or a value that it allows by name, another denies
//   impossible        the condition is false (or fails) whatever is asked, or names a value that
//                     what it is compared with cannot have
//   always            a condition that is true whatever is asked
//   mask-unmet        no request that some rule allows meets the mask
//   resource-unused   no rule can allow any workload anything on the resource
//   no-approver       fewer people can approve than the rule asks for
//   no-rule-test      no PolicyTest case expects the rule (only where some case names a rule)
//   unused-accept     an acceptance that fits no warning
std::vector<Issue> drift(const Bundle& bundle, const GroupSize& group_size = {});

// load() and, where that succeeds, drift().
Loaded check(const std::filesystem::path& directory, const GroupSize& group_size = {});

}  // namespace chaperone::policy::bundle

// SPDX-License-Identifier: Apache-2.0
// The system calls that an agent does not get, as a table: the seccomp filter is made of it
// (filter.cpp), and who answers the calls that the filter hands on looks up in it what they get
// (attempts.cpp). README.md says why each of them is refused.
#pragma once

#include "userspace/base/error.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <string>
#include <vector>

namespace chaperone::launch {

struct Refusal {
    int call = 0;   // its number on this architecture; libseccomp's own where it has none
    int error = 0;  // errno for the caller
    // Worth telling. Not so what every program tries and falls back from.
    bool told = true;
    std::vector<scmp_arg_cmp> when{};  // all of them; none: whatever the arguments
};

// Fails where libseccomp does not know one of the names: a rule that is lost is a hole.
Result<std::vector<Refusal>> refusals();

// What the first refusal that applies gives; EPERM if none does.
int error_for(const std::vector<Refusal>& refusals, const seccomp_data& call);

// The name of a call, or its number where libseccomp does not know it.
std::string name_of(const seccomp_data& call);

}  // namespace chaperone::launch

// SPDX-License-Identifier: Apache-2.0
// What is left open for a workload, by the kernel that runs and the way the workload was started,
// in sentences for people.
#pragma once

#include "userspace/base/error.h"
#include "userspace/daemon/outside.h"

#include <filesystem>
#include <string>
#include <vector>

namespace chaperone::daemon {

class Instance;

std::vector<std::string> gaps_of(const Instance& instance,
                                 const std::vector<std::filesystem::path>& cgroups,
                                 const Result<Outside>& outside);

}  // namespace chaperone::daemon

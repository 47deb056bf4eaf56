// SPDX-License-Identifier: Apache-2.0
// The connections of governed processes that were made past us: before the process was governed,
// or by somebody else who handed them over. No hook sees what goes over them.
#pragma once

#include "userspace/kernel/sockets.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace chaperone::daemon {

struct OutsideConnection {
    kernel::OpenSocket socket{};
    pid_t pid = 0;
    std::string comm{};
};

struct Outside {
    std::vector<OutsideConnection> connections{};
    // Processes whose files cannot be looked at: what they hold is not known.
    std::size_t unknown = 0;
};

enum class Which {
    Loose,  // made in a cgroup that is not governed: no hook sees it
    All,    // also what the hooks will cut once the cgroups are governed
};

// Of the processes in these cgroups and below them, in the network namespace of the caller.
Result<Outside> find_outside(const std::vector<std::filesystem::path>& cgroups, Which which);

// Ends them; how many.
Result<std::size_t> end_outside(const Outside& outside);

}  // namespace chaperone::daemon

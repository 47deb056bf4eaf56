// SPDX-License-Identifier: Apache-2.0
// What is mounted where: /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure but for read_mounts.
#pragma once

#include "userspace/base/error.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::launch {

struct Mount {
    std::filesystem::path point{};
    std::string type{};
};

// Lines that are none are Malformed: a mount that we overlook is one that we do not guard.
Result<std::vector<Mount>> parse_mounts(std::string_view mountinfo);
Result<std::vector<Mount>> read_mounts();

// Where the cgroup2 tree is, on hybrid systems too. NotFound if it is not mounted.
Result<std::filesystem::path> find_cgroup2(const std::vector<Mount>& mounts);

}  // namespace chaperone::launch

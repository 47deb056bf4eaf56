// SPDX-License-Identifier: Apache-2.0
// The attachments of one cgroup: all of a list of programs, pinned in one directory, or none.
// Not thread-safe; the Redirector's lock is held around them.
#pragma once

#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

#include <filesystem>
#include <span>

namespace chaperone::kernel {

// Attaches what is missing or severed. On an error what this call attached is detached again.
Result<> attach_all(std::span<const Program> programs, int cgroup_fd, std::uint64_t cgroup_id,
                    const std::filesystem::path& directory);

// Swaps the programs of the attachments that there are, and removes those of programs that this
// version does not have. Severed ones are left for attach_all().
Result<> replace_all(std::span<const Program> programs, const std::filesystem::path& directory);

Result<> detach_all_in(const std::filesystem::path& directory);

// What keeps these programs from being in force on the cgroup. Only kind and program are set.
Result<std::vector<Finding>> inspect(std::span<const Program> programs, std::uint64_t cgroup_id,
                                     const std::filesystem::path& directory);

}  // namespace chaperone::kernel

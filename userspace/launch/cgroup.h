// SPDX-License-Identifier: Apache-2.0
// Makes, fills and clears the cgroup of one agent.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/launch/launch.h"

namespace chaperone::launch {

// <mount>/chaperone[-TAG]/agents/NAME-PID, with the process in it.
Result<Cgroup> make_cgroup(const std::string& tag, const std::string& workload, pid_t pid);
// A transient scope of systemd in chaperone-agents[-TAG].slice, with the process in it.
Result<Cgroup> make_scope(const std::string& tag, const std::string& workload, pid_t pid);

// What may be in a unit's or a cgroup's name; everything else becomes '_'.
std::string safe_name(std::string_view text);
// The inode of the cgroup's folder: what the kernel's hooks report.
Result<std::uint64_t> cgroup_id(const std::filesystem::path& path);
// Where the process is, below the mount, from /proc/PID/cgroup.
Result<std::filesystem::path> cgroup_of(pid_t pid, const std::filesystem::path& mount);

// Kills all that is in it and below, waits until it is empty, and removes it (a scope's folder is
// removed by systemd). An error if something is still alive after `most`.
Result<> clear_cgroup(const Cgroup& cgroup, Duration most);

}  // namespace chaperone::launch

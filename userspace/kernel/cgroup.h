// SPDX-License-Identifier: Apache-2.0
// Cgroups of version 2: where they are mounted, which one a process is in, how they are named by
// id. Works beside a version 1 hierarchy. Free functions without state; any thread.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <sys/types.h>

namespace chaperone::kernel {

// The cgroup2 mount of this mount namespace, from /proc/self/mountinfo.
Result<std::filesystem::path> find_cgroup2();
// The same, from the text of a mountinfo file (proc(5)). Prefers a mount of the whole hierarchy.
Result<std::filesystem::path> parse_cgroup2_mount(std::string_view mountinfo);

// The cgroup of a process, relative to the mount ("/" for the root); pid 0: this process.
Result<std::string> cgroup_of(pid_t pid);
// The same, from the text of /proc/PID/cgroup: the line "0::PATH", also when hybrid.
Result<std::string> parse_cgroup_line(std::string_view text);

// An O_DIRECTORY descriptor, checked to be on cgroup2.
Result<UniqueFd> open_cgroup(const std::filesystem::path& path);
Result<std::uint64_t> cgroup_id(int cgroup_fd);
Result<std::uint64_t> cgroup_id(const std::filesystem::path& path);
// NotFound when no live cgroup has this id. At once with CAP_DAC_READ_SEARCH; without it the tree
// is walked for one that was not found before.
Result<UniqueFd> open_cgroup_by_id(std::uint64_t id);
// Where the descriptor's cgroup is mounted.
Result<std::filesystem::path> cgroup_path(int cgroup_fd);

struct CoreCgroup {
    UniqueFd fd;
    std::filesystem::path path;
};

// The cgroup in which the daemon makes its listeners: the service's own where a service manager
// gave it one, else CGROUP2/chaperone[-TAG]/core, created, into which this process moves. Call it
// before any socket is made: sockets stay in the cgroup that they were created in.
Result<CoreCgroup> prepare_core_cgroup(std::string_view tag);

// CGROUP2/chaperone[-TAG]/agents: parent of the cgroups of agents where no service manager makes
// them. Created if need be; not governed itself.
Result<std::filesystem::path> prepare_agents_cgroup(std::string_view tag);

}  // namespace chaperone::kernel

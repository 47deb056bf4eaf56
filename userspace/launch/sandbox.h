// SPDX-License-Identifier: Apache-2.0
// What the agent's process does to itself before it becomes the agent. Each step runs in the child,
// in the order of this list, and what fails keeps the agent from starting.
#pragma once

#include "userspace/base/unique_fd.h"
#include "userspace/launch/launch.h"

namespace chaperone::launch {

// A mount namespace of its own: /sys and /proc/sys read-only (cgroups included), every bpffs and
// what is to be hidden covered by an empty read-only file system, what is to be closed by one that
// cannot be opened, the given folders read-only, the given files bound.
Result<> enter_mount_namespace(const std::vector<std::filesystem::path>& hidden,
                               const std::vector<std::filesystem::path>& closed,
                               const std::vector<std::filesystem::path>& read_only,
                               const std::vector<Bind>& binds);

// 0, 1 and 2 may be anything but network sockets: one made outside is not governed.
Result<> check_standard_files();

// Groups, user, no capability in any set, no_new_privs.
Result<> drop_privileges(const std::optional<AgentUser>& user);

// Out of reach of the agent afterwards: other processes' memory, environment and descriptors, and
// signals to them; its own children are not. Needs no_new_privs. Nothing where the kernel has no
// Landlock.
Result<> enter_domain();

struct FilterListener {
    UniqueFd listener{};    // hands on what is refused, and waits for the answer
    std::string why_not{};  // there is none, and the kernel refuses by itself
};
// seccomp: what would lead round the kernel's hooks or out of the sandbox is refused. Needs
// no_new_privs. README.md lists what and why. `tell`: by a listener, where there can be one; the
// agent must never get hold of it.
Result<FilterListener> install_filter(bool tell);

}  // namespace chaperone::launch

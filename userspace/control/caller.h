// SPDX-License-Identifier: Apache-2.0
// Who speaks on the API socket: what the kernel says of the peer (SO_PEERCRED), and what follows
// from it. Nothing in a request adds to it.
#pragma once

#include "userspace/base/error.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace chaperone::control {

struct Caller {
    pid_t pid{};
    uid_t uid{};
    std::string user{};                 // its name, or the uid in digits
    std::vector<std::string> groups{};  // names of its OS groups
    bool operates{};                    // root, or in the operators' group
    // Runs inside a governed cgroup: an agent. Then it neither operates nor approves, root or not.
    bool governed{true};
};

// The peer of a connected Unix socket. Groups are those of the user database, not of the process:
// a group that was left is left at once. Fails where the peer is gone.
Result<Caller> caller_of(int socket, const std::string& operators_group);

// The caller with the groups of its user.
Caller make_caller(pid_t pid, uid_t uid, const std::string& operators_group);

}  // namespace chaperone::control

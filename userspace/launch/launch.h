// SPDX-License-Identifier: Apache-2.0
// Starts an agent in its own cgroup, governed before its first instruction, without what it must
// not have, on the caller's terminal. Needs root. The whole of `chaperone run` but the API calls.
// Not thread-safe: it forks, and handles signals of the process; call it from a program's only
// thread.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::launch {

struct Bind {
    std::filesystem::path from{};
    std::filesystem::path to{};  // must exist; a file over a file, a folder over a folder
};

struct AgentUser {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups{};
    std::string name{};  // for messages, USER, LOGNAME
    std::filesystem::path home{};
};
// A login name, or a number that has an entry in the user database.
Result<AgentUser> find_user(const std::string& name);

struct Cgroup {
    std::filesystem::path path{};  // below the cgroup2 mount, e.g. /sys/fs/cgroup/…
    std::string unit{};            // the systemd scope, if one was made
    std::uint64_t id = 0;          // its inode, which the kernel's hooks report
};

// System calls of the agent that its seccomp filter refused, alike but for the process.
struct Attempt {
    std::string call{};
    std::string error{};  // what the call got: EPERM and its like
    pid_t pid = 0;        // of the latest one; 0 and no `comm`: not known, or of many
    uid_t uid = 0;
    std::string comm{};
    std::uint64_t count = 0;
    Time time{};  // of the latest one
};

struct LaunchOptions {
    std::vector<std::string> command{};  // searched in PATH of the agent's environment
    std::string workload{};
    std::string tag{};                // of the instance; empty for the installed one
    std::optional<AgentUser> user{};  // none: the caller's own ids
    std::vector<std::pair<std::string, std::string>> environment{};  // set or replaced
    std::vector<std::string> unset{};                                // removed from the environment
    std::vector<std::filesystem::path> hidden{};     // folders and files; those missing are skipped
    std::vector<std::filesystem::path> closed{};     // the same, but to open them is refused
    std::vector<std::filesystem::path> read_only{};  // with all below; those missing are skipped
    std::vector<Bind> binds{};                       // bound read-only
    std::optional<std::filesystem::path> directory{};  // working directory; none: the caller's
    bool allow_systemd = true;  // false: a plain cgroup even where systemd runs
    // Called with the agent's process waiting inside the cgroup. The agent starts only if it
    // succeeds: govern the cgroup here.
    std::function<Result<>(const Cgroup&, pid_t)> bind{};
    // Told of what the agent tried and was refused; first of nothing, and then with why not if
    // nothing will be told. From a process of its own that outlives a killed launcher, one call at
    // a time, at the latest when the agent has ended; what it does not take is told again. None:
    // nobody is told.
    std::function<Result<>(const Cgroup&, const std::vector<Attempt>&, const std::string& why_not)>
        attempts{};
};

// Why refused calls cannot be told of on this kernel; empty: they can.
std::string no_listener();

// Runs it to its end, and what it left behind in the cgroup. The status as a shell has it: its
// own, 128 + signal if killed by one, 126 or 127 if it could not be executed. An error if it never
// ran.
Result<int> run(const LaunchOptions& options);

}  // namespace chaperone::launch

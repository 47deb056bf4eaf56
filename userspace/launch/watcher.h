// SPDX-License-Identifier: Apache-2.0
// A process of its own that answers what the agent's filter refuses, and tells of it: it goes on
// while the launcher is stopped, and when it has been killed, for as long as the agent lives.
#pragma once

#include "userspace/launch/attempts.h"

#include <sys/types.h>

namespace chaperone::launch {

class Watcher {
public:
    // Forks: call it in a process of one thread. The listener is the watcher's alone afterwards. It
    // tells first of nothing, then as Attempts does.
    static Result<std::unique_ptr<Watcher>> start(UniqueFd listener, Attempts::Tell tell);
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    // Waits until the rest is told. To be called when the agent has ended.
    ~Watcher();

private:
    Watcher(pid_t pid, UniqueFd end) : pid_(pid), end_(std::move(end)) {}

    const pid_t pid_;
    UniqueFd end_;
};

}  // namespace chaperone::launch

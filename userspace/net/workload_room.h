// SPDX-License-Identifier: Apache-2.0
// What one workload takes of what all share, over all its sessions. Any thread.
#pragma once

#include "userspace/session/http/body_room.h"

#include <atomic>
#include <cstddef>

namespace chaperone::net {

struct WorkloadRoom {
    // Bytes: 256 of the largest at a time; models are sent such, and answer for minutes.
    static constexpr std::size_t kBodies = std::size_t{256} << 20;

    session::BodyRoom bodies{kBodies};
    std::atomic<std::size_t> sessions{0};  // that are open, or about to
};

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Doing something in another network namespace. A socket stays in the namespace that it was made
// in, so that only its making has to happen there. Needs CAP_SYS_ADMIN here and there.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace chaperone::net {

// Runs it in a thread of its own, which ends in that namespace: no other thread ever leaves its
// own. Blocks until it is done.
Result<> in_netns(int netns_fd, const std::function<Result<>()>& run);

// Listening on 127.0.0.1 and [::1] of the calling thread's namespace, also while its loopback
// device is still down; those of `kept` where they are of there (listener.h). IPv6 is left out
// where the namespace has none. Unavailable: taken.
Result<std::vector<UniqueFd>> listen_on_loopback(std::uint16_t port,
                                                 std::span<const int> kept = {});

// Datagram sockets there, for the resolver; as listen_on_loopback().
Result<std::vector<UniqueFd>> bind_on_loopback(std::uint16_t port, std::span<const int> kept = {});

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Sockets that take what is sent to the proxy: of our own, or those that a service manager kept of
// a former process, in which may wait what came since.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <sys/socket.h>

#include <cstdint>
#include <span>

namespace chaperone::net {

// In the calling thread's network namespace: a descriptor of its own for the one of `kept` that
// proves to be the same as would be made, else a new socket: SOCK_STREAM listens, SOCK_DGRAM is
// bound. A port of 0 is any free one. An IPv6 one takes no IPv4. The address need not be there yet,
// as while loopback is down. Unavailable: the port is taken.
Result<UniqueFd> make_listener(int type, const sockaddr* at, socklen_t size,
                               std::span<const int> kept);

// Of the namespace that the socket was made in; 0: not known.
std::uint64_t netns_cookie(int socket);

}  // namespace chaperone::net

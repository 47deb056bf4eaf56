// SPDX-License-Identifier: Apache-2.0
// Connects to upstream servers. On the caller's thread; the errors name the address.
#pragma once

#include "userspace/net/stream.h"
#include "userspace/net/target.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <memory>

namespace chaperone::net {

// Tries the addresses of target.host in the resolver's order, all within `timeout`.
asio::awaitable<Result<Stream>> dial(asio::io_context& context, const Target& target,
                                     Duration timeout);

// Sends PostgreSQL's CancelRequest over a connection of its own, with TLS as the target says.
// Nothing answers it, and nothing is reported: as with libpq's PQcancel.
asio::awaitable<void> send_cancel(asio::io_context& context, std::shared_ptr<const Target> target,
                                  std::uint32_t pid, Buffer secret, Duration timeout);

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Connects to upstream servers. On the caller's thread; the errors name the address.
#pragma once

#include "userspace/net/stream.h"
#include "userspace/net/target.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <memory>

namespace chaperone::net {

// A connection that is being made. Within the host it is there at once.
struct Attempt {
    UniqueFd fd{};
    boost::system::error_code error{};
    bool made = false;   // it is connected
    bool begun = false;  // false: nobody has tried
};

// To the first address of a target that needs no resolver. Not `made`: dial() goes on with it.
Attempt dial_at_once(const Target& target);
// The connection that was made at once.
Stream connected(asio::io_context& context, const Target& target, Attempt made);

// Tries the addresses of target.host in the resolver's order, all within `timeout`. `first` is of
// dial_at_once(), or nothing.
asio::awaitable<Result<Stream>> dial(asio::io_context& context, const Target& target,
                                     Duration timeout, Attempt first = {});

// Sends PostgreSQL's CancelRequest over a connection of its own, with TLS as the target says.
// Nothing answers it, and nothing is reported: as with libpq's PQcancel.
asio::awaitable<void> send_cancel(asio::io_context& context, std::shared_ptr<const Target> target,
                                  std::uint32_t pid, Buffer secret, Duration timeout);

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Two connected sockets on loopback, and coroutines run to their end: what the tests of net/ need.
#pragma once

#include "userspace/net/stream.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <exception>
#include <utility>

namespace chaperone::net {

struct Wire {
    Stream ours;
    Stream theirs;
};

inline Wire connected(asio::io_context& context) {
    using asio::ip::tcp;
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    tcp::socket ours{context}, theirs{context};
    ours.connect(acceptor.local_endpoint());
    acceptor.accept(theirs);
    return {Stream{std::move(ours)}, Stream{std::move(theirs)}};
}

// A failure in a coroutine is a failure of the test.
inline void spawn(asio::io_context& context, asio::awaitable<void> task) {
    asio::co_spawn(context, std::move(task), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
}

inline asio::awaitable<bool> write_all(Stream& to, Bytes data) {
    while (!data.empty()) {
        const iovec piece{const_cast<std::byte*>(data.data()), data.size()};
        const Stream::Moved moved = to.write({&piece, 1});
        data = data.subspan(moved.bytes);
        if (moved.state == Stream::State::Closed) co_return false;
        if (moved.state == Stream::State::WouldBlock) co_await to.writable();
    }
    co_return true;
}

// Until `size` bytes have come, or the end.
inline asio::awaitable<Buffer> read_up_to(Stream& from, std::size_t size) {
    Buffer got(size);
    std::size_t filled = 0;
    while (filled != size) {
        const Stream::Moved moved = from.read(std::span{got}.subspan(filled));
        filled += moved.bytes;
        if (moved.state == Stream::State::Closed) break;
        if (moved.state == Stream::State::WouldBlock) co_await from.readable();
    }
    got.resize(filled);
    co_return got;
}

}  // namespace chaperone::net

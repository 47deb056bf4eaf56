// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/acceptor.h"

#include "userspace/base/log.h"
#include "userspace/net/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace chaperone::net {

using boost::asio::ip::tcp;

namespace {

// Connections that are accepted before others on the thread have their turn; what is left is told
// again, to any thread that waits then.
constexpr int kAtOnce = 8;

}  // namespace

Result<std::shared_ptr<const Entrance>> Entrance::make(UniqueFd listening) {
    auto made = std::make_shared<Entrance>();
    socklen_t size = static_cast<socklen_t>(made->at.capacity());
    if (::getsockname(listening.get(), made->at.data(), &size) != 0)
        return system_error("ask where a socket listens", errno);
    made->at.resize(size);
    if (::fcntl(listening.get(), F_SETFL, ::fcntl(listening.get(), F_GETFL) | O_NONBLOCK) != 0)
        return system_error("make a listening socket non-blocking", errno);
    Stream::set_options(listening.get(), made->at.address().is_loopback());
    made->fd = std::move(listening);
    return std::shared_ptr<const Entrance>{std::move(made)};
}

void Acceptor::start() {
    if (slot_) return;
    auto slot = poller_.add_shared(entrance_->fd.get(), shared_from_this());
    if (slot)
        slot_ = std::move(*slot);
    else
        log::error("a listener cannot be used", {{"error", slot.error().message()}});
}

void Acceptor::stop() {
    slot_.reset();
}

void Acceptor::ready() noexcept {
    for (int turn = 0; turn != kAtOnce; ++turn) {
        try {
            if (!slot_ || !accept()) return;
        } catch (const std::exception& error) {
            log::error("a connection was lost", {{"error", error.what()}});
        }
    }
}

bool Acceptor::accept() {
    tcp::endpoint client;
    socklen_t size = static_cast<socklen_t>(client.capacity());
    UniqueFd connection{
        ::accept4(entrance_->fd.get(), client.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (connection) {
        client.resize(size);
        admit_(std::move(connection), client);
        return true;
    }
    const int why = errno;
    if (why == EINTR || why == ECONNABORTED) return true;
    if (why == EAGAIN || why == EWOULDBLOCK) return false;
    // Out of descriptors or memory: connections wait in the backlog until start() is called again.
    log::warning("connection not accepted", {{"error", std::strerror(why)}});
    stop();
    return false;
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// A listening socket on which several threads accept: the kernel wakes one that waits, and its
// connections begin where they were accepted. Each thread has an Acceptor of its own for it.
#pragma once

#include "userspace/base/unique_fd.h"
#include "userspace/net/poller.h"

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>

namespace chaperone::net {

struct Entrance {
    UniqueFd fd{};  // does not block
    boost::asio::ip::tcp::endpoint at{};

    // Of a socket that listens; what it accepts has the options of connections (stream.h).
    static Result<std::shared_ptr<const Entrance>> make(UniqueFd listening);
};

// Made, used and ended on the thread of its Poller; may be let go on any, once that has ended.
class Acceptor final : public Poller::Listener, public std::enable_shared_from_this<Acceptor> {
public:
    using Admit = std::function<void(UniqueFd connection, const boost::asio::ip::tcp::endpoint&)>;

    Acceptor(Poller& poller, std::shared_ptr<const Entrance> entrance, Admit admit)
        : poller_(poller), entrance_(std::move(entrance)), admit_(std::move(admit)) {}

    void start();  // or goes on, after what could not be accepted; call it now and then
    void stop();
    const std::shared_ptr<const Entrance>& entrance() const { return entrance_; }
    void ready() noexcept override;

private:
    bool accept();  // one; false: none is there now

    Poller& poller_;
    std::shared_ptr<const Entrance> entrance_;
    Admit admit_;
    std::unique_ptr<Poller::Slot> slot_{};
};

}  // namespace chaperone::net

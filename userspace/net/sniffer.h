// SPDX-License-Identifier: Apache-2.0
// Waits for the first bytes of a connection, which tell the name that its client asks for. It lives
// on the thread of its Poller, kept alive by the connection until that is given on.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/net/asked_name.h"
#include "userspace/net/poller.h"
#include "userspace/net/stream.h"

#include <chrono>
#include <functional>
#include <memory>

namespace chaperone::net {

class Sniffer final : public Poller::Listener, public std::enable_shared_from_this<Sniffer> {
public:
    using Clock = std::chrono::steady_clock;
    // Called once: with what was asked, or with nothing from a client that says nothing in time,
    // says no name, or is gone. The connection is watched; the bytes were read from it.
    using Found = std::function<void(Stream stream, const AskedName& asked, Buffer early)>;

    Sniffer(Stream stream, Clock::time_point until, Found found)
        : stream_(std::move(stream)), until_(until), found_(std::move(found)) {}

    Result<> start(Poller& poller);
    void ready() noexcept override;
    void tick(Clock::time_point time);  // now and then

private:
    void look();
    void finish(const AskedName& asked);

    Stream stream_;
    Clock::time_point until_;
    Found found_;  // empty: it was called
    Buffer early_{};
};

}  // namespace chaperone::net

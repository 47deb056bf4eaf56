// SPDX-License-Identifier: Apache-2.0
// Connections to servers that a session has left open and clean, for the next session of the same
// thread that would dial the very same: of the same workload and identity, at the same resource
// under the same bundle and credential, to the same address, in TLS with the same options. What is
// not known to be the same is not.
//
// Who is idle here is watched: whatever comes from the server, its end included, drops it. Bounded
// in number, in idle time and in age. A service of the io_context, used on its thread.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/net/stream.h"

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {
struct SessionFacts;
}

namespace chaperone::net {

struct Target;

// What a connection is for: two that are equal in all of it may stand for each other.
struct ServerUse {
    std::shared_ptr<const policy::SessionFacts> facts{};
    std::shared_ptr<const Target> target{};
    std::uint64_t generation{};         // of the bundle that the target was made of
    bool tls{};                         // it is spoken with the server
    std::vector<std::string> offers{};  // in ALPN
};
bool same_server(const ServerUse& one, const ServerUse& other);

// A connection with what must be remembered of it.
struct ServerConnection {
    Stream stream;
    std::string alpn{};  // that was agreed on; empty: none
    std::chrono::steady_clock::time_point made{};
};

class ServerPool final : public asio::execution_context::service {
public:
    using Clock = std::chrono::steady_clock;
    static asio::execution_context::id id;  // as every service has it

    static constexpr std::size_t kMostOfOne = 32;  // idle ones that are the same
    static constexpr std::size_t kMost = 128;
    // The server's name is looked up again, and its certificate verified, at least so often.
    static constexpr std::chrono::seconds kOldest{60};

    explicit ServerPool(asio::execution_context& context);
    static ServerPool& of(asio::io_context& context) {
        return asio::use_service<ServerPool>(context);
    }
    // Whether sessions to this target may share connections: not where those are bound to who made
    // them, by a certificate of ours or by a governed listener's leave.
    static bool allows(const Target& target);

    // How long one may be idle; zero, as at first: none is kept.
    void keep_for(Duration idle) { idle_ = idle; }

    // One that is idle and has said nothing behind its last answer; else it is closed.
    void put(ServerUse use, ServerConnection connection, Clock::time_point time);
    // The one that came last, if there is one; still watched by nobody else: watch it.
    std::optional<ServerConnection> take(const ServerUse& wanted, Clock::time_point time);

    void expire(Clock::time_point time);
    void drop_all();
    void drop_workload(std::string_view workload);
    void shut();  // all of them, and none is kept any more
    std::size_t size() const { return idle_ones_.size(); }
    asio::io_context& context() const { return context_; }
    Poller& poller() const { return poller_; }

private:
    struct Idle;
    void shutdown() override { shut(); }
    void forget(const Idle* one);
    template <class Which>
    void drop_if(const Which& which);

    asio::io_context& context_;
    Poller& poller_;
    std::vector<std::shared_ptr<Idle>> idle_ones_;  // the one that came last is last
    Duration idle_{};
};

}  // namespace chaperone::net

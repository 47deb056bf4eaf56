// SPDX-License-Identifier: Apache-2.0
// Answers what governed processes ask of any resolver: each question is put to the gate, what is
// allowed is asked of the resolvers that the operator trusts, and the addresses that come back are
// remembered before the answer is given. Never asks a resolver of the agent's choice: it could
// answer any name with an address of its own, to which we would then bring credentials.
// A thread of its own; the public functions may be called from any.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/net/proxy.h"

#include <boost/asio/ip/udp.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace chaperone::net {

struct Shared;

namespace asio = boost::asio;

class Resolver {
public:
    // Of one workload at a time; more are answered SERVFAIL.
    static constexpr std::size_t kQueries = 256;
    static constexpr std::size_t kStreams = 64;  // TCP connections of one workload
    static constexpr std::size_t kAllQueries = 8192;
    static constexpr std::size_t kAllStreams = 1024;

    static Result<std::unique_ptr<Resolver>> create(Shared& shared, DnsOptions options);
    ~Resolver();  // stops at once

    // Binds a datagram socket. Before start().
    Result<> listen(const asio::ip::udp::endpoint& at);
    void close_listeners();  // those of listen(); before start()
    void add_listeners(std::vector<int>& fds) const;
    void start();

    // A bound datagram socket of another network namespace.
    void answer_on(UniqueFd socket);
    // Closes those of a namespace, known by its cookie.
    void leave(std::uint64_t netns);
    // A connection to some resolver's port 53; takes the descriptor.
    void serve(UniqueFd accepted, Origin origin);

private:
    struct State;
    explicit Resolver(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::net

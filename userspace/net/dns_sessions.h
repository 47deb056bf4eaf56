// SPDX-License-Identifier: Apache-2.0
// Questions to the resolver as requests of the journal: one session for each process that asks, so
// that it is known who did, ended when it asks no more. On the resolver's thread only.
#pragma once

#include "userspace/net/gate.h"
#include "userspace/net/registry.h"
#include "userspace/session/dns/exchange.h"

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace chaperone::net {

struct Shared;
struct Origin;

namespace asio = boost::asio;

class DnsSessions {
public:
    static constexpr auto kIdle = std::chrono::seconds{30};
    static constexpr std::size_t kMost = 4096;  // beyond it the one that was silent longest ends

    DnsSessions(asio::io_context& context, Shared& shared) : context_(context), shared_(shared) {}
    ~DnsSessions();

    struct Session;
    struct Verdict {
        std::shared_ptr<Session> session{};
        session::Answer answer{};
        std::string text{};  // why it is refused, for the agent
        bool allowed() const { return answer.verdict == session::Verdict::Allowed; }
    };
    // Fills in the facts that are ours: the server and who claims the name.
    Verdict ask(const Origin& origin, session::dns::Query& query);
    void record(const Verdict& verdict, const session::Outcome& outcome);

    void flush();  // outcomes that wait to be written
    void sweep();  // ends what is idle

private:
    using Key = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t, std::string>;

    std::shared_ptr<Session> session_of(const Origin& origin);
    std::shared_ptr<Session> open(const Origin& origin);
    std::vector<std::string> claimants(Session& session, std::string_view name);
    void end(Session& session, std::string_view reason);
    void end_oldest();
    void kill(std::string_view id);

    asio::io_context& context_;
    Shared& shared_;
    std::map<Key, std::shared_ptr<Session>> sessions_;
};

}  // namespace chaperone::net

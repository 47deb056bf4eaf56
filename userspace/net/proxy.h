// SPDX-License-Identifier: Apache-2.0
// The data plane as an object: listening sockets on loopback, threads that each run their own
// sessions, and what all sessions share. Sessions never change thread. The public functions may be
// called from any thread.
#pragma once

#include "policy/request.h"
#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"
#include "userspace/net/names.h"

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::record {
class Writer;
}
namespace chaperone::credential {
class SecretStore;
}
namespace chaperone::authority {
class Authority;
}
namespace chaperone::policy::bundle {
class Bundle;
}

namespace chaperone::session {
class Desk;
}

namespace chaperone::net {

class Approvals;

// Who opened an accepted connection and where it was going: facts of the kernel.
struct Origin {
    std::string workload{};
    policy::Labels labels{};
    std::uint64_t cgroup{};
    std::uint32_t pid{};
    std::uint32_t uid{};
    std::string comm{};
    policy::Destination destination{};
    // What the workload was told that address for, the latest first; the proxy fills it in.
    std::vector<std::string> names{};
};

// A governed workload that listens on this host.
struct Listening {
    std::string workload{};
    std::uint64_t cgroup{};
    std::uint64_t epoch{};  // of its registration
};

struct SessionSnapshot {
    std::shared_ptr<const policy::SessionFacts> facts{};
    std::string state{};  // "opening", "open", "held", "closing"
    std::uint64_t requests{};
    std::uint64_t rows{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
    std::string effect{};  // the strictest so far: "allow", "approve", "deny"
};

struct Counters {
    std::uint64_t accepted{};
    std::uint64_t without_origin{};  // connections that are not a governed agent's: closed
    std::uint64_t refused{};         // sessions refused before they opened
    std::uint64_t open{};
    std::uint64_t requests{};
    std::uint64_t denied{};
    std::uint64_t held{};
    std::uint64_t unrecordable{};
    std::uint64_t reused{};         // connections to servers, by another session
    std::uint64_t shadow_denied{};  // what rules in shadow mode would have made of requests
    std::uint64_t shadow_held{};
    std::uint64_t shadow_allowed{};
};

// How agents' names are resolved.
struct DnsOptions {
    bool enabled = false;  // false: the kernel deals with port 53, and nothing comes here
    // "10.0.0.2", "[fd00::53]:5353"; none: those of resolv_conf, which is read again as it changes.
    std::vector<std::string> servers{};
    std::string resolv_conf = "/etc/resolv.conf";
    Duration timeout = std::chrono::seconds{4};  // libc asks again after 5
    std::string names_file{};  // where names are kept over a restart; empty: they are not
};

struct Options {
    std::uint16_t port = 0;  // on 127.0.0.1 and [::1]; 0: any free one, the same on both
    unsigned threads = 0;    // 0: one per core
    std::size_t max_sessions = 65536;
    std::size_t max_sessions_per_workload = 16384;
    std::size_t max_statement = 32 * 1024 * 1024;  // bytes of SQL text that are analysed
    std::size_t max_message = 64 * 1024 * 1024;    // bytes of one message that must be seen whole
    Duration connect_timeout = std::chrono::seconds{10};
    Duration login_timeout = std::chrono::seconds{30};
    Duration http_idle_timeout = std::chrono::minutes{10};  // of a connection without a request
    // How long a server's connection waits for the next session to it. Zero: none does.
    Duration http_reuse_idle = std::chrono::seconds{4};
    Buffer pseudonym_key{};  // 32 bytes
    DnsOptions dns{};        // answers on the proxy's port, over UDP
    // Sockets of a former process, of which those are taken on that prove to be the proxy's own
    // (listener.h): what waits there is accepted. They stay the caller's.
    std::vector<int> kept{};
};

// What the proxy needs from its owner; all must outlive it and be safe to call from any thread.
struct Services {
    std::function<Result<Origin>(int accepted)> origin{};
    // Of a datagram that came to us; `netns` is the cookie of the receiving socket's namespace.
    std::function<Result<Origin>(std::uint64_t netns, const sockaddr_storage& from,
                                 const sockaddr_storage& to)>
        datagram_origin{};
    std::function<Result<policy::Identity>(const std::string& workload)> identity{};
    // Who of the governed takes TCP connections at "10.1.2.3" and a port. NotFound: nobody does; it
    // may be another host's address. Empty: nobody ever does.
    std::function<Result<Listening>(const std::string& address, std::uint16_t port)> listening{};
    // A workload is about to be told this address for a name, which Proxy::names() knows already.
    // An error: it is not told. Empty: nobody needs to know.
    std::function<Result<>(const std::string& workload, const std::string& address)> learned{};
    // Lets a socket of ours, not connected yet, reach that listener. No other one does.
    std::function<Result<>(int socket, const Listening& listener)> reach{};
    record::Writer* journal{};
    Approvals* approvals{};
    credential::SecretStore* secrets{};
    authority::Authority* authority{};
    std::shared_ptr<session::Desk> desk{};  // null: chaperone.internal is nowhere
};

class Proxy {
public:
    using BundlePtr = std::shared_ptr<const policy::bundle::Bundle>;

    // Listens; sessions are accepted from start() on.
    static Result<std::unique_ptr<Proxy>> create(Options options, Services services,
                                                 BundlePtr bundle);
    ~Proxy();  // stops at once

    Result<> start();
    std::uint16_t port() const;
    // What it listens on in its own network namespace. Before start().
    std::vector<int> listeners() const;

    // Accepts on these, too: listening sockets of another network namespace, known by its cookie.
    // Those given before for it are closed.
    void accept_from(std::uint64_t netns, std::vector<UniqueFd> listeners);
    // Answers questions to resolvers on these datagram sockets likewise.
    void answer_in(std::uint64_t netns, std::vector<UniqueFd> sockets);
    // Closes them. Sessions that came from there go on.
    void leave(std::uint64_t netns);

    // What workloads were told.
    const Names& names() const;
    // Whether agents' names are resolved, where Options::dns is enabled; they are at first.
    void resolve_names(bool wanted);

    // Requests that are decided from now on are decided by this bundle.
    void set_bundle(BundlePtr bundle);
    BundlePtr bundle() const;

    std::vector<SessionSnapshot> sessions() const;
    // NotFound if there is no such open session. The agent gets its protocol's error with `reason`.
    Result<> kill(std::string_view id, std::string reason);
    // Ends all sessions of a workload: its identity or its registration is no longer valid.
    void kill_workload(std::string_view workload, std::string reason);
    Counters counters() const;

    // No new sessions: who comes waits for the next process, where somebody else keeps the sockets,
    // too, and is refused by the kernel where not. Those that are open are told so, and get this
    // long to end by themselves.
    void drain(Duration patience);

private:
    struct State;
    explicit Proxy(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::net

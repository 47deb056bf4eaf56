// SPDX-License-Identifier: Apache-2.0
// The kernel half of the interceptor, as an object. Programs, maps and attachments are pinned and
// outlive it: when the daemon is gone, governed connects still go to its (now dead) port and fail.
// The next open() takes the pins over and swaps the programs in place, without a gap.
//
// Threads: every function may be called from any thread. origin() takes no lock, so an accept
// thread is never held up by a govern() on another.
// Needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a directory of pins that is its own.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/kernel/address.h"
#include "userspace/kernel/verdicts.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chaperone::kernel {

// Where the proxy listens in one network namespace: on 127.0.0.1 and on ::1. 0: it does not, and
// what would go there is refused (ECONNREFUSED). Use ports that others cannot take while the
// daemon is away: below 1024, or outside net.ipv4.ip_local_port_range.
struct ProxyPorts {
    std::uint16_t tcp4 = 0;
    std::uint16_t tcp6 = 0;
    std::uint16_t dns4 = 0;  // UDP, for DnsMode::Redirect
    std::uint16_t dns6 = 0;
};

// What becomes of a workload's own questions to resolvers (port 53).
enum class DnsMode : std::uint32_t {
    Deny = 0,  // refused (EPERM); names resolve only where libc needs no network
    Direct,    // any resolver may be reached past the proxy, by UDP and TCP: a way out for data
    Redirect,  // to the proxy's dns ports; TCP goes to the proxy as everything else
};

struct Options {
    std::filesystem::path pin_dir{};  // on a bpffs, or where one can be mounted; see pin_dir_for()
    int core_cgroup = -1;  // the cgroup in which the listeners are created; borrowed for open()
    ProxyPorts ports{};    // for the network namespace of the calling thread
    DnsMode dns = DnsMode::Deny;
    std::map<std::string, std::uint32_t> room{};  // entries of maps by name, where not as in abi.h
    bool attempts = true;  // tell of what the kernel refuses by itself, where it can be seen
};

struct Workload {
    std::uint64_t cgroup_id = 0;
    std::string name{};       // 1 to 63 bytes, no NUL
    std::uint64_t epoch = 0;  // of this registration; govern() makes it
};

// Who opened an intercepted connection, and where to.
struct Origin {
    Workload workload{};
    std::uint32_t pid = 0;  // process (tgid) in the initial pid namespace, at connect()
    std::uint32_t uid = 0;  // in the initial user namespace
    std::string comm{};
    Address destination{};     // what the agent asked for; a v4-mapped one is IPv4 here
    bool ipv6_socket = false;  // the agent's socket is AF_INET6 (also for v4-mapped)
    std::uint64_t netns = 0;   // cookie of the network namespace
    std::uint64_t socket = 0;  // cookie of the agent's socket
    Time time{};               // of the connect()
};

// Totals since the pins were made.
struct Counters {
    std::uint64_t redirects = 0;  // connects sent to the proxy
    std::uint64_t handovers = 0;  // of them, those whose origin reached the accepted socket
    std::uint64_t orphans = 0;    // connects for whose origin there was no room: proxy must close
    std::uint64_t unclaimed = 0;  // connects that ended before the proxy's side was established
    std::uint64_t directs = 0;    // let through to a resolver (DnsMode::Direct)
    std::uint64_t refused_sockets = 0;
    std::uint64_t refused_connects = 0;
    std::uint64_t refused_datagrams = 0;
    std::uint64_t refused_binds = 0;
    std::uint64_t dropped_packets = 0;
    std::uint64_t untold = 0;       // refusals that take_denials() will never tell of
    std::uint64_t let_through = 0;  // connects that a verdict sent straight to their destination
    std::uint64_t lost_flows = 0;   // ends of such that take_directs() will never tell of
    std::uint64_t strange_namespaces = 0;  // met, without a proxy
    std::uint64_t refused_doors = 0;       // Unix sockets called
    std::uint64_t open_doors = 0;          // those let through
    std::uint64_t refused_reaches = 0;     // sockets, processes and files of others
    std::uint64_t refused_inbound = 0;     // packets to governed listeners
    std::uint64_t let_in = 0;              // connections and senders from outside
};

// Something that a governed process tried and the kernel refused.
struct Denial {
    enum class Kind {
        Socket,
        Connect,
        Datagram,
        Bind,
        Packet,
        Door,       // a Unix socket
        Reach,      // a socket, a process or a file of others; see `what`
        Inbound,    // to a governed listener, by somebody whom it does not take
        Api,        // what only operators and approvers may ask of us; not of the kernel
        Namespace,  // nothing yet: a thread (in pid) in a network namespace without a proxy
    };
    Kind kind{};
    std::uint64_t cgroup_id = 0;  // the workload's; 0 where not known
    std::string workload{};       // empty where not known, or released long ago
    Address destination{};        // unset for Socket, Bind and Door
    std::string door{};           // the name that was called, as in Door; of Reach a file's
    std::string_view what{};      // of Reach
    // Of Reach, where it is about a process: as the caller numbers it; negative: a group of them.
    std::int64_t target = 0;
    int signal = 0;         // of Reach: that was to be sent
    int type = 0;           // SOCK_STREAM and its like; 0 for Packet; of Inbound SOCK_STREAM
                            // where the listener had accepted the connection already
    int protocol = 0;       // IPPROTO_TCP and its like
    std::uint32_t pid = 0;  // as in Origin; 0 where not known
    std::uint32_t uid = 0;
    std::string comm{};
    Time time{};
    // Inbound only: who called is `destination`, and `workload` where he is governed.
    std::string listener{};   // the workload that was called
    Address local{};          // where it listens
    std::uint64_t netns = 0;  // 0: not known
};

// The beginning or the end of a connection that a verdict let through.
struct Direct {
    enum class Kind {
        Opened,
        Closed,
        Reached,  // after Opened: a governed listener of this host took it
    };
    Kind kind{};
    Origin origin{};               // its workload has no name where it was released long ago
    std::uint32_t tag = 0;         // of the verdict
    std::uint32_t generation = 0;  // with the socket's cookie, names one connect
    std::uint16_t local_port = 0;
    Time time{};   // of this event; the connect's own is the origin's
    Time began{};  // the connect's by the clock as it was when the pins were made: both events,
                   // and every process, give the same
    // The listening workload, where that is known: after Reached. Its name is empty where it was
    // released long ago.
    Workload peer{};
    // Called from outside by somebody who is not governed: the origin has no workload, and its
    // destination is his address; `local_port` is the one that he called.
    bool inbound = false;
    Address called{};  // inbound only: that address
    int protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP
    // Closed only. Bytes are TCP's own count, which may take a FIN for one of the peer's.
    Duration duration{};
    std::uint64_t bytes_up = 0;
    std::uint64_t bytes_down = 0;
    bool established = false;
};

// The datagrams between one socket and one peer that a verdict let through.
struct Talk {
    Direct direct{};  // as closed: its time is that of the last datagram, its bytes are payload
    std::uint64_t packets_up = 0;
    std::uint64_t packets_down = 0;
    // The other side of a governed sender's talk, which tells of all: ends with it, untold.
    bool answers = false;
};

// Something between the agent and the proxy that is not as it must be.
struct Finding {
    enum class Kind {
        CgroupGone,  // the cgroup was removed: release() it
        Missing,     // no attachment of this program: repair() it
        Severed,     // attached to a cgroup that is gone: repair() it
        NoEntry,     // attachments without a workload: refuse everything; release() them
    };
    Kind kind{};
    std::uint64_t cgroup_id = 0;  // the core cgroup's for the proxy's own program
    std::string workload{};       // empty for the core cgroup
    std::string program{};        // empty where it is about the whole cgroup
};
std::string_view describe(Finding::Kind kind) noexcept;

class Redirector {
public:
    // Loads the programs, or takes over what a former process left pinned: maps are reused, the
    // programs of all attachments replaced one by one, atomically each. Unavailable: another
    // process holds the pins. Unsupported: they were made by another version, which must
    // detach_all() first.
    static Result<Redirector> open(const Options& options);

    Redirector(Redirector&&) noexcept;
    Redirector& operator=(Redirector&&) noexcept;
    ~Redirector();  // leaves everything pinned and in force

    // From now on every connection out of this cgroup and all below it belongs to the workload.
    // The deepest governed ancestor wins. All or nothing: on an error nothing stays attached that
    // was not before. Governing a cgroup again renames it and attaches what is missing.
    // Invalid: the root, the daemon's own cgroup or one above it, deeper than 15 levels. TooLarge:
    // as many are governed as the kernel's tables hold.
    Result<Workload> govern(int cgroup_fd, std::string_view name);
    Result<Workload> govern(const std::filesystem::path& cgroup, std::string_view name);

    // Ends it. What still runs there is no longer governed (unless an outer cgroup is): meant for
    // cgroups that are empty, or by explicit wish. NotFound when it is not governed.
    Result<> release(std::uint64_t cgroup_id);

    // All governed cgroups, also those of former processes.
    Result<std::vector<Workload>> list() const;

    // Who is behind a connection that was just accepted. NotFound: not from a governed agent, or
    // no longer known; Expired: its workload was released or replaced since. Close it either way.
    Result<Origin> origin(int accepted_fd) const;

    // Who sent a datagram that arrived at the proxy's dns port (DnsMode::Redirect).
    Result<Origin> datagram_origin(std::uint64_t netns, const Address& from,
                                   const Address& to) const;

    // Looks at every attachment. Nothing found: everything is in force.
    Result<std::vector<Finding>> verify() const;
    // Attaches again what is missing or severed, also the proxy's own.
    Result<> repair();

    // Live. For the network namespace of the calling thread; other namespaces by their cookie.
    // TooLarge: there is no room for another.
    Result<> set_proxy(const ProxyPorts& ports);
    Result<> set_proxy(std::uint64_t netns, const ProxyPorts& ports);
    Result<> forget_proxy(std::uint64_t netns);
    // All but the calling thread's own and these.
    Result<> forget_other_proxies(std::span<const std::uint64_t> but = {});
    // The cookie of the calling thread's network namespace.
    Result<std::uint64_t> netns_of_thread() const;
    Result<> set_dns(DnsMode mode);

    // What the kernel decides by itself for a governed cgroup: the old table holds for one connect,
    // the new for the next. Connections that the new one does not let are stopped at their next
    // packet. NotFound when the cgroup is not governed. After any other error it has no table:
    // nothing is let, and what may be asked is asked.
    Result<> set_verdicts(std::uint64_t cgroup_id, std::span<const Verdict> verdicts);
    // The same of datagrams to addresses that the cgroup's workload was told for names: those given
    // and no others, or those given as well. Talks that are not let any more are stopped. System:
    // there is no room (some 65,000 of all workloads). NotFound: the cgroup is not governed.
    Result<> set_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> verdicts);
    Result<> add_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> verdicts);
    // Whom the listeners and datagram sockets of a governed cgroup take, from outside it: networks
    // (their port is the one that is called, 0 any) and workloads. Nobody else. As above.
    Result<> set_inbound(std::uint64_t cgroup_id, std::span<const Verdict> callers);
    // Lets one of our own sockets, before it connects, reach that governed listener and no other.
    // Without it ours reach none.
    Result<> mark_dial(int socket, const Workload& listener);
    // The same for any listener: for what is not done on behalf of an agent.
    Result<> mark_any_dial(int socket);
    // The governed workload that listens there (TCP) in the calling thread's network namespace.
    // NotFound: none does.
    Result<Workload> listening_at(const Address& address) const;
    // The Unix sockets that may be called from the cgroup; all others are refused. As above, in
    // errors too.
    Result<> set_doors(std::uint64_t cgroup_id, std::span<const Door> doors);
    // Why Unix sockets are not guarded on this kernel; empty: they are.
    const std::string& no_doors() const;
    // Why the guard against sockets from elsewhere and the rest that only programs of the BPF LSM
    // can see is not in force; empty: it is.
    const std::string& no_guard() const;
    // Which attempts that the kernel refuses by itself (opens of our files, signals to and looks
    // into others' processes) are not told, and why; empty: all are.
    const std::string& no_attempts() const;
    // For this long, what verdicts let is let; afterwards it goes to the proxy as everything else.
    // Renew it while what is let through can be recorded; nothing (or 0) ends it. Meanwhile
    // connects in network namespaces without a proxy wait a moment for one, at this port (0: they
    // fail).
    Result<> lend(Duration time, std::uint16_t port = 0);
    // For this long (whole seconds), somebody is behind the proxy's listeners; afterwards connects
    // are refused at once, instead of waiting for one that is stopped. Never called: not asked.
    Result<> answer_for(Duration time);
    // Tells of what was let through since the last call, in order. An event that `see` has returned
    // from is not told again, also not to a later process.
    Result<std::size_t> take_directs(const std::function<void(const Direct&)>& see);
    int directs_fd() const;  // as denials_fd()
    // What take_directs() has told of as opened and not as closed, here or in a former process.
    std::vector<Direct> open_directs() const;
    // Its end will not be told of.
    void forget_direct(const Direct& direct);
    // Datagrams that are let through. The kernel counts on until end_talk(), and keeps some 16000
    // pairs of socket and peer; beyond that none more may speak.
    std::vector<Talk> talks() const;
    // Takes one out, as it is by now. NotFound: somebody else has. What is sent after that begins
    // another.
    Result<Talk> end_talk(const Talk& talk);

    Result<Counters> counters() const;
    // What was refused since the last call, at most `limit`; the rest stays for the next. The
    // kernel keeps some 4000 that were not taken yet; more are counted as untold.
    Result<std::vector<Denial>> take_denials(std::size_t limit = 1024);
    // Becomes readable (for epoll, poll) when there are some. Owned by the Redirector.
    int denials_fd() const;
    Result<std::size_t> flows_count() const;  // connects now on their way; walks the table

    // Takes everything out of force and removes the pins: for uninstalling, and tests.
    Result<> detach_all();

private:
    struct State;
    explicit Redirector(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

// Removes what another version left pinned below pin_dir, whatever it is: nothing is in force
// afterwards. Unavailable while a daemon holds it.
Result<> remove_pins(const std::filesystem::path& pin_dir);

// A directory for the pins of this instance: below /sys/fs/bpf where that or it is a bpffs, else
// below /run, where open() mounts one of its own.
std::filesystem::path pin_dir_for(std::string_view tag);

}  // namespace chaperone::kernel

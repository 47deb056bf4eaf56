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

#include <cstdint>
#include <filesystem>
#include <memory>
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
    std::uint32_t max_flows = 0;  // 0: CHAP_MAX_FLOWS; connects on their way at one time
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
    std::uint64_t orphans = 0;    // connects that found the table of flows full: proxy must close
    std::uint64_t unclaimed = 0;  // connects that ended before the proxy's side was established
    std::uint64_t directs = 0;    // let through to a resolver (DnsMode::Direct)
    std::uint64_t refused_sockets = 0;
    std::uint64_t refused_connects = 0;
    std::uint64_t refused_datagrams = 0;
    std::uint64_t refused_binds = 0;
    std::uint64_t dropped_packets = 0;
    std::uint64_t untold = 0;  // refusals that take_denials() will never tell of
};

// Something that a governed process tried and the kernel refused.
struct Denial {
    enum class Kind { Socket, Connect, Datagram, Bind, Packet };
    Kind kind{};
    std::uint64_t cgroup_id = 0;  // the workload's; 0 where not known
    std::string workload{};       // empty where not known, or released since
    Address destination{};        // unset for Socket and Bind
    int type = 0;                 // SOCK_STREAM and its like; 0 for Packet
    int protocol = 0;             // IPPROTO_TCP and its like
    std::uint32_t pid = 0;        // as in Origin; 0 where not known
    std::uint32_t uid = 0;
    std::string comm{};
    Time time{};
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
    // Invalid: the root, the daemon's own cgroup or one above it, deeper than 15 levels.
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
    Result<> set_proxy(const ProxyPorts& ports);
    Result<> set_proxy(std::uint64_t netns, const ProxyPorts& ports);
    Result<> forget_proxy(std::uint64_t netns);
    Result<> set_dns(DnsMode mode);

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

// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/inbound.h"

#include "policy/bundle/hosts.h"
#include "userspace/kernel/sockets.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

namespace chaperone::daemon {
namespace {

using policy::bundle::HostPattern;

constexpr unsigned kV4Prefix = 96;  // ::ffff:0:0/96
constexpr auto kFresh = std::chrono::seconds{1};

void add_networks(std::vector<kernel::Verdict>& all, const std::string& host, int protocol,
                  std::uint16_t port) {
    const auto pattern = HostPattern::parse(host);
    if (!pattern) return;
    kernel::Verdict verdict{.protocol = protocol, .action = kernel::Verdict::Action::Let};
    if (pattern->kind == HostPattern::Kind::Any) {
        verdict.network.port = port;
        all.push_back(verdict);
        return;
    }
    if (pattern->kind != HostPattern::Kind::Network) return;
    const auto& ip = pattern->address.bytes;
    if (pattern->address.v6) {
        std::ranges::copy(ip, verdict.network.ip.begin());
        verdict.prefix = pattern->prefix;
    } else {
        verdict.network = kernel::v4_address(ip[0], ip[1], ip[2], ip[3], 0);
        verdict.prefix = kV4Prefix + pattern->prefix;
    }
    verdict.network.port = port;
    all.push_back(verdict);
}

std::set<kernel::Address> read_addresses() {
    std::set<kernel::Address> found;
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return found;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all{first, ::freeifaddrs};
    for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr) continue;
        sockaddr_storage storage{};
        const int family = one->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        std::memcpy(&storage, one->ifa_addr,
                    family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        auto address = kernel::from_sockaddr(storage);
        if (!address) continue;
        address->port = 0;
        found.insert(*address);
    }
    return found;
}

bool is_loopback(const kernel::Address& address) {
    kernel::Address six;
    six.ip[15] = 1;
    return address.is_v4() ? address.ip[12] == 127 : address.ip == six.ip;
}

}  // namespace

std::vector<kernel::Verdict> compile_inbound(const policy::bundle::Workload& workload,
                                             const std::vector<kernel::Workload>& governed) {
    std::vector<kernel::Verdict> all;
    const auto add_caller = [&](const kernel::Workload& caller, int protocol, std::uint16_t port) {
        all.push_back({.protocol = protocol,
                       .network = {.port = port},
                       .action = kernel::Verdict::Action::Let,
                       .workload = caller.cgroup_id});
    };
    for (const kernel::Workload& caller : governed)  // itself, in another cgroup
        if (caller.name == workload.metadata.name)
            for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) add_caller(caller, protocol, 0);
    for (const policy::bundle::Inbound& one : workload.inbound) {
        const int protocol = one.protocol == "udp" ? IPPROTO_UDP : IPPROTO_TCP;
        std::vector<std::uint16_t> ports = one.ports;
        if (ports.empty()) ports.push_back(0);
        for (const std::uint16_t port : ports) {
            for (const std::string& host : one.hosts) add_networks(all, host, protocol, port);
            for (const kernel::Workload& caller : governed) {
                const bool named = std::ranges::any_of(one.workloads, [&](const auto& name) {
                    return name == "*" || name == caller.name;
                });
                if (named) add_caller(caller, protocol, port);
            }
        }
    }
    return all;
}

Inbound::Inbound(kernel::Redirector& redirector) : redirector_(redirector) {
    if (const auto own = redirector.netns_of_thread()) netns_ = *own;
}

bool Inbound::is_own(kernel::Address address) const {
    if (is_loopback(address)) return true;
    address.port = 0;
    return own_.with([&](Own& own) {
        const auto time = std::chrono::steady_clock::now();
        if (own.read == decltype(own.read){} || time - own.read > kFresh)
            own = {.addresses = read_addresses(), .read = time};
        return own.addresses.contains(address);
    });
}

Result<net::Listening> Inbound::listening(const std::string& host, std::uint16_t port) const {
    const auto address = kernel::parse_address(host == "localhost" ? "127.0.0.1" : host, port);
    if (!address || !is_own(*address)) return fail(Errc::NotFound, "no address of this host");
    auto found = redirector_.listening_at(*address);
    if (!found) return fail(found.error());
    return net::Listening{
        .workload = found->name, .cgroup = found->cgroup_id, .epoch = found->epoch};
}

Result<> Inbound::reach(int socket, const net::Listening& listener) const {
    return redirector_.mark_dial(socket, {.cgroup_id = listener.cgroup, .epoch = listener.epoch});
}

// In another namespace these addresses may be somebody else's.
void Inbound::turn_away(const kernel::Denial& denial) const {
    if (denial.netns == 0 || denial.netns != netns_ || denial.protocol != IPPROTO_TCP) return;
    (void)kernel::destroy_socket({.family = denial.destination.is_v4() ? AF_INET : AF_INET6,
                                  .protocol = IPPROTO_TCP,
                                  .local = denial.destination,
                                  .remote = denial.local});
    // Nothing comes in or goes out: its owner would wait for ever.
    if (denial.type == SOCK_STREAM) (void)kernel::end_connection(denial.local, denial.destination);
}

}  // namespace chaperone::daemon

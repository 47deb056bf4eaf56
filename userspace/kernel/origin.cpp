// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/origin.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <netinet/in.h>
#include <sys/socket.h>

namespace chaperone::kernel {

namespace {

using NameOf = int (*)(int, sockaddr*, socklen_t*);

Result<Address> end_of(int fd, NameOf name_of) {
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    if (name_of(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0)
        return system_error("ask for the ends of a connection", errno);
    const auto address = from_sockaddr(name);
    if (!address) return fail(Errc::Invalid, "not an internet socket");
    return *address;
}

Result<chap_flow> flow_of(int fd) {
    auto client = end_of(fd, ::getpeername);
    if (!client) return fail(client.error());
    auto proxy = end_of(fd, ::getsockname);
    if (!proxy) return fail(proxy.error());
    auto netns = netns_of(fd);
    if (!netns) return fail(netns.error());
    return flow_key(*netns, *client, *proxy, IPPROTO_TCP);
}

}  // namespace

Address address_from(const __u32 (&ip)[4], __u16 port) {
    Address address{.port = ntohs(port)};
    static_assert(sizeof(ip) == sizeof(address.ip));
    std::memcpy(address.ip.data(), ip, sizeof(ip));
    return address;
}

std::string text_from(const char* field, std::size_t size) {
    return {field, ::strnlen(field, size)};
}

Time wall_clock(std::uint64_t monotonic_ns) {
    timespec at{};
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    const auto age = std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec} -
                     std::chrono::nanoseconds{monotonic_ns};
    return now() - age;
}

chap_flow flow_key(std::uint64_t netns, const Address& client, const Address& proxy, int protocol) {
    chap_flow flow{};
    flow.netns = netns;
    std::memcpy(flow.client, client.ip.data(), sizeof(flow.client));
    std::memcpy(flow.proxy, proxy.ip.data(), sizeof(flow.proxy));
    flow.client_port = htons(client.port);
    flow.proxy_port = htons(proxy.port);
    flow.protocol = static_cast<__u32>(protocol);
    return flow;
}

Result<chap_socket> record_of(const Programs& programs, int accepted_fd) {
    auto record = programs.accepted().get(accepted_fd);
    if (record || record.error().code != Errc::NotFound) return record;
    auto flow = flow_of(accepted_fd);
    // A peer that has gone already has no name; what it wanted is not known then.
    if (!flow) return fail(Errc::NotFound, "the connection has no origin: " + flow.error().detail);
    auto flows = programs.flows();
    record = flows.take(*flow);
    if (!record && record.error().code == Errc::NotFound)
        return fail(Errc::NotFound, "the connection does not come from a governed process");
    return record;
}

Result<Origin> origin_from(const Programs& programs, const chap_socket& record) {
    auto workload = programs.workloads().get(record.cgroup_id);
    if (!workload && workload.error().code != Errc::NotFound) return fail(workload.error());
    if (!workload || workload->epoch != record.epoch)
        return fail(Errc::Expired, "the workload of the connection is not governed any more");
    return Origin{.workload = {.cgroup_id = record.cgroup_id,
                               .name = text_from(workload->name, sizeof(workload->name)),
                               .epoch = workload->epoch},
                  .pid = record.tgid,
                  .uid = record.uid,
                  .comm = text_from(record.comm, sizeof(record.comm)),
                  .destination = address_from(record.destination, record.destination_port),
                  .ipv6_socket = record.family == AF_INET6,
                  .netns = record.netns,
                  .socket = record.cookie,
                  .time = wall_clock(record.time_ns)};
}

Result<std::uint64_t> netns_of(int socket_fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    if (::getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0)
        return system_error("ask for the network namespace's cookie", errno);
    return cookie;
}

Result<std::uint64_t> own_netns() {
    const UniqueFd probe{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!probe) return system_error("open a socket", errno);
    return netns_of(probe.get());
}

}  // namespace chaperone::kernel

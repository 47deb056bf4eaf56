// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/directs.h"

#include "userspace/kernel/kernel_error.h"
#include "userspace/kernel/origin.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <bpf/libbpf.h>
#include <sys/socket.h>

namespace chaperone::kernel {

namespace {

Direct::Kind kind_of(std::uint32_t kind) {
    switch (kind) {
    case CHAP_FLOW_OPENED: return Direct::Kind::Opened;
    case CHAP_FLOW_REACHED: return Direct::Kind::Reached;
    default: return Direct::Kind::Closed;
    }
}

Workload workload_of(const Programs& programs, std::uint64_t cgroup_id) {
    Workload made{.cgroup_id = cgroup_id, .name = programs.name_of(cgroup_id)};
    if (const auto known = programs.workloads().get(cgroup_id)) made.epoch = known->epoch;
    return made;
}

chap_open_key key_of(const chap_socket& socket) {
    return {.cookie = socket.cookie, .generation = socket.generation, .reserved = 0};
}

// For whoever comes after us. What finds no room is not known to them to be open.
void keep(const Programs& programs, const chap_direct& flow) {
    auto opens = programs.opens();
    const chap_open_key key = key_of(flow.socket);
    switch (flow.kind) {
    case CHAP_FLOW_OPENED: (void)opens.put(key, flow); return;
    case CHAP_FLOW_CLOSED: (void)opens.erase(key); return;
    case CHAP_FLOW_REACHED:
        if (auto open = opens.get(key)) {
            open->socket.peer = flow.socket.peer;
            (void)opens.put(key, *open);
        }
        return;
    default: return;
    }
}

}  // namespace

std::vector<Direct> read_opens(const Programs& programs) {
    std::vector<Direct> all;
    const auto opens = programs.opens();
    opens.each_key(std::size_t{2} * CHAP_MAX_OPEN, [&](const chap_open_key& key) {
        if (const auto flow = opens.get(key)) all.push_back(direct_from(programs, *flow));
    });
    return all;
}

void forget_open(const Programs& programs, const Direct& direct) {
    (void)programs.opens().erase(
        {.cookie = direct.origin.socket, .generation = direct.generation, .reserved = 0});
}

Direct direct_from(const Programs& programs, const chap_direct& flow) {
    const chap_socket& socket = flow.socket;
    const auto lease = programs.lease().get(0);
    Direct made{.kind = kind_of(flow.kind)};
    made.origin = {.workload = {.cgroup_id = socket.cgroup_id,
                                .name = programs.name_of(socket.cgroup_id, socket.epoch),
                                .epoch = socket.epoch},
                   .pid = socket.tgid,
                   .uid = socket.uid,
                   .comm = text_from(socket.comm, sizeof(socket.comm)),
                   .destination = address_from(socket.destination, socket.destination_port),
                   .ipv6_socket = socket.family == AF_INET6,
                   .netns = socket.netns,
                   .socket = socket.cookie,
                   .time = wall_clock(socket.time_ns)};
    if (socket.peer != 0) made.peer = workload_of(programs, socket.peer);
    if ((socket.flags & CHAP_INBOUND) != 0) {
        made.inbound = true;
        made.called = address_from(socket.proxy, socket.proxy_port);
        made.peer = std::exchange(made.origin.workload, {});
    }
    made.protocol = socket.protocol;
    made.tag = socket.tag;
    made.generation = socket.generation;
    made.local_port = flow.local_port;
    made.time = wall_clock(flow.time_ns);
    made.began = Time{std::chrono::nanoseconds{socket.time_ns + (lease ? lease->clock_ns : 0)}};
    made.duration = std::chrono::nanoseconds{flow.time_ns - std::min(socket.time_ns, flow.time_ns)};
    made.bytes_up = flow.bytes_up;
    made.bytes_down = flow.bytes_down;
    made.established = flow.established != 0;
    return made;
}

void Directs::Free::operator()(ring_buffer* ring) const noexcept {
    ring_buffer__free(ring);
}

// An event is taken from the ring when this returns: a process that dies before leaves it to the
// next one.
int Directs::tell(void* reading, void* data, std::size_t size) {
    auto& now = *static_cast<Reading*>(reading);
    chap_direct flow{};
    if (size != sizeof(flow)) return 0;
    std::memcpy(&flow, data, sizeof(flow));
    try {
        (*now.see)(direct_from(*now.programs, flow));
        keep(*now.programs, flow);
    } catch (...) {
        now.thrown = std::current_exception();  // not through libbpf, which is C
        return -ECANCELED;
    }
    return 0;
}

Result<Directs> Directs::open(const Programs& programs) {
    auto reading = std::make_unique<Reading>();
    std::unique_ptr<ring_buffer, Free> ring{
        ring_buffer__new(programs.directs(), tell, reading.get(), nullptr)};
    if (!ring) return kernel_error("map the ring of what is let through", errno);
    return Directs{std::move(ring), std::move(reading)};
}

Result<std::size_t> Directs::take(const Programs& programs,
                                  const std::function<void(const Direct&)>& see) {
    *reading_ = {.programs = &programs, .see = &see};
    const int read = ring_buffer__consume(ring_.get());
    if (reading_->thrown) std::rethrow_exception(std::exchange(reading_->thrown, nullptr));
    if (read < 0) return kernel_error("read what is let through", -read);
    return static_cast<std::size_t>(read);
}

int Directs::fd() const {
    return ring_buffer__epoll_fd(ring_.get());
}

}  // namespace chaperone::kernel

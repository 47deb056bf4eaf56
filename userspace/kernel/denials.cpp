// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/denials.h"

#include "userspace/kernel/kernel_error.h"
#include "userspace/kernel/origin.h"

#include <cerrno>
#include <cstring>

#include <bpf/libbpf.h>

namespace chaperone::kernel {

namespace {

Denial::Kind kind_of(std::uint16_t kind) {
    switch (kind) {
    case CHAP_REFUSED_SOCKETS: return Denial::Kind::Socket;
    case CHAP_REFUSED_CONNECTS: return Denial::Kind::Connect;
    case CHAP_REFUSED_DATAGRAMS: return Denial::Kind::Datagram;
    case CHAP_REFUSED_BINDS: return Denial::Kind::Bind;
    case CHAP_REFUSED_DOORS: return Denial::Kind::Door;
    case CHAP_REFUSED_REACHES: return Denial::Kind::Reach;
    case CHAP_REFUSED_INBOUND: return Denial::Kind::Inbound;
    case CHAP_STRANGE_NAMESPACES: return Denial::Kind::Namespace;
    default: return Denial::Kind::Packet;
    }
}

std::string_view reach_of(const chap_event& event) {
    if (event.kind != CHAP_REFUSED_REACHES) return {};
    switch (event.type) {
    case CHAP_REACH_RECEIVE: return "receive a socket of others";
    case CHAP_REACH_SOCKET: return "use a socket of others";
    case CHAP_REACH_FAMILY: return "make a socket of another family";
    case CHAP_REACH_PTRACE: return "look into a process of others";
    case CHAP_REACH_SIGNAL: return "signal a process of others";
    case CHAP_REACH_CGROUP: return "write to the cgroup tree";
    case CHAP_REACH_BPF: return "reach the kernel's programs";
    case CHAP_REACH_FILE: return "open a file that is closed to it";
    default: return "reach what is of others";
    }
}

std::string name_of(const chap_door_event& event) {
    const char* name = event.name;
    switch (event.kind) {
    case CHAP_DOOR_PATH: return text_from(name, CHAP_DOOR_NAME);
    case CHAP_DOOR_ABSTRACT: {
        std::size_t size = CHAP_DOOR_NAME;  // padded with NULs
        while (size > 1 && name[size - 1] == 0) --size;
        return "@" + std::string(name + 1, size - 1);
    }
    default: return {};
    }
}

Denial denial_from(const Programs& programs, const chap_door_event& told) {
    const chap_event& event = told.head;
    return {.kind = kind_of(event.kind),
            .cgroup_id = event.cgroup_id,
            .workload = event.cgroup_id != 0 ? programs.name_of(event.cgroup_id) : std::string{},
            .destination = address_from(event.destination, event.destination_port),
            .door = name_of(told),
            .what = reach_of(event),
            .type = event.type,
            .protocol = event.protocol,
            .pid = event.tgid,
            .uid = event.uid,
            .comm = text_from(event.comm, sizeof(event.comm)),
            .time = wall_clock(event.time_ns),
            .listener = event.peer != 0 ? programs.name_of(event.peer) : std::string{},
            .local = address_from(event.local, event.local_port),
            .netns = event.netns};
}

}  // namespace

void Denials::Free::operator()(ring_buffer* ring) const noexcept {
    ring_buffer__free(ring);
}

// Called by libbpf for each event. Once it returns an error, reading ends and that event is
// consumed; so the last that fits is the one that ends it.
int Denials::collect(void* into, void* data, std::size_t size) {
    auto& taken = *static_cast<Taken*>(into);
    chap_door_event event{};
    if (size == sizeof(event) || size == sizeof(event.head)) {
        std::memcpy(&event, data, size);
        taken.events.push_back(event);
    }
    return taken.events.size() < taken.limit ? 0 : -ENOSPC;
}

Result<Denials> Denials::open(const Programs& programs) {
    auto taken = std::make_unique<Taken>();
    std::unique_ptr<ring_buffer, Free> ring{
        ring_buffer__new(programs.events(), collect, taken.get(), nullptr)};
    if (!ring) return kernel_error("map the ring of denials", errno);
    return Denials{std::move(ring), std::move(taken)};
}

Result<std::vector<Denial>> Denials::take(const Programs& programs, std::size_t limit) {
    std::vector<Denial> denials;
    if (limit == 0) return denials;
    taken_->events.clear();
    taken_->limit = limit;
    const int read = ring_buffer__consume(ring_.get());
    if (read < 0 && read != -ENOSPC) return kernel_error("read the denials", -read);
    for (const chap_door_event& event : taken_->events)
        denials.push_back(denial_from(programs, event));
    return denials;
}

int Denials::fd() const {
    return ring_buffer__epoll_fd(ring_.get());
}

}  // namespace chaperone::kernel

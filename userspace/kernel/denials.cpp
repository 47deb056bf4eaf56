// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/denials.h"

#include "userspace/kernel/kernel_error.h"
#include "userspace/kernel/origin.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

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

bool names_process(const chap_event& event) {
    return event.kind == CHAP_REFUSED_REACHES &&
           (event.type == CHAP_REACH_SIGNAL || event.type == CHAP_REACH_PTRACE);
}

}  // namespace

std::string path_of(const chap_file_event& event) {
    std::vector<std::string_view> names;  // the innermost first
    std::string_view rest{event.names, std::min<std::size_t>(event.size, sizeof(event.names))};
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\0'), rest.size());
        names.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (names.empty()) return {};
    if (names.front().starts_with('/')) return std::string{names.front()};
    std::string path = event.complete != 0 ? "" : "…";
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        path += '/';
        path += *name;
    }
    return path;
}

Denial Denials::denial_from(const Programs& programs, Told told) {
    const chap_event& event = told.head;
    const bool process = names_process(event);
    return {.kind = kind_of(event.kind),
            .cgroup_id = event.cgroup_id,
            .workload = event.cgroup_id != 0 ? programs.name_of(event.cgroup_id) : std::string{},
            .destination = address_from(event.destination, event.destination_port),
            .door = std::move(told.name),
            .what = reach_of(event),
            .target = process ? static_cast<std::int64_t>(event.peer) : 0,
            .signal = process ? event.protocol : 0,
            .type = event.type,
            .protocol = process ? 0 : event.protocol,
            .pid = event.tgid,
            .uid = event.uid,
            .comm = text_from(event.comm, sizeof(event.comm)),
            .time = wall_clock(event.time_ns),
            .listener = event.peer != 0 && !process ? programs.name_of(event.peer) : std::string{},
            .local = address_from(event.local, event.local_port),
            .netns = event.netns};
}

void Denials::Free::operator()(ring_buffer* ring) const noexcept {
    ring_buffer__free(ring);
}

// Called by libbpf for each event. Once it returns an error, reading ends and that event is
// consumed; so the last that fits is the one that ends it.
int Denials::collect(void* into, void* data, std::size_t size) {
    auto& taken = *static_cast<Taken*>(into);
    chap_door_event door{};
    chap_file_event file{};
    Told told;
    if (size == sizeof(door)) {
        std::memcpy(&door, data, size);
        told = {door.head, name_of(door)};
    } else if (size == sizeof(file)) {
        std::memcpy(&file, data, size);
        told = {file.head, path_of(file)};
    } else if (size == sizeof(told.head)) {
        std::memcpy(&told.head, data, size);
    } else {
        return 0;
    }
    taken.events.push_back(std::move(told));
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
    for (Told& event : taken_->events) denials.push_back(denial_from(programs, std::move(event)));
    return denials;
}

int Denials::fd() const {
    return ring_buffer__epoll_fd(ring_.get());
}

}  // namespace chaperone::kernel

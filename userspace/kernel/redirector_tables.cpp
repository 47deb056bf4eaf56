// SPDX-License-Identifier: Apache-2.0
// The half of the Redirector that concerns what the kernel decides, lets and refuses by itself.
#include "userspace/kernel/cgroup.h"
#include "userspace/kernel/origin.h"
#include "userspace/kernel/redirector_state.h"
#include "userspace/kernel/sockets.h"
#include "userspace/kernel/talks.h"

#include <arpa/inet.h>

namespace chaperone::kernel {

Result<Counters> Redirector::counters() const {
    Counters all;
    const std::pair<chap_counter, std::uint64_t*> parts[] = {
        {CHAP_REDIRECTS, &all.redirects},
        {CHAP_HANDOVERS, &all.handovers},
        {CHAP_ORPHANS, &all.orphans},
        {CHAP_UNCLAIMED, &all.unclaimed},
        {CHAP_DIRECTS, &all.directs},
        {CHAP_REFUSED_SOCKETS, &all.refused_sockets},
        {CHAP_REFUSED_CONNECTS, &all.refused_connects},
        {CHAP_REFUSED_DATAGRAMS, &all.refused_datagrams},
        {CHAP_REFUSED_BINDS, &all.refused_binds},
        {CHAP_DROPPED_PACKETS, &all.dropped_packets},
        {CHAP_UNTOLD, &all.untold},
        {CHAP_LET_THROUGH, &all.let_through},
        {CHAP_LOST_FLOWS, &all.lost_flows},
        {CHAP_STRANGE_NAMESPACES, &all.strange_namespaces},
        {CHAP_REFUSED_DOORS, &all.refused_doors},
        {CHAP_OPEN_DOORS, &all.open_doors},
        {CHAP_REFUSED_REACHES, &all.refused_reaches},
        {CHAP_REFUSED_INBOUND, &all.refused_inbound},
        {CHAP_LET_IN, &all.let_in},
    };
    static_assert(std::size(parts) == CHAP_COUNTERS);
    for (const auto& [which, total] : parts) {
        auto value = state_->programs.counter(which);
        if (!value) return fail(value.error());
        *total = *value;
    }
    return all;
}

// Open connections and talks are looked at again.
Result<> Redirector::State::raise_generation() {
    const std::lock_guard lock{lending};
    auto lease = programs.lease();
    auto now = lease.get(0);
    if (!now) return fail(now.error());
    ++now->generation;
    return lease.put(0, *now);
}

// The former table may let what is not to be let any more: where the new one cannot be put in its
// place, there is none.
Result<> Redirector::State::replace_table(Map<std::uint64_t, int> tables, std::uint64_t cgroup_id,
                                          const Result<UniqueFd>& table) {
    const std::lock_guard lock{changing};
    if (auto known = programs.workloads().get(cgroup_id); !known) return fail(known.error());
    Result<> done = table ? tables.put(cgroup_id, table->get()) : fail(table.error());
    if (!done)
        if (auto gone = tables.erase(cgroup_id); !gone && gone.error().code != Errc::NotFound)
            return gone;
    auto raised = raise_generation();
    return done ? raised : done;
}

Result<> Redirector::set_verdicts(std::uint64_t cgroup_id, std::span<const Verdict> verdicts) {
    return state_->replace_table(state_->programs.verdicts(), cgroup_id,
                                 make_verdict_table(verdicts));
}

Result<> Redirector::set_inbound(std::uint64_t cgroup_id, std::span<const Verdict> callers) {
    return state_->replace_table(state_->programs.inbound(), cgroup_id,
                                 make_verdict_table(callers));
}

Result<> Redirector::mark_dial(int socket, const Workload& listener) {
    return state_->programs.dialled().put(
        socket, {.cgroup_id = listener.cgroup_id, .epoch = listener.epoch});
}

Result<> Redirector::mark_any_dial(int socket) {
    return state_->programs.dialled().put(socket, {.cgroup_id = CHAP_ANY_WORKLOAD, .epoch = 0});
}

// The deepest governed cgroup at or above that of the listening socket.
Result<Workload> Redirector::listening_at(const Address& address) const {
    const auto stranger = [] {
        return fail(Errc::NotFound, "nobody who is governed listens there");
    };
    const std::uint64_t now = clock_now(CLOCK_MONOTONIC);
    const bool just_asked = state_->listened.with([&](const auto& listened) {
        const auto found = listened.find(address);
        return found != listened.end() && now - found->second < State::kJustNowNs;
    });
    if (just_asked) return stranger();
    const auto listener = find_listener(address);
    if (!listener) return fail(listener.error());
    const bool known_stranger = state_->strangers.with([&](auto& strangers) {
        const auto found = strangers.find(listener->cgroup_id);
        return found != strangers.end() && now - found->second < State::kStaleNs;
    });
    if (known_stranger) {
        state_->listened.with([&](auto& listened) {
            if (listened.size() >= State::kMostKept) listened.clear();
            listened[address] = now;
        });
        return stranger();
    }
    auto cgroup = open_cgroup_by_id(listener->cgroup_id);
    if (!cgroup) return fail(cgroup.error());
    auto path = cgroup_path(cgroup->get());
    if (!path) return fail(path.error());
    const auto workloads = state_->programs.workloads();
    for (int level = 0; level < CHAP_MAX_LEVELS; ++level) {
        const auto id = cgroup_id(*path);
        if (!id) break;  // above the mount
        if (const auto known = workloads.get(*id))
            return Workload{.cgroup_id = *id,
                            .name = text_from(known->name, sizeof(known->name)),
                            .epoch = known->epoch};
        path = path->parent_path();
    }
    state_->strangers.with([&](auto& strangers) {
        if (strangers.size() >= State::kMostKept) strangers.clear();
        strangers[listener->cgroup_id] = now;
    });
    return stranger();
}

Result<> Redirector::set_doors(std::uint64_t cgroup_id, std::span<const Door> doors) {
    return state_->replace_table(state_->programs.doors(), cgroup_id, make_door_table(doors));
}

const std::string& Redirector::no_guard() const {
    return state_->programs.no_guard();
}

const std::string& Redirector::no_attempts() const {
    return state_->programs.no_attempts();
}

const std::string& Redirector::no_doors() const {
    return state_->programs.no_doors();
}

Result<> Redirector::lend(Duration time, std::uint16_t port) {
    const std::uint64_t now = clock_now(CLOCK_MONOTONIC);
    const std::lock_guard lock{state_->lending};
    auto lease = state_->programs.lease();
    auto held = lease.get(0);
    if (!held) return fail(held.error());
    held->port = htons(port);
    held->until_ns = time > Duration{} ? now + static_cast<std::uint64_t>(time.count()) : 0;
    return lease.put(0, *held);
}

Result<> Redirector::answer_for(Duration time) {
    const std::lock_guard lock{state_->lending};
    auto lease = state_->programs.lease();
    auto held = lease.get(0);
    if (!held) return fail(held.error());
    const auto until = std::chrono::nanoseconds{clock_now(CLOCK_MONOTONIC)} + time;
    held->alive_until = std::uint32_t(std::chrono::ceil<std::chrono::seconds>(until).count());
    return lease.put(0, *held);
}

Result<std::size_t> Redirector::take_directs(const std::function<void(const Direct&)>& see) {
    const std::lock_guard lock{state_->taking_directs};
    return state_->directs.take(state_->programs, see);
}

std::vector<Direct> Redirector::open_directs() const {
    return read_opens(state_->programs);
}

void Redirector::forget_direct(const Direct& direct) {
    forget_open(state_->programs, direct);
}

std::vector<Talk> Redirector::talks() const {
    return read_talks(state_->programs);
}

Result<Talk> Redirector::end_talk(const Talk& talk) {
    return take_talk(state_->programs, talk);
}

int Redirector::directs_fd() const {
    return state_->directs.fd();
}

Result<std::vector<Denial>> Redirector::take_denials(std::size_t limit) {
    const std::lock_guard lock{state_->taking};
    return state_->denials.take(state_->programs, limit);
}

int Redirector::denials_fd() const {
    return state_->denials.fd();
}

Result<std::size_t> Redirector::flows_count() const {
    std::size_t count = 0;
    state_->programs.flows().each_key(std::size_t{2} * CHAP_MAX_FLOWS,
                                      [&](const chap_flow&) { ++count; });
    return count;
}

}  // namespace chaperone::kernel

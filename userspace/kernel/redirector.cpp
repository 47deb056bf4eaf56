// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/redirector.h"

#include "userspace/kernel/attachments.h"
#include "userspace/kernel/cgroup.h"
#include "userspace/kernel/origin.h"
#include "userspace/kernel/redirector_state.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

namespace chaperone::kernel {

namespace {

namespace fs = std::filesystem;

// Twice the table: a walk that is disturbed may see keys twice, and must end.
constexpr std::size_t kMaxWalk = std::size_t{2} * CHAP_MAX_WORKLOADS;

chap_listener to_abi(const ProxyPorts& ports) {
    return {.tcp4 = htons(ports.tcp4),
            .tcp6 = htons(ports.tcp6),
            .dns4 = htons(ports.dns4),
            .dns6 = htons(ports.dns6)};
}

bool is_at_or_below(const fs::path& path, const fs::path& ancestor) {
    const auto [a, p] = std::ranges::mismatch(ancestor, path);
    return a == ancestor.end();
}

bool contains(const std::vector<Workload>& workloads, std::uint64_t id) {
    return std::ranges::find(workloads, id, &Workload::cgroup_id) != workloads.end();
}

Result<> check_name(std::string_view name) {
    if (name.empty() || name.size() >= CHAP_NAME_SIZE || name.find('\0') != name.npos)
        return fail(Errc::Invalid, "a workload's name has 1 to 63 bytes");
    return {};
}

}  // namespace

std::string_view describe(Finding::Kind kind) noexcept {
    switch (kind) {
    case Finding::Kind::CgroupGone: return "the cgroup was removed";
    case Finding::Kind::Missing: return "a program is not attached";
    case Finding::Kind::Severed: return "a program is attached to a cgroup that is gone";
    case Finding::Kind::NoEntry: return "programs are attached, but no workload is known";
    }
    return "unknown";
}

Result<> Redirector::State::attach_core() {
    auto id = cgroup_id(core_fd.get());
    if (!id) return fail(id.error());
    core_id = *id;
    return attach_all({&programs.proxy(), 1}, core_fd.get(), core_id, pins.core_links());
}

// Programs in place first, so that nothing runs on with old ones; then what is missing.
Result<> Redirector::State::take_over() {
    auto settings = programs.settings();
    auto current = settings.get(0);
    if (!current) return fail(current.error());
    if (current->abi != 0 && current->abi != CHAP_ABI)
        return fail(Errc::Unsupported, "the pinned maps are of another version: detach first");
    if (auto done = replace_all({&programs.proxy(), 1}, pins.core_links()); !done) return done;
    if (auto done = attach_core(); !done) return done;

    if (auto started = start_clock(); !started) return started;
    if (auto guarded = attach_guards(); !guarded) return guarded;

    auto linked = pins.linked_cgroups();
    if (!linked) return fail(linked.error());
    for (const std::uint64_t id : *linked)
        if (auto done = replace_all(programs.agent(), pins.links(id)); !done) return done;
    auto known = workloads();
    if (!known) return fail(known.error());
    for (const Workload& workload : *known)
        if (auto done = repair_workload(workload); !done) return done;
    return {};
}

// Anew each time: such attachments do not take another program.
Result<> Redirector::State::attach_guards() {
    const fs::path directory = pins.guard_links();
    if (programs.host().empty()) return detach_all_in(directory);
    std::error_code error;
    fs::create_directories(directory, error);
    for (const Program& program : programs.host())
        if (auto done = attach_guard(program.fd, directory / program.name); !done) return done;
    return {};
}

Result<> Redirector::State::start_clock() {
    auto lease = programs.lease();
    auto first = lease.get(0);
    if (!first) return fail(first.error());
    if (first->clock_ns != 0) return {};
    first->clock_ns = clock_now(CLOCK_REALTIME) - clock_now(CLOCK_MONOTONIC);
    return lease.put(0, *first);
}

Result<std::vector<Workload>> Redirector::State::workloads() const {
    std::vector<Workload> found;
    const auto map = programs.workloads();
    map.each_key(kMaxWalk, [&](std::uint64_t id) {
        const auto value = map.get(id);
        if (!value || contains(found, id)) return;
        found.push_back({.cgroup_id = id,
                         .name = {value->name, ::strnlen(value->name, sizeof(value->name))},
                         .epoch = value->epoch});
    });
    return found;
}

// A workload whose cgroup was removed is left to verify(): nothing can run in it.
Result<> Redirector::State::repair_workload(const Workload& workload) {
    auto cgroup = open_cgroup_by_id(workload.cgroup_id);
    if (!cgroup && cgroup.error().code == Errc::NotFound) return {};
    if (!cgroup) return fail(cgroup.error());
    return attach_all(programs.agent(), cgroup->get(), workload.cgroup_id,
                      pins.links(workload.cgroup_id));
}

Result<> Redirector::State::check_cgroup(int cgroup_fd, std::uint64_t id) const {
    auto top = find_cgroup2();
    if (!top) return fail(top.error());
    auto path = cgroup_path(cgroup_fd);
    if (!path) return fail(path.error());
    auto core = cgroup_path(core_fd.get());
    if (!core) return fail(core.error());
    const fs::path relative = path->lexically_relative(*top);
    if (relative.empty() || relative == "." || *relative.begin() == "..")
        return fail(Errc::Invalid,
                    path->string() + " cannot be governed: it is no cgroup below " + top->string());
    if (std::ranges::distance(relative) >= CHAP_MAX_LEVELS)
        return fail(Errc::Invalid, path->string() + " is too deep to be governed");
    if (id == core_id || is_at_or_below(*core, *path) || is_at_or_below(*path, *core))
        return fail(Errc::Invalid, path->string() + " holds the proxy itself");
    return {};
}

Redirector::Redirector(std::unique_ptr<State> state) : state_(std::move(state)) {}
Redirector::Redirector(Redirector&&) noexcept = default;
Redirector& Redirector::operator=(Redirector&&) noexcept = default;
Redirector::~Redirector() = default;

Result<Redirector> Redirector::open(const Options& options) {
    UniqueFd core{::fcntl(options.core_cgroup, F_DUPFD_CLOEXEC, 0)};
    if (!core) return system_error("the proxy's cgroup", errno);
    auto core_path = cgroup_path(core.get());
    if (!core_path) return fail(core_path.error());
    auto top = find_cgroup2();
    if (!top) return fail(top.error());
    // Attaching to the root would touch every process of the host.
    if (*core_path == *top || !is_at_or_below(*core_path, *top))
        return fail(Errc::Invalid,
                    "the proxy needs a cgroup of its own, not " + core_path->string());

    auto pins = Pins::open(options.pin_dir);
    if (!pins) return fail(pins.error());
    auto programs = Programs::load(*pins, options.room, options.attempts);
    if (!programs) return fail(programs.error());
    auto denials = Denials::open(*programs);
    if (!denials) return fail(denials.error());
    auto directs = Directs::open(*programs);
    if (!directs) return fail(directs.error());
    auto state = std::make_unique<State>(*std::move(pins), *std::move(programs),
                                         *std::move(denials), *std::move(directs), std::move(core));
    if (auto taken = state->take_over(); !taken) return fail(taken.error());
    Redirector redirector{std::move(state)};
    if (auto set = redirector.set_dns(options.dns); !set) return fail(set.error());
    // Without any the kernel goes on with those of the former process, as while nobody is there:
    // who connects meanwhile waits in its sockets, where they are kept.
    const ProxyPorts& ports = options.ports;
    if (ports.tcp4 != 0 || ports.tcp6 != 0 || ports.dns4 != 0 || ports.dns6 != 0)
        if (auto set = redirector.set_proxy(ports); !set) return fail(set.error());
    return redirector;
}

Result<Workload> Redirector::govern(int cgroup_fd, std::string_view name) {
    if (auto checked = check_name(name); !checked) return fail(checked.error());
    auto id = cgroup_id(cgroup_fd);
    if (!id) return fail(id.error());
    const std::lock_guard lock{state_->changing};
    if (auto checked = state_->check_cgroup(cgroup_fd, *id); !checked) return fail(checked.error());

    auto workloads = state_->programs.workloads();
    const auto before = workloads.get(*id);
    if (!before && before.error().code != Errc::NotFound) return fail(before.error());
    chap_workload entry{};
    // Pins do not outlive a boot.
    entry.epoch = before ? before->epoch : clock_now(CLOCK_BOOTTIME);
    name.copy(entry.name, name.size());

    // The entry first: an attached cgroup without one refuses everything.
    if (auto put = workloads.put(*id, entry); !put)
        return put.error().code == Errc::TooLarge
                   ? fail(Errc::TooLarge, "as many cgroups are governed as the kernel has room for")
                   : fail(put.error());
    state_->strangers.with([](auto& strangers) { strangers.clear(); });
    const auto attached =
        attach_all(state_->programs.agent(), cgroup_fd, *id, state_->pins.links(*id));
    if (!attached) {
        (void)(before ? workloads.put(*id, *before) : workloads.erase(*id));
        return fail(attached.error());
    }
    return Workload{.cgroup_id = *id, .name = std::string{name}, .epoch = entry.epoch};
}

Result<Workload> Redirector::govern(const fs::path& cgroup, std::string_view name) {
    auto fd = open_cgroup(cgroup);
    if (!fd) return fail(fd.error());
    return govern(fd->get(), name);
}

Result<> Redirector::release(std::uint64_t cgroup_id) {
    const std::lock_guard lock{state_->changing};
    auto verdicts = state_->programs.verdicts();
    if (auto gone = verdicts.erase(cgroup_id); !gone && gone.error().code != Errc::NotFound)
        return gone;
    auto doors = state_->programs.doors();
    if (auto gone = doors.erase(cgroup_id); !gone && gone.error().code != Errc::NotFound)
        return gone;
    auto inbound = state_->programs.inbound();
    if (auto gone = inbound.erase(cgroup_id); !gone && gone.error().code != Errc::NotFound)
        return gone;
    (void)state_->drop_named(cgroup_id, {});
    if (const auto known = state_->programs.workloads().get(cgroup_id))
        state_->programs.remember(cgroup_id, *known);
    const auto erased = state_->programs.workloads().erase(cgroup_id);
    if (!erased && erased.error().code != Errc::NotFound) return erased;
    auto linked = state_->pins.linked_cgroups();
    if (!linked) return fail(linked.error());
    if (!erased && std::ranges::find(*linked, cgroup_id) == linked->end()) return erased;
    return detach_all_in(state_->pins.links(cgroup_id));
}

Result<std::vector<Workload>> Redirector::list() const {
    const std::lock_guard lock{state_->changing};
    return state_->workloads();
}

Result<Origin> Redirector::origin(int accepted_fd) const {
    auto record = record_of(state_->programs, accepted_fd);
    if (!record) return fail(record.error());
    return origin_from(state_->programs, *record);
}

Result<Origin> Redirector::datagram_origin(std::uint64_t netns, const Address& from,
                                           const Address& to) const {
    auto record = state_->programs.datagrams().get(flow_key(netns, from, to, IPPROTO_UDP));
    if (!record && record.error().code == Errc::NotFound)
        return fail(Errc::NotFound, "the datagram does not come from a governed process");
    if (!record) return fail(record.error());
    return origin_from(state_->programs, *record);
}

Result<std::vector<Finding>> Redirector::verify() const {
    const std::lock_guard lock{state_->changing};
    const State& state = *state_;
    std::vector<Finding> findings;
    const auto add = [&](std::vector<Finding> found, std::uint64_t id, const std::string& name) {
        for (Finding& finding : found) {
            finding.cgroup_id = id;
            finding.workload = name;
            findings.push_back(std::move(finding));
        }
    };
    auto core = inspect({&state.programs.proxy(), 1}, state.core_id, state.pins.core_links());
    if (!core) return core;
    add(*std::move(core), state.core_id, {});

    auto known = state.workloads();
    if (!known) return fail(known.error());
    for (const Workload& workload : *known) {
        auto live = open_cgroup_by_id(workload.cgroup_id);
        if (!live && live.error().code != Errc::NotFound) return fail(live.error());
        if (!live) {
            add({{.kind = Finding::Kind::CgroupGone}}, workload.cgroup_id, workload.name);
            continue;
        }
        auto found = inspect(state.programs.agent(), workload.cgroup_id,
                             state.pins.links(workload.cgroup_id));
        if (!found) return found;
        add(*std::move(found), workload.cgroup_id, workload.name);
    }
    auto linked = state.pins.linked_cgroups();
    if (!linked) return fail(linked.error());
    for (const std::uint64_t id : *linked)
        if (!contains(*known, id)) add({{.kind = Finding::Kind::NoEntry}}, id, {});
    return findings;
}

Result<> Redirector::repair() {
    const std::lock_guard lock{state_->changing};
    if (auto done = state_->attach_core(); !done) return done;
    auto known = state_->workloads();
    if (!known) return fail(known.error());
    for (const Workload& workload : *known)
        if (auto done = state_->repair_workload(workload); !done) return done;
    return {};
}

Result<> Redirector::set_proxy(const ProxyPorts& ports) {
    auto netns = own_netns();
    if (!netns) return fail(netns.error());
    return set_proxy(*netns, ports);
}

Result<> Redirector::set_proxy(std::uint64_t netns, const ProxyPorts& ports) {
    auto put = state_->programs.listeners().put(netns, to_abi(ports));
    if (!put && put.error().code == Errc::TooLarge)
        return fail(Errc::TooLarge, "the kernel has no room for another network namespace");
    return put;
}

Result<> Redirector::forget_proxy(std::uint64_t netns) {
    return state_->programs.listeners().erase(netns);
}

Result<> Redirector::forget_other_proxies(std::span<const std::uint64_t> but) {
    auto own = own_netns();
    if (!own) return fail(own.error());
    auto listeners = state_->programs.listeners();
    std::vector<std::uint64_t> others;
    listeners.each_key(std::size_t{2} * CHAP_MAX_LISTENERS, [&](std::uint64_t netns) {
        if (netns != *own && std::ranges::find(but, netns) == but.end()) others.push_back(netns);
    });
    for (const std::uint64_t netns : others)
        if (auto gone = forget_proxy(netns); !gone) return gone;
    return {};
}

Result<std::uint64_t> Redirector::netns_of_thread() const {
    return own_netns();
}

Result<> Redirector::set_dns(DnsMode mode) {
    return state_->programs.settings().put(
        0, {.abi = CHAP_ABI, .dns = static_cast<std::uint32_t>(mode), .core = state_->core_id});
}

Result<> Redirector::detach_all() {
    const std::lock_guard lock{state_->changing};
    return state_->pins.remove_all();
}

Result<> remove_pins(const fs::path& pin_dir) {
    std::error_code error;
    if (!fs::exists(pin_dir, error)) return {};
    auto pins = Pins::open_any(pin_dir);
    if (!pins) return fail(pins.error());
    return pins->remove_all();
}

fs::path pin_dir_for(std::string_view tag) {
    const std::string name = tag.empty() ? "chaperone" : "chaperone-" + std::string{tag};
    const fs::path shared = fs::path{"/sys/fs/bpf"} / name;
    // A sandboxed service sees this directory alone, not the file system that holds it.
    if (is_bpffs(shared) || is_bpffs(shared.parent_path())) return shared;
    return fs::path{"/run"} / name / "bpf";
}

}  // namespace chaperone::kernel

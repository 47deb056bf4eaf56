// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/programs.h"

#include "userspace/base/file.h"
#include "userspace/kernel/kernel_error.h"

#include <cassert>
#include <cerrno>
#include <cstring>

#include <bpf/libbpf.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include "bpf/attempts.skel.h"
#include "bpf/guard.skel.h"
#include "bpf/redirect.skel.h"
#include "bpf/unix.skel.h"
#pragma clang diagnostic pop

namespace chaperone::kernel {

namespace {

std::unexpected<Error> load_error(int error_number) {
    const std::string warning = take_libbpf_warnings();
    if (warning.find("parameter mismatch") != warning.npos)
        return fail(Errc::Unsupported,
                    "pinned maps are of another shape, detach first: " + warning);
    auto error = kernel_error("load the BPF programs", error_number);
    if (!warning.empty()) error.error().detail += " (" + warning + ")";
    return error;
}

// Of enum bpf_attach_type since Linux 6.7, and newer than libbpf 1.1 and its header.
constexpr auto kConnectUnix = static_cast<bpf_attach_type>(49);
constexpr auto kSendmsgUnix = static_cast<bpf_attach_type>(50);

Result<> pin_maps(bpf_object* object, const Pins& pins) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        // Sections of constants are the programs' own; everything else is shared over time.
        if (bpf_map__is_internal(map)) continue;
        const std::filesystem::path pin = pins.map(bpf_map__name(map));
        if (const int error = bpf_map__set_pin_path(map, pin.c_str()); error != 0)
            return load_error(-error);
    }
    return {};
}

// Shared maps are of one size in all objects.
void set_room(bpf_object* object, const std::map<std::string, std::uint32_t>& room) {
    for (const auto& [name, entries] : room)
        if (bpf_map* map = bpf_object__find_map_by_name(object, name.c_str()))
            bpf_map__set_max_entries(map, entries);
}

Program describe_program(const bpf_program* program) {
    return {.name = bpf_program__name(program),
            .fd = bpf_program__fd(program),
            .attach_type = static_cast<int>(bpf_program__expected_attach_type(program))};
}

}  // namespace

void Programs::Unload::operator()(redirect_bpf* object) const noexcept {
    redirect_bpf__destroy(object);
}

void Programs::Unload::operator()(unix_bpf* object) const noexcept {
    unix_bpf__destroy(object);
}

void Programs::Unload::operator()(guard_bpf* object) const noexcept {
    guard_bpf__destroy(object);
}

void Programs::Unload::operator()(attempts_bpf* object) const noexcept {
    attempts_bpf__destroy(object);
}

Result<Programs> Programs::load(const Pins& pins, const std::map<std::string, std::uint32_t>& room,
                                bool attempts) {
    silence_libbpf();
    (void)take_libbpf_warnings();
    Programs loaded;
    loaded.object_.reset(redirect_bpf__open());
    redirect_bpf* object = loaded.object_.get();
    if (object == nullptr) return load_error(errno);

    if (auto pinned = pin_maps(object->obj, pins); !pinned) return fail(pinned.error());
    loaded.room_ = room;
    set_room(object->obj, room);
    if (const int error = redirect_bpf__load(object); error != 0) return load_error(-error);

    const auto& progs = object->progs;
    for (const bpf_program* program :
         {progs.chap_egress, progs.chap_ingress, progs.chap_create, progs.chap_bind4,
          progs.chap_bind6, progs.chap_sendmsg4, progs.chap_sendmsg6, progs.chap_connect4,
          progs.chap_connect6, progs.chap_recvmsg4, progs.chap_recvmsg6, progs.chap_getpeername4,
          progs.chap_getpeername6, progs.chap_agent})
        loaded.agent_.push_back(describe_program(program));
    loaded.proxy_ = describe_program(progs.chap_proxy);
    const auto& maps = object->maps;
    loaded.fds_ = {.accepted = bpf_map__fd(maps.accepted),
                   .flows = bpf_map__fd(maps.flows),
                   .datagrams = bpf_map__fd(maps.datagrams),
                   .workloads = bpf_map__fd(maps.workloads),
                   .listeners = bpf_map__fd(maps.listeners),
                   .settings = bpf_map__fd(maps.settings),
                   .counters = bpf_map__fd(maps.counters),
                   .events = bpf_map__fd(maps.events),
                   .verdicts = bpf_map__fd(maps.verdicts),
                   .doors = bpf_map__fd(maps.doors),
                   .lease = bpf_map__fd(maps.lease),
                   .directs = bpf_map__fd(maps.directs),
                   .talks = bpf_map__fd(maps.talks),
                   .inbound = bpf_map__fd(maps.inbound),
                   .dialled = bpf_map__fd(maps.dialled),
                   .named = bpf_map__fd(maps.named),
                   .opens = bpf_map__fd(maps.opens)};
    if (attempts) loaded.load_attempts(pins);
    if (auto guard = loaded.load_guard(pins); !guard)
        loaded.no_guard_ = guard.error().detail;
    else
        return loaded;  // it guards Unix sockets as well, and better: by who is at the other end
    if (auto doors = loaded.load_doors(pins); !doors) loaded.no_doors_ = doors.error().detail;
    return loaded;
}

// Where the kernel has no such hooks, the rest is in force all the same.
Result<> Programs::load_doors(const Pins& pins) {
    (void)take_libbpf_warnings();
    std::unique_ptr<unix_bpf, Unload> object{unix_bpf__open()};
    if (!object) return load_error(errno);
    if (auto pinned = pin_maps(object->obj, pins); !pinned) return pinned;
    set_room(object->obj, room_);
    auto& progs = object->progs;
    bpf_program__set_expected_attach_type(progs.chap_connect_unix, kConnectUnix);
    bpf_program__set_expected_attach_type(progs.chap_sendmsg_unix, kSendmsgUnix);
    if (unix_bpf__load(object.get()) != 0) {
        (void)take_libbpf_warnings();
        return fail(Errc::Unsupported, "the kernel has no hooks for Unix sockets (Linux 6.7 has)");
    }
    for (const bpf_program* program : {progs.chap_connect_unix, progs.chap_sendmsg_unix})
        agent_.push_back(describe_program(program));
    unix_ = std::move(object);
    return {};
}

// Programs that are loaded and attached do nothing where the module is not switched on.
Result<> Programs::load_guard(const Pins& pins) {
    const auto active = read_file("/sys/kernel/security/lsm", 4096);
    if (!active)
        return fail(Errc::Unsupported, "the list of security modules cannot be read (securityfs)");
    if (("," + active->substr(0, active->find('\n')) + ",").find(",bpf,") == std::string::npos)
        return fail(Errc::Unsupported, "bpf is not among the active security modules (lsm=)");
    (void)take_libbpf_warnings();
    std::unique_ptr<guard_bpf, Unload> object{guard_bpf__open()};
    if (!object) return load_error(errno);
    if (auto pinned = pin_maps(object->obj, pins); !pinned) return fail(pinned.error());
    set_room(object->obj, room_);
    if (guard_bpf__load(object.get()) != 0)
        return fail(Errc::Unsupported,
                    "the kernel does not take programs of the BPF LSM: " + take_libbpf_warnings());
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->obj)
        host_programs_.push_back(describe_program(program));
    guard_ = std::move(object);
    return {};
}

// They refuse nothing: without them, or some of them, everything is in force all the same.
void Programs::load_attempts(const Pins& pins) {
    (void)take_libbpf_warnings();
    std::unique_ptr<attempts_bpf, Unload> object{attempts_bpf__open()};
    if (!object || !pin_maps(object->obj, pins)) {
        no_attempts_ = "the programs cannot be opened: " + take_libbpf_warnings();
        return;
    }
    set_room(object->obj, room_);
    bpf_program* program = nullptr;
    constexpr std::string_view kSection = "fexit/";
    bpf_object__for_each_program(program, object->obj) {
        const std::string function =
            std::string{bpf_program__section_name(program)}.substr(kSection.size());
        if (libbpf_find_vmlinux_btf_id(function.c_str(), BPF_TRACE_FEXIT) > 0) continue;
        bpf_program__set_autoload(program, false);
        no_attempts_ += (no_attempts_.empty() ? "this kernel shows no " : ", ") + function;
    }
    (void)take_libbpf_warnings();
    if (attempts_bpf__load(object.get()) != 0) {
        no_attempts_ = "the kernel does not take programs that see how its calls end: " +
                       take_libbpf_warnings();
        return;
    }
    bpf_object__for_each_program(program, object->obj) if (bpf_program__autoload(program))
        host_programs_.push_back(describe_program(program));
    attempts_ = std::move(object);
}

std::string Programs::name_of(std::uint64_t cgroup_id, std::uint64_t epoch) const {
    const auto known = workloads().get(cgroup_id);
    if (known && (epoch == 0 || known->epoch == epoch))
        return {known->name, ::strnlen(known->name, sizeof(known->name))};
    return former_->with([&](const auto& former) -> std::string {
        for (auto it = former.rbegin(); it != former.rend(); ++it)
            if (it->cgroup_id == cgroup_id && (epoch == 0 || it->epoch == epoch)) return it->name;
        return {};
    });
}

void Programs::remember(std::uint64_t cgroup_id, const chap_workload& workload) const {
    former_->with([&](auto& former) {
        if (former.size() == kFormer) former.pop_front();
        former.push_back({cgroup_id,
                          workload.epoch,
                          {workload.name, ::strnlen(workload.name, sizeof(workload.name))}});
    });
}

Result<std::uint64_t> Programs::counter(chap_counter which) const {
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return kernel_error("count the processors", -cpus);
    std::vector<std::uint64_t> parts(static_cast<std::size_t>(cpus));
    const std::uint32_t key = which;
    if (bpf_map_lookup_elem(fds_.counters, &key, parts.data()) != 0)
        return kernel_error("read a counter", errno);
    std::uint64_t sum = 0;
    for (const std::uint64_t part : parts) sum += part;
    return sum;
}

}  // namespace chaperone::kernel

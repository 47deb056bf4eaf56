// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/programs.h"

#include "userspace/kernel/kernel_error.h"

#include <cassert>
#include <cerrno>

#include <bpf/libbpf.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include "bpf/redirect.skel.h"
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

Program describe_program(const bpf_program* program) {
    return {.name = bpf_program__name(program),
            .fd = bpf_program__fd(program),
            .attach_type = static_cast<int>(bpf_program__expected_attach_type(program))};
}

}  // namespace

void Programs::Unload::operator()(redirect_bpf* object) const noexcept {
    redirect_bpf__destroy(object);
}

Result<Programs> Programs::load(const Pins& pins, std::uint32_t max_flows) {
    silence_libbpf();
    (void)take_libbpf_warnings();
    Programs loaded;
    loaded.object_.reset(redirect_bpf__open());
    redirect_bpf* object = loaded.object_.get();
    if (object == nullptr) return load_error(errno);

    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object->obj) {
        // Sections of constants are the programs' own; everything else is shared over time.
        if (bpf_map__is_internal(map)) continue;
        const std::filesystem::path pin = pins.map(bpf_map__name(map));
        if (const int error = bpf_map__set_pin_path(map, pin.c_str()); error != 0)
            return load_error(-error);
    }
    if (max_flows != 0) bpf_map__set_max_entries(object->maps.flows, max_flows);
    if (const int error = redirect_bpf__load(object); error != 0) return load_error(-error);

    const auto& progs = object->progs;
    for (const bpf_program* program :
         {progs.chap_egress, progs.chap_create, progs.chap_bind4, progs.chap_bind6,
          progs.chap_sendmsg4, progs.chap_sendmsg6, progs.chap_connect4, progs.chap_connect6,
          progs.chap_recvmsg4, progs.chap_recvmsg6, progs.chap_getpeername4,
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
                   .events = bpf_map__fd(maps.events)};
    return loaded;
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

// SPDX-License-Identifier: Apache-2.0
// What a Redirector is made of; for the files that implement it.
#pragma once

#include "userspace/base/guarded.h"
#include "userspace/base/unique_fd.h"
#include "userspace/kernel/denials.h"
#include "userspace/kernel/directs.h"
#include "userspace/kernel/pins.h"
#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace chaperone::kernel {

inline std::uint64_t clock_now(clockid_t clock) {
    timespec at{};
    ::clock_gettime(clock, &at);
    return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(at.tv_nsec);
}

struct Redirector::State {
    State(Pins p, Programs loaded, Denials told, Directs let, UniqueFd core)
        : pins(std::move(p)),
          programs(std::move(loaded)),
          denials(std::move(told)),
          directs(std::move(let)),
          core_fd(std::move(core)) {}

    Result<> attach_core();
    Result<> take_over();
    Result<> start_clock();
    Result<> attach_guards();
    Result<> check_cgroup(int cgroup_fd, std::uint64_t id) const;
    Result<std::vector<Workload>> workloads() const;
    Result<> repair_workload(const Workload& workload);
    Result<> raise_generation();
    Result<bool> put_named(std::uint64_t cgroup_id, const NamedVerdict& verdict);
    bool drop_named(std::uint64_t cgroup_id, std::span<const NamedVerdict> but);
    Result<> replace_table(Map<std::uint64_t, int> tables, std::uint64_t cgroup_id,
                           const Result<UniqueFd>& table);

    std::mutex changing;  // pins, links and workloads; never taken by origin()
    Pins pins;
    const Programs programs;
    std::mutex taking;  // denials
    Denials denials;
    std::mutex taking_directs;
    Directs directs;
    std::mutex lending;
    // Cgroups of listeners that were found not to be governed, and when (CLOCK_MONOTONIC). Whoever
    // governs one of them meanwhile has its callers refused until this is forgotten.
    static constexpr std::uint64_t kStaleNs = 500'000'000;
    static constexpr std::size_t kMostKept = 1'024;
    Guarded<std::unordered_map<std::uint64_t, std::uint64_t>> strangers;
    // Where one of them listened, and when: for many connections at once the kernel is asked once.
    // Whoever takes the place meanwhile has its callers refused likewise.
    static constexpr std::uint64_t kJustNowNs = 500'000;
    Guarded<std::map<Address, std::uint64_t>> listened;
    const UniqueFd core_fd;
    std::uint64_t core_id = 0;
};

}  // namespace chaperone::kernel

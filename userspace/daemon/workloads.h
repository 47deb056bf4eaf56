// SPDX-License-Identifier: Apache-2.0
// Which cgroups are governed as which workload: those of `run` and `add`, and those that the
// bundle matches, whenever they appear. What is governed is kept by the kernel's pins, so it is the
// same after a restart. Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"
#include "userspace/kernel/redirector.h"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon {

struct GovernedCgroup {
    std::string workload{};
    std::uint64_t id{};
    std::string path{};  // below the mount; empty: it is gone
};

class Workloads {
public:
    Workloads(kernel::Redirector& redirector, std::filesystem::path cgroup2)
        : redirector_(redirector), cgroup2_(std::move(cgroup2)) {}

    // The cgroup as the API names it: absolute below the mount, or relative to it. Invalid:
    // outside, or with "..".
    Result<std::filesystem::path> resolve(std::string_view cgroup) const;
    // The directory of the cgroup tree with a unit's name. NotFound: it does not run.
    Result<std::filesystem::path> cgroup_of_unit(std::string_view unit) const;
    Result<std::filesystem::path> cgroup_of_process(pid_t pid) const;

    // Exists: it is governed as another workload.
    Result<> govern(const std::filesystem::path& cgroup, const std::string& workload);
    // Ends it for all cgroups of the workload; how many those were.
    Result<std::size_t> release(std::string_view workload);

    Result<std::vector<GovernedCgroup>> list() const;
    // Whether a process is in a governed cgroup or below one. True where it cannot be told.
    bool is_governed(pid_t pid) const;
    // The deepest governed cgroup that a process is in. NotFound: in none, or it cannot be told.
    Result<kernel::Workload> workload_of(pid_t pid) const;

    // Governs what the bundle matches and is there, and lets go of cgroups that are gone.
    void follow(const policy::bundle::Bundle& bundle);
    // Attaches again what was taken away from a governed cgroup.
    void repair();

private:
    bool is_registered(std::uint64_t cgroup) const;

    kernel::Redirector& redirector_;
    std::filesystem::path cgroup2_;
    mutable Guarded<std::map<std::string, std::filesystem::path>> units_;  // found before
    Guarded<std::map<std::string, std::string>> complained_;               // per workload, once
};

}  // namespace chaperone::daemon

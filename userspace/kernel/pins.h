// SPDX-License-Identifier: Apache-2.0
// The directory of pins: what keeps programs, maps and attachments alive without a process.
//   DIR/v<abi>/maps/NAME            the maps
//   DIR/v<abi>/links/core/NAME      the proxy's own program
//   DIR/v<abi>/links/guard/NAME     the programs for all processes of the host
//   DIR/v<abi>/links/<id>/NAME      the programs on the cgroup with this id (16 hex digits)
// Owns the lock on it: one process at a time. Not thread-safe.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::kernel {

class Pins {
public:
    // Makes the directory and, where it is not on a bpffs, mounts one on it. Unavailable: held by
    // another process. Unsupported: there are pins of another version.
    static Result<Pins> open(const std::filesystem::path& dir);
    // As open(), whatever version made them.
    static Result<Pins> open_any(const std::filesystem::path& dir);

    std::filesystem::path map(std::string_view name) const;
    std::filesystem::path core_links() const;
    std::filesystem::path guard_links() const;
    std::filesystem::path links(std::uint64_t cgroup_id) const;

    // The cgroups for which there is a directory of links.
    Result<std::vector<std::uint64_t>> linked_cgroups() const;
    // The names in a directory of links; none when it does not exist.
    static Result<std::vector<std::string>> names(const std::filesystem::path& directory);

    // Removes everything, and the mount if it is ours. What no process holds open ends with it.
    Result<> remove_all();

private:
    Pins(std::filesystem::path dir, UniqueFd lock) : dir_(std::move(dir)), lock_(std::move(lock)) {}

    std::filesystem::path dir_;
    UniqueFd lock_;
};

bool is_bpffs(const std::filesystem::path& path);

// An attachment of a program to a cgroup.
struct LinkState {
    std::uint64_t cgroup_id = 0;  // 0: its cgroup is gone
    std::uint32_t program_id = 0;
};

// Attaches and pins. The attachment ends with the pin.
Result<> attach_pinned(int program, int cgroup, int attach_type, const std::filesystem::path& pin);
// Attaches a program for all processes, and only then takes away what was pinned there before.
Result<> attach_guard(int program, const std::filesystem::path& pin);
// NotFound when nothing is pinned there.
Result<LinkState> link_state(const std::filesystem::path& pin);
// Swaps the program in place. Expired when the cgroup of the link is gone.
Result<> replace_program(const std::filesystem::path& pin, int program);
// Detached when it returns. Nothing to do where nothing is pinned.
Result<> detach_pinned(const std::filesystem::path& pin);

}  // namespace chaperone::kernel

// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/attachments.h"

#include <algorithm>
#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace chaperone::kernel {

namespace {

namespace fs = std::filesystem;

// Whether the pin is a live attachment to this very cgroup. One that is severed is removed.
Result<bool> in_force(const fs::path& pin, std::uint64_t cgroup_id) {
    auto state = link_state(pin);
    if (state && state->cgroup_id == cgroup_id) return true;
    if (!state && state.error().code == Errc::NotFound) return false;
    if (!state) return fail(state.error());
    if (auto removed = detach_pinned(pin); !removed) return fail(removed.error());
    return false;
}

void undo(const std::vector<fs::path>& made, const fs::path& directory) {
    for (const fs::path& pin : made) (void)detach_pinned(pin);
    ::rmdir(directory.c_str());  // stays when it holds what was there before
}

}  // namespace

Result<> attach_all(std::span<const Program> programs, int cgroup_fd, std::uint64_t cgroup_id,
                    const fs::path& directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return system_error("create " + directory.string(), errno);
    std::vector<fs::path> made;
    for (const Program& program : programs) {
        const fs::path pin = directory / program.name;
        auto there = in_force(pin, cgroup_id);
        if (there && *there) continue;
        Result<> attached = there ? attach_pinned(program.fd, cgroup_fd, program.attach_type, pin)
                                  : Result<>{fail(there.error())};
        if (!attached) {
            undo(made, directory);
            return attached;
        }
        made.push_back(pin);
    }
    return {};
}

Result<> replace_all(std::span<const Program> programs, const fs::path& directory) {
    auto pinned = Pins::names(directory);
    if (!pinned) return fail(pinned.error());
    for (const std::string& name : *pinned) {
        const auto program = std::ranges::find(programs, name, &Program::name);
        Result<> done = program != programs.end() ? replace_program(directory / name, program->fd)
                                                  : detach_pinned(directory / name);
        if (!done && done.error().code != Errc::Expired) return done;
    }
    return {};
}

Result<> detach_all_in(const fs::path& directory) {
    auto pinned = Pins::names(directory);
    if (!pinned) return fail(pinned.error());
    for (const std::string& name : *pinned)
        if (auto removed = detach_pinned(directory / name); !removed) return removed;
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT)
        return system_error("remove " + directory.string(), errno);
    return {};
}

Result<std::vector<Finding>> inspect(std::span<const Program> programs, std::uint64_t cgroup_id,
                                     const fs::path& directory) {
    std::vector<Finding> findings;
    for (const Program& program : programs) {
        auto state = link_state(directory / program.name);
        if (!state && state.error().code != Errc::NotFound) return fail(state.error());
        if (!state)
            findings.push_back({.kind = Finding::Kind::Missing, .program = program.name});
        else if (state->cgroup_id != cgroup_id)
            findings.push_back({.kind = Finding::Kind::Severed, .program = program.name});
    }
    return findings;
}

}  // namespace chaperone::kernel

// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/cgroup.h"

#include "userspace/base/file.h"
#include "userspace/base/unique_fd.h"
#include "userspace/launch/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace chaperone::launch {
namespace {

// cgroupfs takes a value in one write(2).
Result<> write_value(const std::filesystem::path& path, const std::string& value) {
    const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd) return system_error("open " + path.string(), errno);
    if (::write(fd.get(), value.data(), value.size()) < 0)
        return system_error("write " + path.string(), errno);
    return {};
}

// Waits until "populated 0" stands in cgroup.events; the kernel wakes us at each change.
Result<> wait_until_empty(const std::filesystem::path& path, Duration most) {
    const UniqueFd fd{::open((path / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd && errno == ENOENT) return {};  // systemd was faster
    if (!fd) return system_error("open cgroup.events of " + path.string(), errno);
    const auto until = std::chrono::steady_clock::now() + most;
    for (;;) {
        char text[256];
        const ssize_t n = ::pread(fd.get(), text, sizeof text, 0);
        if (n < 0 && errno == ENODEV) return {};  // removed meanwhile
        if (n < 0) return system_error("read cgroup.events of " + path.string(), errno);
        const std::string_view events{text, static_cast<std::size_t>(n)};
        if (events.find("populated 0") != events.npos) return {};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            until - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return fail(Errc::Unavailable, "processes in " + path.string() + " do not die");
        pollfd change{.fd = fd.get(), .events = POLLPRI};
        ::poll(&change, 1, static_cast<int>(std::min<long>(left.count(), 1000)));
    }
}

// The deepest first. What systemd removes at the same time is not missed.
Result<> remove_tree(const std::filesystem::path& path) {
    std::error_code error;
    std::vector<std::filesystem::path> folders;
    for (std::filesystem::directory_iterator it{path, error}, end; !error && it != end;
         it.increment(error))
        if (it->is_directory(error)) folders.push_back(it->path());
    for (const auto& folder : folders)
        if (auto done = remove_tree(folder); !done) return done;
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
        return system_error("remove " + path.string(), errno);
    return {};
}

}  // namespace

std::string safe_name(std::string_view text) {
    std::string name{text.substr(0, 100)};  // a unit's name has at most 255 characters
    std::ranges::replace_if(
        name,
        [](char c) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            return !letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.';
        },
        '_');
    if (name.empty() || name.front() == '.') name.insert(0, 1, '_');
    return name;
}

Result<std::uint64_t> cgroup_id(const std::filesystem::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return system_error("stat " + path.string(), errno);
    return status.st_ino;
}

Result<std::filesystem::path> cgroup_of(pid_t pid, const std::filesystem::path& mount) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/cgroup");
    if (!text) return fail(text.error());
    const auto begin = text->starts_with("0::") ? 0 : text->find("\n0::");
    if (begin == text->npos)
        return fail(Errc::NotFound,
                    "process " + std::to_string(pid) + " is in no cgroup of version 2");
    const auto path_begin = text->find('/', begin);
    const auto path_end = text->find('\n', path_begin);
    return mount / text->substr(path_begin + 1, path_end - path_begin - 1);
}

Result<Cgroup> make_cgroup(const std::string& tag, const std::string& workload, pid_t pid) {
    const auto mounts = read_mounts();
    if (!mounts) return fail(mounts.error());
    const auto mount = find_cgroup2(*mounts);
    if (!mount) return fail(mount.error());
    const std::string top = tag.empty() ? "chaperone" : "chaperone-" + safe_name(tag);
    Cgroup cgroup{.path =
                      *mount / top / "agents" / (safe_name(workload) + "-" + std::to_string(pid))};
    std::error_code error;
    std::filesystem::create_directories(cgroup.path.parent_path(), error);
    if (error) return system_error("create " + cgroup.path.string(), error.value());
    // One that is there already may hold somebody else's processes.
    if (::mkdir(cgroup.path.c_str(), 0755) != 0)
        return system_error("create " + cgroup.path.string(), errno);
    const auto give_up = [&](Error why) -> Result<Cgroup> {
        ::rmdir(cgroup.path.c_str());
        return fail(std::move(why));
    };
    const auto id = cgroup_id(cgroup.path);
    if (!id) return give_up(id.error());
    cgroup.id = *id;
    if (auto done = write_value(cgroup.path / "cgroup.procs", std::to_string(pid)); !done)
        return give_up(done.error());
    return cgroup;
}

Result<> clear_cgroup(const Cgroup& cgroup, Duration most) {
    if (auto done = write_value(cgroup.path / "cgroup.kill", "1"); !done) {
        std::error_code error;
        if (!std::filesystem::exists(cgroup.path, error)) return {};
        return done;
    }
    if (auto done = wait_until_empty(cgroup.path, most); !done) return done;
    if (!cgroup.unit.empty()) return {};
    return remove_tree(cgroup.path);
}

}  // namespace chaperone::launch

// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/pins.h"

#include "bpf/shared/abi.h"
#include "userspace/base/file.h"
#include "userspace/kernel/kernel_error.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace chaperone::kernel {

namespace {

namespace fs = std::filesystem;

// The source of mounts that we make, by which we know them again.
constexpr const char* kMountSource = "chaperone";

Result<> make_directories(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return system_error("create " + path.string(), error.value());
    if (::chmod(path.c_str(), 0700) != 0) return system_error("chmod " + path.string(), errno);
    return {};
}

Result<UniqueFd> open_directory(const fs::path& path) {
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) return system_error("open " + path.string(), errno);
    return fd;
}

// Two processes that start at once must not mount one over the other: the directory below the
// mount is locked meanwhile.
Result<> ensure_bpffs(const fs::path& dir) {
    if (is_bpffs(dir)) return {};
    auto below = open_directory(dir);
    if (!below) return fail(below.error());
    if (::flock(below->get(), LOCK_EX) != 0) return system_error("lock " + dir.string(), errno);
    if (is_bpffs(dir)) return {};
    if (::mount(kMountSource, dir.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
        return system_error("mount a bpffs on " + dir.string(), errno);
    return {};
}

bool is_our_mount(const fs::path& dir) {
    const auto text = read_file("/proc/self/mountinfo");
    if (!text) return false;
    const std::string at = " " + dir.string() + " ";
    const std::string kind = std::string{" - bpf "} + kMountSource + " ";
    for (std::size_t start = 0; start < text->size();) {
        const std::size_t end = std::min(text->find('\n', start), text->size());
        const std::string_view line{text->data() + start, end - start};
        if (line.find(at) != line.npos && line.find(kind) != line.npos) return true;
        start = end + 1;
    }
    return false;
}

std::string version_name() {
    return "v" + std::to_string(CHAP_ABI);
}

// The versions that have pins here. A bpffs of our own may hold other files, made by the kernel.
Result<std::vector<std::string>> versions_in(const fs::path& dir) {
    auto found = Pins::names(dir);
    if (!found) return found;
    std::erase_if(*found, [](const std::string& name) {
        return name.size() < 2 || name[0] != 'v' ||
               name.find_first_not_of("0123456789", 1) != name.npos;
    });
    return found;
}

Result<UniqueFd> open_link(const fs::path& pin) {
    UniqueFd fd{bpf_obj_get(pin.c_str())};
    if (fd) return fd;
    if (errno == ENOENT) return fail(Errc::NotFound, "no link is pinned at " + pin.string());
    return kernel_error("open the link " + pin.string(), errno);
}

// Removing a pin detaches too, but only some time later.
void detach(const fs::path& pin) {
    const auto link = open_link(pin);
    if (link) (void)bpf_link_detach(link->get());  // fails for a severed one: nothing is attached
}

Result<> detach_links(const fs::path& version) {
    auto directories = Pins::names(version / "links");
    if (!directories) return fail(directories.error());
    for (const std::string& directory : *directories) {
        auto pins = Pins::names(version / "links" / directory);
        if (!pins) return fail(pins.error());
        for (const std::string& name : *pins) detach(version / "links" / directory / name);
    }
    return {};
}

// Depth first; a bpffs has only directories and pins.
Result<> remove_tree(const fs::path& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return system_error("remove " + path.string(), error.value());
    return {};
}

}  // namespace

bool is_bpffs(const fs::path& path) {
    struct statfs about{};
    return ::statfs(path.c_str(), &about) == 0 && about.f_type == BPF_FS_MAGIC;
}

Result<Pins> Pins::open_any(const fs::path& dir) {
    if (!dir.is_absolute()) return fail(Errc::Invalid, "the directory of pins must be absolute");
    if (auto made = make_directories(dir); !made) return fail(made.error());
    if (auto mounted = ensure_bpffs(dir); !mounted) return fail(mounted.error());
    auto lock = open_directory(dir);
    if (!lock) return fail(lock.error());
    if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return system_error("lock " + dir.string(), errno);
        return fail(Errc::Unavailable, "another process holds the pins in " + dir.string());
    }
    return Pins{dir, *std::move(lock)};
}

Result<Pins> Pins::open(const fs::path& dir) {
    auto pins = open_any(dir);
    if (!pins) return fail(pins.error());
    auto versions = versions_in(dir);
    if (!versions) return fail(versions.error());
    for (const std::string& version : *versions) {
        if (version == version_name()) continue;
        return fail(Errc::Unsupported, "another version of the programs is in force (" +
                                           (dir / version).string() + "): detach it first");
    }
    for (const char* part : {"maps", "links"})
        if (auto made = make_directories(dir / version_name() / part); !made)
            return fail(made.error());
    return pins;
}

fs::path Pins::map(std::string_view name) const {
    return dir_ / version_name() / "maps" / name;
}

fs::path Pins::core_links() const {
    return dir_ / version_name() / "links" / "core";
}

fs::path Pins::guard_links() const {
    return dir_ / version_name() / "links" / "guard";
}

fs::path Pins::links(std::uint64_t cgroup_id) const {
    char name[17];
    std::snprintf(name, sizeof(name), "%016llx", static_cast<unsigned long long>(cgroup_id));
    return dir_ / version_name() / "links" / name;
}

Result<std::vector<std::uint64_t>> Pins::linked_cgroups() const {
    auto found = names(dir_ / version_name() / "links");
    if (!found) return fail(found.error());
    std::vector<std::uint64_t> ids;
    for (const std::string& name : *found) {
        std::uint64_t id = 0;
        const char* end = name.data() + name.size();
        if (const auto [at, error] = std::from_chars(name.data(), end, id, 16);
            error == std::errc{} && at == end)
            ids.push_back(id);
    }
    return ids;
}

Result<std::vector<std::string>> Pins::names(const fs::path& directory) {
    std::vector<std::string> found;
    std::error_code error;
    fs::directory_iterator entry{directory, error};
    if (error == std::errc::no_such_file_or_directory) return found;
    while (!error && entry != fs::directory_iterator{}) {
        found.push_back(entry->path().filename());
        entry.increment(error);
    }
    if (error) return system_error("list " + directory.string(), error.value());
    std::ranges::sort(found);
    return found;
}

Result<> Pins::remove_all() {
    auto versions = versions_in(dir_);
    if (!versions) return fail(versions.error());
    for (const std::string& version : *versions) {
        if (auto detached = detach_links(dir_ / version); !detached) return detached;
        if (auto removed = remove_tree(dir_ / version); !removed) return removed;
    }
    if (is_our_mount(dir_) && ::umount2(dir_.c_str(), MNT_DETACH) != 0)
        return system_error("unmount " + dir_.string(), errno);
    return remove_tree(dir_);
}

Result<> attach_pinned(int program, int cgroup, int attach_type, const fs::path& pin) {
    const UniqueFd link{
        bpf_link_create(program, cgroup, static_cast<bpf_attach_type>(attach_type), nullptr)};
    if (!link) return kernel_error("attach " + pin.filename().string(), errno);
    if (bpf_obj_pin(link.get(), pin.c_str()) != 0)
        return kernel_error("pin the link " + pin.string(), errno);
    return {};
}

Result<> attach_guard(int program, const fs::path& pin) {
    const UniqueFd link{bpf_raw_tracepoint_open(nullptr, program)};
    if (!link) return kernel_error("attach " + pin.filename().string(), errno);
    const fs::path fresh = pin.string() + "-new";
    ::unlink(fresh.c_str());
    if (bpf_obj_pin(link.get(), fresh.c_str()) != 0)
        return kernel_error("pin the link " + fresh.string(), errno);
    ::unlink(pin.c_str());
    if (::rename(fresh.c_str(), pin.c_str()) != 0)
        return system_error("rename " + fresh.string(), errno);
    return {};
}

Result<LinkState> link_state(const fs::path& pin) {
    auto link = open_link(pin);
    if (!link) return fail(link.error());
    bpf_link_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(link->get(), &info, &size) != 0)
        return kernel_error("ask about the link " + pin.string(), errno);
    if (info.type != BPF_LINK_TYPE_CGROUP)
        return fail(Errc::Corrupt, pin.string() + " is not an attachment to a cgroup");
    return LinkState{info.cgroup.cgroup_id, info.prog_id};
}

Result<> replace_program(const fs::path& pin, int program) {
    auto link = open_link(pin);
    if (!link) return fail(link.error());
    if (bpf_link_update(link->get(), program, nullptr) == 0) return {};
    if (errno == ENOLINK) return fail(Errc::Expired, "the cgroup of " + pin.string() + " is gone");
    return kernel_error("replace the program of " + pin.string(), errno);
}

Result<> detach_pinned(const fs::path& pin) {
    detach(pin);
    if (::unlink(pin.c_str()) != 0 && errno != ENOENT)
        return system_error("remove the pin " + pin.string(), errno);
    return {};
}

}  // namespace chaperone::kernel

// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/cgroup.h"

#include "userspace/base/file.h"
#include "userspace/base/guarded.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_map>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace chaperone::kernel {

namespace {

namespace fs = std::filesystem;

// FILEID_KERNFS of the kernel's exportfs.h: a file handle that is the 64-bit id of a cgroup.
constexpr int kKernfsHandle = 0xfe;

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = text.find(at);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return parts;
}

bool is_octal(std::string_view text) {
    return text.size() == 3 && text.find_first_not_of("01234567") == std::string_view::npos;
}

// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto digits = text.substr(i + 1, 3);
        if (text[i] == '\\' && is_octal(digits)) {
            out += static_cast<char>(std::stoi(std::string{digits}, nullptr, 8));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

struct Mount {
    std::string root;
    std::string point;
};

// "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:1 - cgroup2 cgroup2 rw"
std::optional<Mount> cgroup2_mount(std::string_view line) {
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) return std::nullopt;
    const auto kind = split(line.substr(dash + 3), ' ');
    const auto fields = split(line.substr(0, dash), ' ');
    if (kind.empty() || kind[0] != "cgroup2" || fields.size() < 5) return std::nullopt;
    return Mount{unescape(fields[3]), unescape(fields[4])};
}

// Creates the cgroup if need be; its parents exist.
Result<> make_cgroup(const fs::path& path) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
        return system_error("create the cgroup " + path.string(), errno);
    return {};
}

Result<> move_self_to(const fs::path& cgroup) {
    const fs::path procs = cgroup / "cgroup.procs";
    const UniqueFd fd{::open(procs.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd || ::write(fd.get(), "0", 1) != 1)
        return system_error("move to the cgroup " + cgroup.string(), errno);
    return {};
}

Result<fs::path> make_tagged(std::string_view tag, std::string_view leaf) {
    if (tag.find('/') != std::string_view::npos)
        return fail(Errc::Invalid, "a tag for cgroups is a name without a slash");
    auto top = find_cgroup2();
    if (!top) return fail(top.error());
    const fs::path parent = *top / (tag.empty() ? "chaperone" : "chaperone-" + std::string{tag});
    if (auto made = make_cgroup(parent); !made) return fail(made.error());
    if (auto made = make_cgroup(parent / leaf); !made) return fail(made.error());
    return parent / leaf;
}

// Deeper than any cgroup that can be governed.
constexpr int kMaxWalkDepth = 64;

// The directory below `path` that has this inode; empty: none. An error: not all could be seen.
Result<fs::path> find_below(const fs::path& path, std::uint64_t id, int depth) {
    const std::unique_ptr<DIR, decltype(&::closedir)> directory{::opendir(path.c_str()),
                                                                &::closedir};
    if (!directory && (errno == ENOENT || errno == ENODEV)) return fs::path{};  // removed meanwhile
    if (!directory) return system_error("list the cgroup " + path.string(), errno);
    std::vector<fs::path> below;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name{entry->d_name};
        if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
        if (entry->d_ino == id) return path / name;
        below.push_back(path / name);
    }
    if (depth == 0 && !below.empty())
        return fail(Errc::TooLarge, "cgroups are nested too deeply in " + path.string());
    for (const fs::path& next : below) {
        auto found = find_below(next, id, depth - 1);
        if (!found || !found->empty()) return found;
    }
    return fs::path{};
}

Result<UniqueFd> open_checked(const fs::path& path, std::uint64_t id) {
    auto fd = open_cgroup(path);
    if (!fd) return fd;
    const auto own = cgroup_id(fd->get());
    if (!own || *own != id) return fail(Errc::NotFound, "no cgroup with id " + std::to_string(id));
    return fd;
}

// For a daemon that may not open files by handle. Where a cgroup was found before is looked at
// first: a walk is for those that are new, or gone.
Result<UniqueFd> find_in_tree(const fs::path& top, std::uint64_t id) {
    static Guarded<std::unordered_map<std::uint64_t, fs::path>> known;
    const auto before = known.with([&](auto& paths) {
        const auto found = paths.find(id);
        return found == paths.end() ? fs::path{} : found->second;
    });
    if (!before.empty())
        if (auto fd = open_checked(before, id)) return fd;
    auto path = find_below(top, id, kMaxWalkDepth);
    if (!path) return fail(path.error());
    known.with([&](auto& paths) {
        if (path->empty())
            paths.erase(id);
        else
            paths[id] = *path;
    });
    if (path->empty()) return fail(Errc::NotFound, "no cgroup with id " + std::to_string(id));
    return open_checked(*path, id);
}

}  // namespace

Result<fs::path> parse_cgroup2_mount(std::string_view mountinfo) {
    std::optional<Mount> found;
    for (const auto line : split(mountinfo, '\n')) {
        const auto mount = cgroup2_mount(line);
        if (!mount) continue;
        if (mount->root == "/") return fs::path{mount->point};
        if (!found) found = mount;
    }
    if (!found) return fail(Errc::NotFound, "cgroup2 is not mounted");
    return fail(Errc::Unsupported, "only a part of the cgroup2 hierarchy is mounted, at " +
                                       found->point + "; run in the host's cgroup namespace");
}

Result<fs::path> find_cgroup2() {
    auto text = read_file("/proc/self/mountinfo");
    if (!text) return fail(text.error());
    return parse_cgroup2_mount(*text);
}

Result<std::string> parse_cgroup_line(std::string_view text) {
    constexpr std::string_view kUnified = "0::";
    for (const auto line : split(text, '\n')) {
        if (!line.starts_with(kUnified)) continue;
        const auto path = line.substr(kUnified.size());
        // "/../x": outside of this cgroup namespace. " (deleted)": removed.
        if (!path.starts_with('/') || path.starts_with("/..") || path.ends_with(" (deleted)"))
            return fail(Errc::Unsupported, "the cgroup is not visible from here");
        return std::string{path};
    }
    return fail(Errc::NotFound, "no cgroup of version 2");
}

Result<std::string> cgroup_of(pid_t pid) {
    const std::string who = pid == 0 ? "self" : std::to_string(pid);
    auto text = read_file("/proc/" + who + "/cgroup");
    if (!text) return fail(text.error());
    return parse_cgroup_line(*text);
}

Result<UniqueFd> open_cgroup(const fs::path& path) {
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) {
        if (errno == ENOENT) return fail(Errc::NotFound, "no cgroup " + path.string());
        return system_error("open the cgroup " + path.string(), errno);
    }
    struct statfs about{};
    if (::fstatfs(fd.get(), &about) != 0 || about.f_type != CGROUP2_SUPER_MAGIC)
        return fail(Errc::Invalid, path.string() + " is not a cgroup of version 2");
    return fd;
}

Result<std::uint64_t> cgroup_id(int cgroup_fd) {
    struct stat about{};
    if (::fstat(cgroup_fd, &about) != 0) return system_error("stat a cgroup", errno);
    return about.st_ino;  // on 64 bits the inode is the id, generation included
}

Result<std::uint64_t> cgroup_id(const fs::path& path) {
    auto fd = open_cgroup(path);
    if (!fd) return fail(fd.error());
    return cgroup_id(fd->get());
}

Result<UniqueFd> open_cgroup_by_id(std::uint64_t id) {
    auto top = find_cgroup2();
    if (!top) return fail(top.error());
    auto mount = open_cgroup(*top);
    if (!mount) return fail(mount.error());

    alignas(file_handle) std::array<std::byte, sizeof(file_handle) + sizeof(id)> space{};
    auto* handle = reinterpret_cast<file_handle*>(space.data());
    handle->handle_bytes = sizeof(id);
    handle->handle_type = kKernfsHandle;
    std::memcpy(space.data() + sizeof(file_handle), &id, sizeof(id));
    UniqueFd fd{::open_by_handle_at(mount->get(), handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (fd) return fd;
    if (errno == ESTALE || errno == ENOENT)
        return fail(Errc::NotFound, "no cgroup with id " + std::to_string(id));
    if (errno == EPERM) return find_in_tree(*top, id);
    return system_error("open the cgroup with id " + std::to_string(id), errno);
}

Result<fs::path> cgroup_path(int cgroup_fd) {
    std::error_code error;
    auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(cgroup_fd), error);
    if (error) return system_error("read the path of a cgroup", error.value());
    return path;
}

Result<CoreCgroup> prepare_core_cgroup(std::string_view tag) {
    auto top = find_cgroup2();
    if (!top) return fail(top.error());
    auto own = cgroup_of(0);
    if (!own) return fail(own.error());

    // A service manager's unit is ours alone; a login session or a container is not.
    fs::path path{*own};
    if (path.extension() == ".service") {
        path = *top / path.relative_path();
    } else {
        auto made = make_tagged(tag, "core");
        if (!made) return fail(made.error());
        path = *made;
        if (auto moved = move_self_to(path); !moved) return fail(moved.error());
    }
    auto fd = open_cgroup(path);
    if (!fd) return fail(fd.error());
    return CoreCgroup{*std::move(fd), path};
}

Result<fs::path> prepare_agents_cgroup(std::string_view tag) {
    return make_tagged(tag, "agents");
}

}  // namespace chaperone::kernel

// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/sandbox.h"

#include "userspace/base/unique_fd.h"
#include "userspace/launch/mounts.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

namespace chaperone::launch {
namespace {

// glibc 2.36 has these two; a distribution with an older one has not.
struct MountAttributes {
    std::uint64_t set = 0;
    std::uint64_t clear = 0;
    std::uint64_t propagation = 0;
    std::uint64_t user_namespace = 0;
};
constexpr std::uint64_t kReadOnly = 0x1;

Result<> make_read_only(const std::filesystem::path& path, bool with_all_below) {
    constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
    MountAttributes attributes{.set = kReadOnly};
    if (::syscall(SYS_mount_setattr, AT_FDCWD, path.c_str(), with_all_below ? kRecursive : 0u,
                  &attributes, sizeof attributes) != 0)
        return system_error("make " + path.string() + " read-only", errno);
    return {};
}

Result<> bind(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0)
        return system_error("bind " + from.string() + " to " + to.string(), errno);
    return make_read_only(to, false);
}

// A folder becomes an empty one, anything else becomes /dev/null.
Result<> hide(const std::filesystem::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return {};
        return system_error("stat " + path.string(), errno);
    }
    if (!S_ISDIR(status.st_mode)) return bind("/dev/null", path);
    if (::mount("none", path.c_str(), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "mode=0555,size=4k,nr_inodes=2") != 0)
        return system_error("hide " + path.string(), errno);
    return {};
}

// Not empty but refused, so that to try it is an attempt which can be seen: covered by what nobody
// may open, who has no capabilities. A file is bound from the first of the folders.
Result<> close_off(const std::vector<std::filesystem::path>& paths) {
    std::vector<std::filesystem::path> folders, files;
    for (const auto& path : paths) {
        struct stat status{};
        if (::stat(path.c_str(), &status) == 0)
            (S_ISDIR(status.st_mode) ? folders : files).push_back(path);
        else if (errno != ENOENT && errno != ENOTDIR)
            return system_error("stat " + path.string(), errno);
    }
    std::filesystem::path file = "/dev/null";
    for (const auto& path : folders) {
        if (::mount("none", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                    "mode=0000,size=4k,nr_inodes=3") != 0)
            return system_error("close " + path.string(), errno);
        if (file == "/dev/null") {
            file = path / "closed";
            if (!UniqueFd{::open(file.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0)})
                return system_error("make " + file.string(), errno);
        }
        if (auto done = make_read_only(path, false); !done) return done;
    }
    for (const auto& path : files)
        if (auto done = bind(file, path); !done) return done;
    return {};
}

// A root agent owns what root has written, whatever capabilities it lacks.
Result<> protect(const std::filesystem::path& path) {
    if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return {};
        return system_error("bind " + path.string(), errno);
    }
    return make_read_only(path, true);
}

Result<> set_ids(const AgentUser& user) {
    if (::setgroups(user.groups.size(), user.groups.data()) != 0)
        return system_error("set the groups of " + user.name, errno);
    if (::setresgid(user.gid, user.gid, user.gid) != 0)
        return system_error("become the group of " + user.name, errno);
    if (::setresuid(user.uid, user.uid, user.uid) != 0)
        return system_error("become " + user.name, errno);
    return {};
}

// While we still may: a root process that executes gets what the bounding set leaves.
Result<> empty_bounding_set() {
    for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return system_error("drop capability " + std::to_string(capability), errno);
    return {};
}

Result<> drop_held_capabilities() {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return system_error("clear the ambient capabilities", errno);
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
    if (::syscall(SYS_capset, &header, none) != 0)
        return system_error("drop the capabilities", errno);
    return {};
}

}  // namespace

Result<> enter_mount_namespace(const std::vector<std::filesystem::path>& hidden,
                               const std::vector<std::filesystem::path>& closed,
                               const std::vector<std::filesystem::path>& read_only,
                               const std::vector<Bind>& binds) {
    if (::unshare(CLONE_NEWNS) != 0) return system_error("make a mount namespace", errno);
    // What is mounted outside later is seen inside; nothing of ours is seen outside.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
        return system_error("part the mounts from the host's", errno);
    const auto mounts = read_mounts();
    if (!mounts) return fail(mounts.error());
    for (const auto& path : read_only)
        if (auto done = protect(path); !done) return done;
    // Before hiding: what is bound may lie in what is hidden.
    for (const Bind& each : binds)
        if (auto done = bind(each.from, each.to); !done) return done;
    for (const Mount& mount : *mounts)
        if (mount.type == "bpf")
            if (auto done = hide(mount.point); !done) return done;
    for (const auto& path : hidden)
        if (auto done = hide(path); !done) return done;
    if (auto done = close_off(closed); !done) return done;
    for (const Mount& mount : *mounts)
        if (mount.type == "cgroup" || mount.type == "cgroup2" || mount.type == "sysfs")
            if (auto done = make_read_only(mount.point, mount.type == "sysfs"); !done) return done;
    if (::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr) != 0)
        return system_error("bind /proc/sys", errno);
    return make_read_only("/proc/sys", false);
}

Result<> check_standard_files() {
    static constexpr const char* kNames[] = {"input", "output", "error"};
    for (int fd = 0; fd != 3; ++fd) {
        struct stat status{};
        if (::fstat(fd, &status) != 0) {
            // A closed one would be given to the next file that is opened.
            if (errno == EBADF && ::open("/dev/null", O_RDWR) == fd) continue;
            return system_error(std::string{"look at standard "} + kNames[fd], errno);
        }
        if (!S_ISSOCK(status.st_mode)) continue;
        int domain = AF_UNSPEC;
        socklen_t size = sizeof domain;
        if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX)
            return fail(Errc::Denied, std::string{"standard "} + kNames[fd] +
                                          " is a network socket made outside: it would not be "
                                          "governed");
    }
    return {};
}

Result<> drop_privileges(const std::optional<AgentUser>& user) {
    if (auto done = empty_bounding_set(); !done) return done;
    if (user)
        if (auto done = set_ids(*user); !done) return done;
    if (auto done = drop_held_capabilities(); !done) return done;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return system_error("set no_new_privs", errno);
    return {};
}

}  // namespace chaperone::launch

// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/caller.h"

#include "userspace/base/unique_fd.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5; the headers of Debian 12 are older
#endif

namespace chaperone::control {
namespace {

constexpr std::size_t kMaxRecord = std::size_t{1} << 20;  // of the user database
constexpr int kMaxGroups = 65536;                         // NGROUPS_MAX

struct User {
    std::string name{};
    gid_t gid{};
};

bool find_user(uid_t uid, User& found) {
    std::vector<char> space(4096);
    passwd entry{};
    passwd* result = nullptr;
    int error = 0;
    while ((error = ::getpwuid_r(uid, &entry, space.data(), space.size(), &result)) == ERANGE &&
           space.size() < kMaxRecord)
        space.resize(space.size() * 2);
    if (error != 0 || result == nullptr) return false;
    found = {.name = entry.pw_name, .gid = entry.pw_gid};
    return true;
}

std::string group_name(gid_t gid) {
    std::vector<char> space(4096);
    group entry{};
    group* result = nullptr;
    int error = 0;
    while ((error = ::getgrgid_r(gid, &entry, space.data(), space.size(), &result)) == ERANGE &&
           space.size() < kMaxRecord)
        space.resize(space.size() * 2);
    return error == 0 && result != nullptr ? entry.gr_name : std::string{};
}

std::vector<std::string> groups_of(const User& user) {
    int count = 64;
    std::vector<gid_t> ids(static_cast<std::size_t>(count));
    while (::getgrouplist(user.name.c_str(), user.gid, ids.data(), &count) < 0 &&
           count <= kMaxGroups)
        ids.resize(static_cast<std::size_t>(count));
    ids.resize(std::min(ids.size(), static_cast<std::size_t>(std::max(count, 0))));
    std::vector<std::string> names;
    for (const gid_t id : ids)
        if (std::string name = group_name(id); !name.empty()) names.push_back(std::move(name));
    return names;
}

// A pid that was used again would speak for somebody else; a pidfd names the process itself.
bool has_exited(int socket) {
    int fd = -1;
    socklen_t size = sizeof fd;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) != 0)
        return errno != ENOPROTOOPT;  // an older kernel cannot tell; ESRCH and others: it is gone
    const UniqueFd process{fd};
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, 0) != 0;
}

}  // namespace

Caller make_caller(pid_t pid, uid_t uid, const std::string& operators_group) {
    Caller caller{.pid = pid, .uid = uid, .user = std::to_string(uid)};
    if (User user; find_user(uid, user)) {
        caller.user = user.name;
        caller.groups = groups_of(user);
    }
    caller.operates =
        uid == 0 || std::ranges::find(caller.groups, operators_group) != caller.groups.end();
    return caller;
}

Result<Caller> caller_of(int socket, const std::string& operators_group) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return system_error("ask who is connected", errno);
    if (peer.pid <= 0 || has_exited(socket))
        return fail(Errc::Denied, "the process that connected has ended");
    return make_caller(peer.pid, peer.uid, operators_group);
}

}  // namespace chaperone::control

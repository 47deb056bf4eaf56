// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/launch.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace chaperone::launch {

Result<AgentUser> find_user(const std::string& name) {
    long size = ::sysconf(_SC_GETPW_R_SIZE_MAX);
    std::vector<char> space(size > 0 ? static_cast<std::size_t>(size) : 16384);
    passwd entry{};
    passwd* found = nullptr;
    int code = 0;
    uid_t uid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), uid);
    const bool is_number = error == std::errc{} && end == name.data() + name.size();
    do {
        code = is_number ? ::getpwuid_r(uid, &entry, space.data(), space.size(), &found)
                         : ::getpwnam_r(name.c_str(), &entry, space.data(), space.size(), &found);
        if (code == ERANGE) space.resize(space.size() * 2);
    } while (code == ERANGE && space.size() <= (std::size_t{1} << 20));
    if (code != 0) return system_error("look up user " + name, code);
    if (found == nullptr) return fail(Errc::NotFound, "user " + name);

    AgentUser user{
        .uid = entry.pw_uid, .gid = entry.pw_gid, .name = entry.pw_name, .home = entry.pw_dir};
    int count = 64;
    user.groups.resize(static_cast<std::size_t>(count));
    while (::getgrouplist(entry.pw_name, entry.pw_gid, user.groups.data(), &count) < 0) {
        constexpr int kMostGroups = 65536;  // NGROUPS_MAX
        if (count > kMostGroups) return fail(Errc::TooLarge, "groups of " + name);
        user.groups.resize(static_cast<std::size_t>(count));
    }
    user.groups.resize(static_cast<std::size_t>(count));
    return user;
}

}  // namespace chaperone::launch

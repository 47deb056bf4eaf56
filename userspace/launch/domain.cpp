// SPDX-License-Identifier: Apache-2.0
// A Landlock domain (landlock(7)): processes outside of it, of the same user too, cannot be traced,
// nor their memory or environment read, and from Linux 6.12 on not be signalled.
#include "userspace/launch/sandbox.h"

#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace chaperone::launch {
namespace {

// As linux/landlock.h has it since Linux 6.12.
struct Ruleset {
    std::uint64_t files = 0;
    std::uint64_t network = 0;
    std::uint64_t scoped = 0;
};
constexpr std::uint64_t kScopeSignal = 2;
constexpr int kAbiWithScopes = 6;
// Moving files between folders is refused to whoever is in a domain of older kernels' kind, unless
// it is allowed like this; to make block devices takes a capability that agents do not have.
constexpr std::uint64_t kMoveFiles = 1 << 13;  // LANDLOCK_ACCESS_FS_REFER
constexpr std::uint64_t kMakeDevices = LANDLOCK_ACCESS_FS_MAKE_BLOCK;

Result<> allow_everywhere(int ruleset, std::uint64_t access) {
    const UniqueFd root{::open("/", O_PATH | O_CLOEXEC)};
    if (!root) return system_error("open /", errno);
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = root.get();
    if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return system_error("add a Landlock rule", errno);
    return {};
}

}  // namespace

Result<> enter_domain() {
    const long abi =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0) {
        // A kernel without Landlock, or a container whose filter hides it (this question needs no
        // right): then a user of its own is what keeps the agent from others' processes.
        if (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM) return {};
        return system_error("ask for Landlock", errno);
    }
    const bool scopes = abi >= kAbiWithScopes;
    const std::uint64_t files = scopes ? 0 : (abi >= 2 ? kMoveFiles : 0) | kMakeDevices;
    const Ruleset wanted{.files = files, .network = 0, .scoped = scopes ? kScopeSignal : 0};
    const std::size_t size = scopes ? sizeof wanted : sizeof wanted.files;
    const UniqueFd ruleset{
        static_cast<int>(::syscall(SYS_landlock_create_ruleset, &wanted, size, 0))};
    if (!ruleset) return system_error("make a Landlock ruleset", errno);
    if (files != 0)
        if (auto allowed = allow_everywhere(ruleset.get(), files); !allowed) return allowed;
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
        return system_error("enter a Landlock domain", errno);
    return {};
}

}  // namespace chaperone::launch

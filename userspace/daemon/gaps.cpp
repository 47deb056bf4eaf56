// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/gaps.h"

#include "userspace/base/file.h"
#include "userspace/daemon/instance.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

// `chaperone run` makes the cgroups of its agents below these.
bool is_launched(const fs::path& cgroup) {
    const std::string path = cgroup.string();
    return path.contains("/chaperone-agents.slice/") ||
           (path.contains("/chaperone") && cgroup.parent_path().filename() == "agents");
}

std::uint64_t capabilities_of(pid_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/status", 65536);
    const auto at = text ? text->find("CapEff:") : std::string::npos;
    return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + 7, nullptr, 16);
}

bool has_capabilities(const fs::path& cgroup) {
    std::ifstream processes{cgroup / "cgroup.procs"};
    for (pid_t pid = 0; processes >> pid;)
        if (pid != 0 && capabilities_of(pid) != 0) return true;
    return false;
}

// Why what seccomp refuses there is not told; empty: it is, or seccomp refuses nothing.
std::string unrecorded(const Instance& it, const fs::path& cgroup) {
    return it.recorders.with([&](const auto& recorders) -> std::string {
        const auto found = recorders.find(cgroup.string());
        if (found == recorders.end()) return {};
        if (!found->second.why.empty()) return found->second.why;
        if (::kill(found->second.pid, 0) != 0 && errno == ESRCH)
            return "who answered them was killed; they fail with ENOSYS";
        return {};
    });
}

}  // namespace

std::vector<std::string> gaps_of(const Instance& it, const std::vector<fs::path>& cgroups,
                                 const Result<Outside>& outside) {
    std::vector<std::string> gaps;
    bool adopted = false, privileged = false;
    for (const fs::path& cgroup : cgroups) {
        adopted = adopted || !is_launched(cgroup);
        privileged = privileged || has_capabilities(cgroup);
    }
    for (const fs::path& cgroup : cgroups)
        if (std::string why = unrecorded(it, cgroup); !why.empty())
            gaps.push_back("system calls that seccomp refuses to it are not recorded: " + why);
    const std::string& guard = it.redirector->no_guard();
    if (!guard.empty() && adopted) {
        gaps.push_back(
            "it was not started by `chaperone run`, and sockets that others hand to it "
            "are not seen: " +
            guard);
        gaps.push_back("sockets of other families (vsock, packet …) are not seen: " + guard);
    }
    if (!guard.empty() && !it.redirector->no_doors().empty())
        gaps.push_back(
            "Unix sockets of others can be called, but for those that `chaperone run` "
            "hides: " +
            it.redirector->no_doors());
    if (!guard.empty() && privileged)
        gaps.push_back("it holds capabilities: it can leave its cgroup, or take the hooks away");
    if (!outside)
        gaps.push_back("connections made past us are not known: " + outside.error().message());
    else if (outside->unknown != 0)
        gaps.push_back("connections made past us are not known of " +
                       std::to_string(outside->unknown) +
                       " processes: the daemon may not look at their files");
    else if (!outside->connections.empty())
        gaps.push_back(std::to_string(outside->connections.size()) +
                       " connections were made past us; end them with `chaperone workload add "
                       "--end-connections`");
    if (const std::string problem = it.namespaces->problem(); !problem.empty())
        gaps.push_back("a network namespace has no listener, nothing gets out of it: " + problem);
    return gaps;
}

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/doctor.h"

#include "userspace/base/file.h"
#include "userspace/control/host_checks.h"
#include "userspace/daemon/gaps.h"
#include "userspace/daemon/instance.h"
#include "userspace/daemon/reach.h"

#include <sys/statvfs.h>

#include <map>

namespace chaperone::daemon {

using control::check_fail;
using control::check_ok;
using control::check_warn;

namespace {

constexpr std::uint64_t kLittleSpace = std::uint64_t{1} << 30;
constexpr std::uint64_t kNoSpace = std::uint64_t{64} << 20;

v1::DoctorCheck check_links(Instance& it) {
    const auto findings = it.redirector->verify();
    if (!findings)
        return check_fail("hooks", findings.error().message(), "see the daemon's log; restart it");
    for (const kernel::Finding& finding : *findings) {
        if (finding.kind == kernel::Finding::Kind::CgroupGone) continue;
        return check_fail("hooks",
                          finding.program + " of workload " + finding.workload + ": " +
                              std::string{kernel::describe(finding.kind)},
                          "it is repaired within seconds; if not, restart the daemon");
    }
    const auto governed = it.redirector->list();
    return check_ok("hooks",
                    "in force on " + std::to_string(governed ? governed->size() : 0) + " cgroups");
}

v1::DoctorCheck check_guard(const Instance& it) {
    if (it.redirector->no_guard().empty())
        return check_ok("guard", "sockets, processes and files of others are guarded (BPF LSM)");
    return check_warn("guard",
                      it.redirector->no_guard() +
                          ": what agents that `chaperone run` did not start hold or are handed is "
                          "not seen",
                      "boot with bpf in lsm=; see `chaperone workload show` for each workload");
}

// What is refused by others than the programs that we attach.
v1::DoctorCheck check_attempts(const Instance& it) {
    const auto actions = read_file("/proc/sys/kernel/seccomp/actions_avail", 4096);
    std::string missing;
    if (!actions || !actions->contains("user_notif"))
        missing = "calls that seccomp refuses (the kernel hands none on), ";
    const std::string& why = it.redirector->no_attempts();
    if (!why.empty())
        missing += "what the kernel refuses by itself (opens, signals, looks into processes), ";
    if (missing.empty()) return check_ok("attempts", "what agents try and are refused is recorded");
    missing.resize(missing.size() - 2);
    return check_warn(
        "attempts",
        "of what agents try, not recorded: " + missing + (why.empty() ? "" : "; " + why),
        "run a kernel that takes BPF programs of type fexit");
}

v1::DoctorCheck check_doors(const Instance& it) {
    if (it.redirector->no_guard().empty() || it.redirector->no_doors().empty())
        return check_ok("unix sockets", "closed but for those that policy opens");
    return check_warn("unix sockets", it.redirector->no_doors(),
                      "agents see those that `chaperone run` does not hide");
}

// Tables of the kernel that were full since the hooks are in force.
v1::DoctorCheck check_room(const Instance& it) {
    const auto counted = it.redirector->counters();
    if (!counted) return check_warn("kernel tables", counted.error().message(), "");
    std::string lost;
    const auto add = [&](std::uint64_t count, const char* what) {
        if (count == 0) return;
        lost += (lost.empty() ? "" : ", ") + std::to_string(count) + " " + what;
    };
    add(counted->orphans, "connects without origin, which were closed");
    add(counted->untold, "refusals not told one by one");
    add(counted->lost_flows, "ends of connections not told");
    if (lost.empty()) return check_ok("kernel tables", "have had room for everything");
    return check_warn("kernel tables", "were full: " + lost,
                      "nothing passed unseen; see \"Full maps\" in bpf/README.md");
}

v1::DoctorCheck check_namespaces(const Instance& it) {
    if (const std::string problem = it.namespaces->problem(); !problem.empty())
        return check_warn("network namespaces",
                          "governed processes in one without a listener: " + problem,
                          "their connections are refused; see NETWORK NAMESPACES in "
                          "chaperoned(8) for the capabilities to listen there");
    return check_ok("network namespaces", "listening in " + std::to_string(it.namespaces->size()) +
                                              " besides the host's");
}

// Whatever is open for a workload that is governed now.
void check_gaps(const Instance& it, v1::DoctorReport& report) {
    const auto governed = it.workloads->list();
    if (!governed) return;
    std::map<std::string, std::vector<std::filesystem::path>> cgroups;
    for (const GovernedCgroup& one : *governed)
        if (!one.path.empty()) cgroups[one.workload].emplace_back(one.path);
    for (const auto& [workload, paths] : cgroups)
        for (const std::string& gap : gaps_of(it, paths, find_outside(paths, Which::Loose)))
            *report.add_checks() = check_warn("workload " + workload, gap, "");
}

v1::DoctorCheck check_ca(const authority::Authority& authority, Time time) {
    const std::string until = "valid until " + to_rfc3339(authority.not_after());
    if (authority.not_after() <= time)
        return check_fail("ca", "expired", "chaperone ca rotate, then start agents anew");
    if (authority.not_before() > time)
        return check_fail("ca", "not valid before " + to_rfc3339(authority.not_before()),
                          "set the clock; or, if it was wrong when the CA was made, chaperone ca "
                          "rotate");
    if (authority.not_after() - time < std::chrono::hours{24 * 30})
        return check_warn("ca", until, "chaperone ca rotate");
    if (!authority.blocks()) return check_ok("ca", until);
    const std::string place = authority.key_place();
    const auto began = std::chrono::steady_clock::now();
    if (auto proved = authority.prove(); !proved)
        return check_fail("ca", place + ": " + proved.error().detail,
                          "agents get no certificates but those that are there; see ca in "
                          "chaperone.yaml(5)");
    const auto took =
        std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    const std::string signs = until + "; " + place + ", which signs in " + to_text(took);
    if (authority.key_extractable())
        return check_warn("ca", signs + "; the token would give it away",
                          "make the key anew in the token, as one that is not extractable");
    return check_ok("ca", signs);
}

v1::DoctorCheck check_bundle(const BundleKeeper& keeper) {
    const auto bundle = keeper.bundle();
    if (const auto state = keeper.state(); !state.error.empty())
        return check_fail("bundle", "the latest change was refused:\n" + state.error,
                          "correct the files and reload");
    if (bundle->policies().empty())
        return check_warn("bundle", bundle->digest() + " has no policy: everything is refused",
                          "write one; `chaperone policy check` helps");
    return check_ok("bundle", bundle->digest());
}

v1::DoctorCheck check_journal(const Instance& it) {
    if (!it.journal->writable())
        return check_fail("journal", "cannot be written: all traffic is refused",
                          "free space below " + it.paths.state.string() + ", see the log");
    struct statvfs space{};
    if (::statvfs(it.paths.state.c_str(), &space) != 0)
        return check_warn("journal", "its free space cannot be told", "");
    const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
    const std::string detail = std::to_string(it.journal->position().size) + " entries, " +
                               std::to_string(free >> 20) + " MiB free";
    if (free < kNoSpace)
        return check_fail("journal", detail, "free space: a full disk stops all traffic");
    if (free < kLittleSpace)
        return check_warn("journal", detail, "free space, or prune the journal");
    return check_ok("journal", detail);
}

void check_resources(Instance& it, v1::DoctorReport& report) {
    const auto bundle = it.bundles->bundle();
    for (const auto& resource : bundle->resources())
        for (v1::DoctorCheck& check : check_resource(resource, *it.secrets, [&](int socket) {
                 (void)it.redirector->mark_any_dial(socket);
             }))
            *report.add_checks() = std::move(check);
}

void check_identities(Instance& it, v1::DoctorReport& report) {
    const auto bundle = it.bundles->bundle();
    for (const auto& workload : bundle->workloads()) {
        if (!workload.oidc) continue;
        const std::string name = "identity of " + workload.metadata.name;
        const auto identity = it.identities->identity(workload.metadata.name);
        *report.add_checks() =
            identity ? check_ok(name, identity->subject)
                     : check_warn(name, identity.error().message(),
                                  "start the agent with a token that its provider signed");
    }
}

}  // namespace

v1::DoctorReport examine(Instance& it) {
    v1::DoctorReport report = control::check_host();
    *report.add_checks() = check_links(it);
    *report.add_checks() = check_guard(it);
    *report.add_checks() = check_attempts(it);
    *report.add_checks() = check_doors(it);
    *report.add_checks() = check_namespaces(it);
    *report.add_checks() = check_room(it);
    check_gaps(it, report);
    *report.add_checks() = check_ca(*it.authority, now());
    *report.add_checks() = check_bundle(*it.bundles);
    *report.add_checks() = check_journal(it);
    check_identities(it, report);
    check_resources(it, report);
    return report;
}

}  // namespace chaperone::daemon

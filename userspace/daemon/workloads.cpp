// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/workloads.h"

#include "userspace/base/log.h"
#include "userspace/kernel/cgroup.h"

#include <algorithm>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxUnitDepth = 8;  // slices nest, but not deeper than people name them

}  // namespace

Result<fs::path> Workloads::resolve(std::string_view cgroup) const {
    fs::path path{cgroup};
    if (path.empty()) return fail(Errc::Invalid, "no cgroup is named");
    for (const auto& part : path)
        if (part == ".." || part == ".") return fail(Errc::Invalid, "cgroup " + path.string());
    const std::string mount = cgroup2_.string();
    if (path.string() == mount || path.string().starts_with(mount + "/")) return path;
    if (path.is_absolute()) path = path.relative_path();
    return cgroup2_ / path;
}

Result<fs::path> Workloads::cgroup_of_unit(std::string_view unit) const {
    if (unit.empty() || unit.find('/') != std::string_view::npos)
        return fail(Errc::Invalid, "unit " + std::string{unit});
    const std::string name{unit};
    std::error_code error;
    const auto known = units_.with([&](auto& units) { return units[name]; });
    if (!known.empty() && fs::is_directory(known, error)) return known;
    auto entry = fs::recursive_directory_iterator(
        cgroup2_, fs::directory_options::skip_permission_denied, error);
    for (; !error && entry != fs::recursive_directory_iterator{}; entry.increment(error)) {
        std::error_code ignored;
        if (!entry->is_directory(ignored)) continue;
        if (entry->path().filename() == name) {
            units_.with([&](auto& units) { units[name] = entry->path(); });
            return entry->path();
        }
        if (entry.depth() >= kMaxUnitDepth) entry.disable_recursion_pending();
    }
    return fail(Errc::NotFound, "unit " + name + " has no cgroup: it does not run");
}

Result<fs::path> Workloads::cgroup_of_process(pid_t pid) const {
    auto cgroup = kernel::cgroup_of(pid);
    if (!cgroup) return fail(cgroup.error());
    return cgroup2_ / fs::path{*cgroup}.relative_path();
}

Result<> Workloads::govern(const fs::path& cgroup, const std::string& workload) {
    const auto id = kernel::cgroup_id(cgroup);
    if (!id) return fail(id.error());
    const auto governed = redirector_.list();
    if (!governed) return fail(governed.error());
    for (const kernel::Workload& other : *governed)
        if (other.cgroup_id == *id && other.name != workload)
            return fail(Errc::Exists,
                        "cgroup " + cgroup.string() + " is governed as workload " + other.name);
    auto done = redirector_.govern(cgroup, workload);
    if (!done) return fail(done.error());
    return {};
}

Result<std::size_t> Workloads::release(std::string_view workload) {
    const auto governed = redirector_.list();
    if (!governed) return fail(governed.error());
    std::size_t released = 0;
    for (const kernel::Workload& one : *governed) {
        if (one.name != workload) continue;
        if (auto done = redirector_.release(one.cgroup_id); !done) return fail(done.error());
        ++released;
    }
    return released;
}

Result<std::vector<GovernedCgroup>> Workloads::list() const {
    const auto governed = redirector_.list();
    if (!governed) return fail(governed.error());
    std::vector<GovernedCgroup> out;
    for (const kernel::Workload& one : *governed) {
        GovernedCgroup cgroup{.workload = one.name, .id = one.cgroup_id};
        if (const auto fd = kernel::open_cgroup_by_id(one.cgroup_id))
            if (const auto path = kernel::cgroup_path(fd->get())) cgroup.path = path->string();
        out.push_back(std::move(cgroup));
    }
    return out;
}

bool Workloads::is_registered(std::uint64_t cgroup) const {
    const auto governed = redirector_.list();
    if (!governed) return true;
    return std::ranges::any_of(*governed, [&](const auto& one) { return one.cgroup_id == cgroup; });
}

bool Workloads::is_governed(pid_t pid) const {
    const auto cgroup = cgroup_of_process(pid);
    if (!cgroup) return true;
    const auto governed = redirector_.list();
    if (!governed) return true;
    for (fs::path path = *cgroup; path != cgroup2_; path = path.parent_path()) {
        if (path == path.parent_path()) return true;  // not below the mount we know
        const auto id = kernel::cgroup_id(path);
        if (!id) return true;
        if (std::ranges::any_of(*governed, [&](const auto& one) { return one.cgroup_id == *id; }))
            return true;
    }
    return false;
}

Result<kernel::Workload> Workloads::workload_of(pid_t pid) const {
    const auto cgroup = cgroup_of_process(pid);
    if (!cgroup) return fail(Errc::NotFound, "the process is gone");
    const auto governed = redirector_.list();
    if (!governed) return fail(governed.error());
    for (fs::path path = *cgroup; path != cgroup2_ && path != path.parent_path();
         path = path.parent_path()) {
        const auto id = kernel::cgroup_id(path);
        if (!id) continue;
        const auto found = std::ranges::find(*governed, *id, &kernel::Workload::cgroup_id);
        if (found != governed->end()) return *found;
    }
    return fail(Errc::NotFound, "the process is not governed");
}

void Workloads::follow(const policy::bundle::Bundle& bundle) {
    if (const auto governed = redirector_.list())
        for (const kernel::Workload& one : *governed) {
            // Only what is known to be gone: what cannot be looked at may hold an agent.
            const auto live = kernel::open_cgroup_by_id(one.cgroup_id);
            if (live || live.error().code != Errc::NotFound) continue;
            if (auto released = redirector_.release(one.cgroup_id); released)
                log::info("a governed cgroup is gone", {{"workload", one.name}});
        }
    for (const auto& workload : bundle.workloads()) {
        if (workload.unit.empty() && workload.cgroup.empty()) continue;
        const auto path =
            workload.unit.empty() ? resolve(workload.cgroup) : cgroup_of_unit(workload.unit);
        std::error_code error;
        if (!path || !fs::is_directory(*path, error)) continue;
        const auto id = kernel::cgroup_id(*path);
        if (!id || is_registered(*id)) continue;
        const std::string& name = workload.metadata.name;
        const auto done = govern(*path, name);
        const std::string problem = done ? "" : done.error().message();
        const bool said = complained_.with(
            [&](auto& before) { return std::exchange(before[name], problem) == problem; });
        if (done)
            log::info("a matching cgroup is governed",
                      {{"workload", name}, {"cgroup", path->string()}});
        else if (!said)
            log::error("a matching cgroup cannot be governed",
                       {{"workload", name}, {"cgroup", path->string()}, {"error", problem}});
    }
}

void Workloads::repair() {
    const auto findings = redirector_.verify();
    if (!findings) {
        log::error("the kernel's hooks cannot be verified",
                   {{"error", findings.error().message()}});
        return;
    }
    bool broken = false;
    for (const kernel::Finding& finding : *findings) {
        if (finding.kind == kernel::Finding::Kind::CgroupGone) continue;
        broken = true;
        log::error("a hook is not in force", {{"workload", finding.workload},
                                              {"program", finding.program},
                                              {"error", kernel::describe(finding.kind)}});
    }
    if (!broken) return;
    if (auto repaired = redirector_.repair(); !repaired)
        log::error("the kernel's hooks cannot be repaired",
                   {{"error", repaired.error().message()}});
}

}  // namespace chaperone::daemon

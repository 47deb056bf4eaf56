// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/events.h"
#include "userspace/daemon/gaps.h"
#include "userspace/daemon/outside.h"

#include <netinet/in.h>

#include <filesystem>
#include <map>
#include <set>

namespace chaperone::daemon {

namespace {

void add_outside(v1::Workload& workload, const Outside& outside, bool ended) {
    for (const OutsideConnection& one : outside.connections) {
        v1::OutsideConnection& told = *workload.add_outside_connections();
        told.set_pid(static_cast<std::uint32_t>(one.pid));
        told.set_comm(one.comm);
        told.set_protocol(one.socket.protocol == IPPROTO_UDP ? "udp" : "tcp");
        told.set_local(one.socket.local.to_text());
        told.set_remote(one.socket.remote.to_text());
        told.set_ended(ended);
    }
}

}  // namespace

std::vector<v1::Workload> ApiService::workloads() {
    const auto bundle = it_.bundles->bundle();
    std::map<std::string, v1::Workload> all;
    for (const auto& one : bundle->workloads()) {
        v1::Workload& workload = all[one.metadata.name];
        for (const auto& [key, value] : one.metadata.labels)
            (*workload.mutable_labels())[key] = value;
        workload.set_subject(one.subject);
        for (const std::string& group : one.groups) workload.add_groups(group);
        if (one.oidc) workload.set_provider(one.oidc->provider);
        workload.set_unit(one.unit);
        const bool matches = !one.unit.empty() || !one.cgroup.empty();
        workload.set_state(matches ? "waiting" : "idle");
    }
    if (const auto governed = it_.workloads->list())
        for (const GovernedCgroup& cgroup : *governed) {
            v1::Workload& workload = all[cgroup.workload];
            if (!cgroup.path.empty()) workload.add_cgroups(cgroup.path);
            workload.set_state("governed");
        }
    for (const net::SessionSnapshot& session : it_.open_sessions())
        if (session.facts)
            if (const auto found = all.find(session.facts->workload); found != all.end())
                found->second.set_sessions(found->second.sessions() + 1);
    std::vector<v1::Workload> out;
    for (auto& [name, workload] : all) {
        workload.set_name(name);
        if (bundle->workload(name) == nullptr) {
            workload.set_identity_error("the bundle has no such workload: its traffic is refused");
        } else if (!workload.provider().empty()) {
            if (const auto identity = it_.identities->identity(name)) {
                workload.set_subject(identity->subject);
                workload.clear_groups();
                for (const std::string& group : identity->groups) workload.add_groups(group);
            } else {
                workload.set_identity_error(identity.error().message());
            }
            if (const auto expires = it_.identities->expires(name))
                set_time(*workload.mutable_identity_expire_time(), *expires);
        }
        out.push_back(std::move(workload));
    }
    return out;
}

Result<v1::ListWorkloadsResponse> ApiService::list_workloads(const Caller&) {
    v1::ListWorkloadsResponse response;
    for (v1::Workload& workload : workloads()) *response.add_workloads() = std::move(workload);
    return response;
}

Result<v1::Workload> ApiService::get_workload(const v1::WorkloadRequest& request, const Caller&) {
    for (v1::Workload& workload : workloads()) {
        if (workload.name() != request.name()) continue;
        const std::vector<std::filesystem::path> cgroups{workload.cgroups().begin(),
                                                         workload.cgroups().end()};
        const auto outside = find_outside(cgroups, Which::Loose);
        if (outside) add_outside(workload, *outside, false);
        for (std::string& gap : gaps_of(it_, cgroups, outside)) workload.add_gaps(std::move(gap));
        return std::move(workload);
    }
    return fail(Errc::NotFound, "there is no workload " + request.name());
}

Result<v1::Workload> ApiService::add_workload(const v1::AddWorkloadRequest& request,
                                              const Caller& caller) {
    if (it_.bundles->bundle()->workload(request.name()) == nullptr)
        return fail(Errc::NotFound, "the bundle has no workload " + request.name() +
                                        "; write a document of kind Workload for it");
    const int given = !request.cgroup().empty() + !request.unit().empty() + (request.pid() != 0);
    if (given != 1) return fail(Errc::Invalid, "give one of cgroup, unit and pid");
    const auto path = !request.cgroup().empty() ? it_.workloads->resolve(request.cgroup())
                      : !request.unit().empty()
                          ? it_.workloads->cgroup_of_unit(request.unit())
                          : it_.workloads->cgroup_of_process(static_cast<pid_t>(request.pid()));
    if (!path) return fail(path.error());
    if (auto noted =
            it_.note(record::AdminEntry::WORKLOAD_ADDED, &caller, request.name(), path->string());
        !noted)
        return fail(noted.error());
    // What it has before: afterwards it cannot be told from what is made under the hooks.
    bool known = false;
    if (const auto list = it_.workloads->list())
        for (const GovernedCgroup& one : *list) known = known || one.path == path->string();
    const auto before = find_outside({*path}, known ? Which::Loose : Which::All);
    if (!before && request.end_connections()) return fail(before.error());
    if (auto governed = it_.workloads->govern(*path, request.name()); !governed)
        return fail(governed.error());
    it_.settle();
    if (request.end_connections())
        if (auto ended = end_outside(*before); !ended) return fail(ended.error());
    v1::WorkloadRequest one;
    one.set_name(request.name());
    auto workload = get_workload(one, caller);
    if (!workload) return workload;
    workload->clear_outside_connections();
    if (before) add_outside(*workload, *before, request.end_connections());
    return workload;
}

Result<v1::Empty> ApiService::remove_workload(const v1::WorkloadRequest& request,
                                              const Caller& caller) {
    if (auto noted = it_.note(record::AdminEntry::WORKLOAD_REMOVED, &caller, request.name());
        !noted)
        return fail(noted.error());
    const auto released = it_.workloads->release(request.name());
    if (!released) return fail(released.error());
    if (*released == 0)
        return fail(Errc::NotFound, "no cgroup is governed as workload " + request.name());
    it_.proxy->kill_workload(request.name(), "the workload was removed");
    return v1::Empty{};
}

Result<v1::BindWorkloadResponse> ApiService::bind_workload(const v1::BindWorkloadRequest& request,
                                                           const Caller& caller) {
    const auto bundle = it_.bundles->bundle();
    const auto* workload = bundle->workload(request.name());
    if (workload == nullptr)
        return fail(Errc::NotFound, "the bundle has no workload " + request.name() +
                                        "; write a document of kind Workload for it");
    const auto path = it_.workloads->resolve(request.cgroup());
    if (!path) return fail(path.error());
    if (!request.token().empty()) {
        // One workload has one identity at a time: another agent's token must not become that of
        // one that already runs.
        bool running = false;
        if (const auto governed = it_.workloads->list())
            for (const GovernedCgroup& one : *governed)
                running = running || (one.workload == request.name() && !one.path.empty() &&
                                      std::filesystem::path{one.path} != *path);
        auto identity = it_.identities->set_token(request.name(), request.token(),
                                                  request.token_file(), running);
        if (!identity) return fail(identity.error());
    } else if (auto identity = it_.identities->identity(request.name()); !identity) {
        return fail(identity.error());
    }
    if (auto noted = it_.note(record::AdminEntry::WORKLOAD_ADDED, &caller, request.name(),
                              path->string() + " pid " + std::to_string(request.pid()));
        !noted)
        return fail(noted.error());
    if (auto governed = it_.workloads->govern(*path, request.name()); !governed)
        return fail(governed.error());
    it_.settle();
    v1::WorkloadRequest one;
    one.set_name(request.name());
    auto bound = get_workload(one, caller);
    if (!bound) return fail(bound.error());
    v1::BindWorkloadResponse response;
    *response.mutable_workload() = *std::move(bound);
    response.set_ca_bundle(it_.paths.trust_ours.string());
    return response;
}

}  // namespace chaperone::daemon

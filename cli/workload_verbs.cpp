// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"
#include "userspace/control/http.h"

#include <array>
#include <ostream>

namespace chaperone::cli {
namespace {

std::string path_of(const std::string& name) {
    return "/v1/workloads/" + control::escape(name);
}

std::string joined(const auto& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
    return out;
}

void print_workload(std::ostream& out, const v1::Workload& one) {
    Table table{{"NAME", one.name()}};
    table.row({"state", one.state()}).row({"subject", one.subject()});
    table.row({"groups", joined(one.groups())});
    if (!one.provider().empty()) table.row({"provider", one.provider()});
    if (one.has_identity_expire_time())
        table.row({"identity until", local_time(one.identity_expire_time())});
    if (!one.identity_error().empty()) table.row({"refused", one.identity_error()});
    if (!one.unit().empty()) table.row({"unit", one.unit()});
    for (const auto& [key, value] : one.labels()) table.row({"label " + key, value});
    for (const std::string& cgroup : one.cgroups()) table.row({"cgroup", cgroup});
    table.row({"sessions", std::to_string(one.sessions())});
    for (const v1::OutsideConnection& outside : one.outside_connections())
        table.row({outside.ended() ? "ended" : "not governed",
                   outside.protocol() + " " + outside.local() + " to " + outside.remote() + " of " +
                       outside.comm() + " (" + std::to_string(outside.pid()) + ")"});
    for (const std::string& gap : one.gaps()) table.row({"gap", gap});
    table.print(out);
}

struct List : Verb {
    int run(Context& context) override {
        const auto list = context.client().call<v1::ListWorkloadsResponse>("GET", "/v1/workloads");
        if (!list) return fail_with(context, "workload list", list.error());
        print(context, *list, [&](std::ostream& out) {
            Table table{{"NAME", "STATE", "SUBJECT", "SESSIONS", "CGROUPS"}};
            for (const v1::Workload& one : list->workloads())
                table.row({one.name(), one.state(),
                           one.identity_error().empty() ? one.subject() : one.identity_error(),
                           std::to_string(one.sessions()), joined(one.cgroups())});
            table.print(out);
        });
        return kOk;
    }
};

struct OnWorkload : Verb {
    std::string name{};

    void flags(Flags& flags) override { flags.argument("name", name, "The workload"); }
};

struct Show : OnWorkload {
    int run(Context& context) override {
        const auto one = context.client().call<v1::Workload>("GET", path_of(name));
        if (!one) return fail_with(context, "workload " + name, one.error());
        print(context, *one, [&](std::ostream& out) { print_workload(out, *one); });
        return kOk;
    }
};

struct Add : OnWorkload {
    std::string cgroup{}, unit{};
    std::uint32_t pid = 0;
    bool end_connections = false;

    void flags(Flags& flags) override {
        OnWorkload::flags(flags);
        flags.toggle("--end-connections", end_connections,
                   "End the connections that its processes have already");
        flags.text("--cgroup", cgroup, "This cgroup and all below it");
        flags.text("--unit", unit, "The cgroup of this systemd unit");
        flags.number("--pid", pid, "The cgroup of this process");
    }
    int run(Context& context) override {
        if (!cgroup.empty() + !unit.empty() + (pid != 0) != 1) {
            context.err << "chaperone: workload add: give one of --cgroup, --unit and --pid\n";
            return kUsage;
        }
        v1::AddWorkloadRequest request;
        request.set_name(name);
        request.set_cgroup(cgroup);
        request.set_unit(unit);
        request.set_pid(pid);
        request.set_end_connections(end_connections);
        const auto one = context.client().call<v1::Workload>("POST", "/v1/workloads", request);
        if (!one) return fail_with(context, "workload " + name, one.error());
        print(context, *one, [&](std::ostream& out) { print_workload(out, *one); });
        return kOk;
    }
};

struct Remove : OnWorkload {
    int run(Context& context) override {
        const auto done = context.client().call<v1::Empty>("DELETE", path_of(name));
        if (!done) return fail_with(context, "workload " + name, done.error());
        if (context.output == Output::Table)
            context.out << "workload " << shown(name) << " is not governed any more\n";
        return kOk;
    }
};

}  // namespace

std::span<const VerbEntry> workload_verbs() {
    static constexpr std::array<VerbEntry, 4> kVerbs{
        {{"workload list", "List workloads and what is governed as each", make_verb<List>},
         {"workload show", "Show one workload", make_verb<Show>},
         {"workload add", "Govern what already runs", make_verb<Add>},
         {"workload remove", "Govern its cgroups no longer", make_verb<Remove>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"
#include "userspace/control/http.h"

#include <array>
#include <ostream>

namespace chaperone::cli {
namespace {

constexpr std::size_t kStatementShown = 60;

std::string path_of(const std::string& id, std::string_view rest = "") {
    return "/v1/approvals/" + control::escape(id) + std::string{rest};
}

void print_approval(std::ostream& out, const v1::Approval& one) {
    Table table{{"ID", one.id()}};
    table.row({"state", one.state()})
        .row({"workload", one.workload()})
        .row({"subject", one.subject()})
        .row({"resource", one.resource()})
        .row({"destination", to_text(one.destination())})
        .row({"session", one.session()})
        .row({"rule", one.rule()})
        .row({"asked", local_time(one.request_time())})
        .row({"expires", local_time(one.expire_time())})
        .row({"digest", one.digest()});
    if (!one.database().empty()) table.row({"database", one.database()});
    if (!one.user().empty()) table.row({"user there", one.user()});
    if (!one.reason().empty()) table.row({"reason", one.reason()});
    for (const v1::ApprovalNeed& need : one.needs()) {
        std::string by;
        for (const std::string& who : need.by()) by += (by.empty() ? "" : " or ") + who;
        table.row({"needs", std::to_string(need.count()) + " of " + by + " for the " +
                                need.scope() + " (" + need.rule() + ")"});
    }
    for (const v1::ApprovalVote& vote : one.votes())
        table.row({vote.granted() ? "granted by" : "refused by",
                   vote.approver() + (vote.reason().empty() ? "" : ": " + vote.reason())});
    for (const std::string& field : one.fields()) table.row({"field", field});
    int number = 0;
    for (const auto& parameter : one.parameters())
        table.row({"$" + std::to_string(++number),
                   parameter.has_string_value() ? parameter.string_value() : "NULL"});
    table.print(out);
    // Whole: what is granted is what was read.
    out << '\n' << shown(one.statement()) << '\n';
}

struct List : Verb {
    std::string state{}, workload{};
    bool all = false;

    void flags(Flags& flags) override {
        flags.choice("--state", state,
                     {"pending", "granted", "refused", "expired", "cancelled", "used"},
                     "Only those in this state (pending if not given)");
        flags.text("--workload", workload, "Only of this workload");
        flags.toggle("--all", all, "Those in every state");
    }
    int run(Context& context) override {
        v1::ListApprovalsRequest request;
        request.set_state(state);
        request.set_workload(workload);
        request.set_all(all);
        const auto list =
            context.client().call<v1::ListApprovalsResponse>("GET", "/v1/approvals", request);
        if (!list) return fail_with(context, "approval list", list.error());
        print(context, *list, [&](std::ostream& out) {
            Table table{{"ID", "STATE", "WORKLOAD", "RESOURCE", "RULE", "EXPIRES", "STATEMENT"}};
            for (const v1::Approval& one : list->approvals())
                table.row({one.id(), one.state(), one.workload(), one.resource(), one.rule(),
                           local_time(one.expire_time()), shown(one.statement(), kStatementShown)});
            table.print(out);
        });
        return kOk;
    }
};

struct OnApproval : Verb {
    std::string id{};

    void flags(Flags& flags) override {
        flags.argument("id", id, "The approval, or the beginning of its id");
    }
    int failed(Context& context, const control::Failure& failure) const {
        return fail_with(context, "approval " + id, failure);
    }
    int show(Context& context, const v1::Approval& one) const {
        print(context, one, [&](std::ostream& out) { print_approval(out, one); });
        return kOk;
    }
};

struct Show : OnApproval {
    int run(Context& context) override {
        const auto one = context.client().call<v1::Approval>("GET", path_of(id));
        return one ? show(context, *one) : failed(context, one.error());
    }
};

int decide(Context& context, const std::string& id, const std::string& reason,
           std::string_view verb) {
    v1::DecideApprovalRequest request;
    request.set_reason(reason);
    const auto one =
        context.client().call<v1::Approval>("POST", path_of(id, ":" + std::string{verb}), request);
    if (!one) return fail_with(context, "approval " + id, one.error());
    print(context, *one, [&](std::ostream& out) {
        out << "approval " << one->id() << " is " << one->state();
        if (one->state() == "pending") out << ": more people must agree";
        out << '\n';
    });
    return kOk;
}

struct Grant : OnApproval {
    std::string reason{};

    void flags(Flags& flags) override {
        OnApproval::flags(flags);
        flags.text("--reason", reason, "Recorded with the grant");
    }
    int run(Context& context) override { return decide(context, id, reason, "grant"); }
};

struct Refuse : OnApproval {
    std::string reason{};

    void flags(Flags& flags) override {
        OnApproval::flags(flags);
        flags.text("--reason", reason, "The agent is told it", true);
    }
    int run(Context& context) override { return decide(context, id, reason, "refuse"); }
};

struct Wait : OnApproval {
    int run(Context& context) override {
        v1::WaitApprovalRequest request;
        request.set_seconds(60);
        auto one = context.client().call<v1::Approval>("GET", path_of(id, ":wait"), request);
        while (one && one->state() == "pending")
            one = context.client().call<v1::Approval>("GET", path_of(id, ":wait"), request);
        if (!one) return failed(context, one.error());
        print(context, *one, [&](std::ostream& out) {
            out << "approval " << one->id() << " is " << one->state() << '\n';
        });
        return one->state() == "granted" || one->state() == "used" ? kOk : kFoundSomething;
    }
};

}  // namespace

std::span<const VerbEntry> approval_verbs() {
    static constexpr std::array<VerbEntry, 5> kVerbs{
        {{"approval list", "List what waits for a person", make_verb<List>},
         {"approval show", "Show one request, whole, with its parameters", make_verb<Show>},
         {"approval grant", "Let exactly this request pass, once", make_verb<Grant>},
         {"approval refuse", "Refuse it", make_verb<Refuse>},
         {"approval wait", "Wait until it is decided; 0 if granted", make_verb<Wait>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

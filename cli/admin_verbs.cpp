// SPDX-License-Identifier: Apache-2.0
// The instance itself: secrets, status, doctor, top.
#include "cli/output.h"
#include "cli/terminal.h"
#include "userspace/control/host_checks.h"
#include "userspace/control/http.h"

#include <array>
#include <ostream>
#include <thread>

namespace chaperone::cli {
namespace {

struct SecretSet : Verb {
    std::string name{};

    void flags(Flags& flags) override {
        flags.argument("name", name, "The secret; its value comes from standard input");
    }
    int run(Context& context) override {
        const auto value = read_secret(context, name);
        if (!value) return fail_with(context, "secret " + name, value.error());
        v1::SetSecretRequest request;
        request.set_value(std::string{value->expose()});
        const auto done = context.client().call<v1::Empty>(
            "PUT", "/v1/secrets/" + control::escape(name), request);
        if (!done) return fail_with(context, "secret " + name, done.error());
        if (context.output == Output::Table) context.out << "secret " << shown(name) << " is set\n";
        return kOk;
    }
};

struct SecretList : Verb {
    int run(Context& context) override {
        const auto list = context.client().call<v1::ListSecretsResponse>("GET", "/v1/secrets");
        if (!list) return fail_with(context, "secret list", list.error());
        print(context, *list, [&](std::ostream& out) {
            Table table{{"NAME"}};
            for (const v1::Secret& one : list->secrets()) table.row({one.name()});
            table.print(out);
        });
        return kOk;
    }
};

struct SecretRemove : Verb {
    std::string name{};

    void flags(Flags& flags) override { flags.argument("name", name, "The secret"); }
    int run(Context& context) override {
        const auto done =
            context.client().call<v1::Empty>("DELETE", "/v1/secrets/" + control::escape(name));
        if (!done) return fail_with(context, "secret " + name, done.error());
        if (context.output == Output::Table)
            context.out << "secret " << shown(name) << " is removed\n";
        return kOk;
    }
};

struct StatusVerb : Verb {
    int run(Context& context) override {
        const auto status = context.client().call<v1::Status>("GET", "/v1/status");
        if (!status) return fail_with(context, "status", status.error());
        print(context, *status, [&](std::ostream& out) {
            Table table{{"STATE", status->state()}};
            table.row({"version", status->version()})
                .row({"root", status->root()})
                .row({"pid", std::to_string(status->pid())})
                .row({"since", local_time(status->start_time())})
                .row({"bundle", status->bundle()})
                .row({"workloads", std::to_string(status->workloads())})
                .row({"open sessions", std::to_string(status->sessions())})
                .row({"pending approvals", std::to_string(status->approvals())})
                .row({"journal entries",
                      std::to_string(static_cast<std::uint64_t>(status->journal_entries()))});
            if (!status->problem().empty()) table.row({"PROBLEM", status->problem()});
            table.print(out);
        });
        return status->problem().empty() ? kOk : kFoundSomething;
    }
};

struct Doctor : Verb {
    int run(Context& context) override {
        v1::DoctorReport report;
        if (auto asked = context.client().call<v1::DoctorReport>("GET", "/v1/doctor")) {
            report = *std::move(asked);
        } else {
            report = control::check_host();
            *report.add_checks() = control::check_fail(
                "daemon",
                asked.error().unreachable ? "cannot be reached: " + asked.error().error.detail
                                          : asked.error().error.message(),
                asked.error().hint);
        }
        bool failed = false;
        for (const v1::DoctorCheck& check : report.checks())
            failed = failed || check.result() == "fail";
        print(context, report, [&](std::ostream& out) {
            Table table{{"CHECK", "RESULT", "DETAIL"}};
            for (const v1::DoctorCheck& check : report.checks()) {
                table.row({check.name(), check.result(), check.detail()});
                if (!check.hint().empty()) table.row({"", "", "-> " + check.hint()});
            }
            table.print(out);
        });
        return failed ? kFoundSomething : kOk;
    }
};

// The open sessions, again and again on a terminal, once in a pipe.
struct Top : Verb {
    int run(Context& context) override {
        v1::ListSessionsRequest request;
        request.set_state("open");
        while (true) {
            const auto status = context.client().call<v1::Status>("GET", "/v1/status");
            if (!status) return fail_with(context, "top", status.error());
            const auto list =
                context.client().call<v1::ListSessionsResponse>("GET", "/v1/sessions", request);
            if (!list) return fail_with(context, "top", list.error());
            if (context.out_is_terminal) context.out << "\x1b[H\x1b[2J";
            print(context, *list, [&](std::ostream& out) {
                out << status->sessions() << " open sessions, " << status->approvals()
                    << " pending approvals, "
                    << static_cast<std::uint64_t>(status->journal_entries())
                    << " journal entries\n\n";
                Table table{{"SESSION", "WORKLOAD", "RESOURCE", "STATE", "REQUESTS", "ROWS", "UP",
                             "DOWN", "EFFECT"}};
                for (const v1::Session& one : list->sessions())
                    table.row({one.id(), one.workload(), one.resource(), one.state(),
                               std::to_string(one.requests()),
                               std::to_string(static_cast<std::uint64_t>(one.rows())),
                               bytes_text(one.bytes_up()), bytes_text(one.bytes_down()),
                               one.effect()});
                table.print(out);
            });
            context.out << std::flush;
            if (!context.out_is_terminal || context.output != Output::Table || !context.out)
                return kOk;
            std::this_thread::sleep_for(std::chrono::seconds{1});
        }
    }
};

struct Version : Verb {
    int run(Context& context) override {
        print_json(context, R"({"version":")" CHAPERONE_VERSION "\"}",
                   [](std::ostream& out) { out << "chaperone " << CHAPERONE_VERSION << '\n'; });
        return kOk;
    }
};

}  // namespace

std::span<const VerbEntry> admin_verbs() {
    static constexpr std::array<VerbEntry, 7> kVerbs{
        {{"secret set", "Store a secret; the value is never an argument", make_verb<SecretSet>},
         {"secret list", "List the names of secrets", make_verb<SecretList>},
         {"secret remove", "Remove a secret", make_verb<SecretRemove>},
         {"status", "Show how the daemon is", make_verb<StatusVerb>},
         {"doctor", "Check the host and the instance, and say what to do", make_verb<Doctor>},
         {"top", "Watch the open sessions", make_verb<Top>},
         {"version", "Print the version", make_verb<Version>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

// SPDX-License-Identifier: Apache-2.0
// Verbs that put requests to a bundle: one of the command line, those of a session, all that were
// recorded.
#include "cli/explain_session.h"
#include "cli/output.h"
#include "cli/policy_verbs.h"
#include "cli/recording.h"
#include "cli/when.h"
#include "policy/explain.h"
#include "policy/sql/analyzer.h"
#include "policy/testing/compare.h"
#include "policy/testing/simulate.h"

#include <array>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

struct Explain : Verb {
    policy::Question question{};
    std::string directory{}, subject{}, session{}, journal{};
    std::uint32_t number = 0;
    bool follow = false;
    std::vector<std::string> groups{}, parameters{}, tables{}, headers{};
    std::string http{}, body{}, ws{}, tool_call{}, tool_arguments{};
    bool down = false;

    void flags(Flags& flags) override {
        flags.text("--workload", question.workload, "Who asks");
        flags.text("--resource", question.resource, "What is asked");
        flags.text("--dns", question.dns, "A name to resolve, instead of a resource");
        flags.text("--dns-type", question.dns_type, "The type of record that is asked for; A");
        flags.text("--sql", question.statement, "The statement; the connection if not given");
        flags.text("--http", http, "An HTTP request: \"POST https://host/path\"");
        flags.texts("--header", headers, "A field of it: \"Name: value\"");
        flags.text("--body", body, "Its body");
        flags.text("--ws", ws, "A message of the WebSocket that it opens");
        flags.toggle("--ws-from-server", down, "The server sends the message");
        flags.text("--tool-call", tool_call, "A tool that a model's answer to it calls");
        flags.text("--tool-arguments", tool_arguments, "The arguments of that call, as JSON");
        flags.text("--command", question.command, "A command for a shell, instead of a statement");
        flags.texts("--param", parameters, "A parameter's text, in the order of $1, $2 …");
        flags.text("--bundle", directory, "The bundle's directory; the installed one if not given");
        flags.text("--database", question.database, "The database that the agent names");
        flags.text("--db-user", question.user, "The user that the agent names");
        flags.text("--application", question.application, "The application that the agent names");
        flags.text("--subject", subject, "Another subject than the workload's");
        flags.texts("--group", groups, "A group of that subject");
        flags.text("--session", session, "A recorded session: what was asked in it");
        flags.number("--request", number, "Of that session only this request");
        flags.text("--journal", journal, "The journal; the instance's own if not given");
        flags.toggle("--follow", follow, "What is asked from now on, of all sessions or of one");
        flags.texts("--table", tables, "A table and its columns: public.t=id,name");
    }
    int run(Context& context) override {
        const auto bundle = load_bundle(context, directory);
        if (bundle == nullptr) return kFoundSomething;
        if (follow) return explain_live(context, bundle, session);
        if (!session.empty()) return explain_recorded(context, bundle);
        if (question.workload.empty() || question.dns.empty() == question.resource.empty()) {
            context.err << "chaperone: policy explain: give --workload with either --resource or "
                           "--dns; or --session; or --follow\n";
            return kUsage;
        }
        if (!http.empty() && !add_http()) {
            context.err
                << "chaperone: --http is a method and a URL, --header a name, a colon and a "
                   "value\n";
            return kUsage;
        }
        if (!ws.empty()) question.message = policy::MessageQuestion{.up = !down, .text = ws};
        if (!tool_call.empty())
            question.tool_call =
                policy::ToolCallQuestion{.name = tool_call, .arguments = tool_arguments};
        if (((question.message || question.tool_call) && http.empty()) ||
            (question.message && question.tool_call) ||
            (!question.command.empty() && (!http.empty() || !question.statement.empty()))) {
            context.err << "chaperone: policy explain: --ws or --tool-call goes with --http, "
                           "--command with neither --http nor --sql\n";
            return kUsage;
        }
        question.now = now();
        if (!parameters.empty()) question.parameters = parameters;
        if (!subject.empty())
            question.identity = policy::Identity{.subject = subject, .groups = groups};
        for (const std::string& table : tables)
            if (!add_table(table)) {
                context.err << "chaperone: --table " << shown(table)
                            << ": write schema.table=column,column\n";
                return kUsage;
            }
        const auto asked = policy::ask(*bundle, question);
        if (!asked) return fail_with(context, "policy explain", asked.error());
        const auto explained = policy::explain(bundle, asked->request);
        print_json(context, policy::to_json(explained),
                   [&](std::ostream& out) { out << policy::to_text(explained); });
        return kOk;
    }

private:
    int explain_recorded(Context& context,
                         const std::shared_ptr<const policy::bundle::Bundle>& bundle) const {
        const fs::path files =
            journal.empty() ? context.root / "var/lib/chaperone/journal" : fs::path{journal};
        Recording recording{{.journal = files, .session = session, .prepared = true}};
        std::vector<Explained> all;
        const auto read = recording.read([&](const auto& recorded, std::uint64_t request) {
            if (number == 0 || number == request)
                all.push_back(explain_one(bundle, recorded.question, recorded.session, request));
        });
        if (!read) return fail_with(context, "journal " + files.string(), read.error());
        if (all.empty()) {
            context.err << "chaperone: policy explain: the journal has no such request of session "
                        << shown(session) << '\n';
            return kFoundSomething;
        }
        print_json(context, number != 0 ? all.front().json : json_of(all), [&](std::ostream& out) {
            for (const Explained& one : all) out << one.text << '\n';
        });
        return kOk;
    }
    // "POST https://host/path", or the URL alone for GET.
    bool add_http() {
        auto& asked = question.http.emplace();
        const auto space = http.find(' ');
        if (space != std::string::npos) asked.method = http.substr(0, space);
        asked.url = space == std::string::npos ? http : http.substr(space + 1);
        asked.body = body;
        for (const std::string& header : headers) {
            const auto colon = header.find(':');
            if (colon == std::string::npos || colon == 0) return false;
            const auto value = header.find_first_not_of(' ', colon + 1);
            asked.headers.emplace_back(header.substr(0, colon),
                                       value == std::string::npos ? "" : header.substr(value));
        }
        return !asked.method.empty() && question.statement.empty();
    }
    bool add_table(const std::string& text) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) return false;
        auto& columns = question.tables[text.substr(0, equals)];
        for (std::size_t at = equals + 1; at <= text.size();) {
            const auto end = std::min(text.find(',', at), text.size());
            if (end == at) return false;
            columns.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        return true;
    }
};

// Runs a candidate over what was recorded, from the journal's files.
struct Simulate : Verb {
    std::string directory{}, since{}, until{}, journal{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The candidate bundle");
        flags.text("--since", since, "Requests since: 2026-01-31, an RFC 3339 time, or 7d ago");
        flags.text("--until", until, "Requests until");
        flags.text("--journal", journal, "The journal; the instance's own if not given");
    }
    int run(Context& context) override {
        Time from = Time::min(), to = Time::max();
        for (const auto& [given, time] : {std::pair{&since, &from}, {&until, &to}}) {
            if (given->empty()) continue;
            const auto read = read_when(*given, now());
            if (!read) return fail_with(context, "policy simulate", read.error()), kUsage;
            *time = *read;
        }
        const auto bundle = load_bundle(context, directory);
        if (bundle == nullptr) return kFoundSomething;
        const fs::path files =
            journal.empty() ? context.root / "var/lib/chaperone/journal" : fs::path{journal};
        policy::testing::Simulation simulation{bundle};
        Recording recording{{.journal = files, .from = from, .to = to}};
        Result<> read;
        if (!policy::sql::run_with_big_stack([&] {
                read = recording.read(
                    [&](const auto& recorded, std::uint64_t) { simulation.add(recorded); });
            }))
            return fail_with(context, "policy simulate", Error{Errc::Unavailable, "no memory"});
        if (!read) return fail_with(context, "journal " + files.string(), read.error());
        print_json(context, policy::testing::to_json(simulation), [&](std::ostream& out) {
            out << policy::testing::to_table(simulation);
            if (recording.cut() != 0)
                out << '\n' << recording.cut() << " statements are recorded cut, and left out\n";
        });
        return simulation.changed() == 0 ? kOk : kFoundSomething;
    }
};

// Two bundles in meaning, over what their rules tell apart and what was recorded.
struct Diff : Verb {
    std::string directory{}, against{}, since{}, journal{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The candidate bundle");
        flags.text("--against", against,
                   "The bundle to compare with; the installed one if not given");
        flags.text("--since", since, "Also what was recorded since: 2026-01-31, or 7d ago");
        flags.text("--journal", journal, "The journal; the instance's own if not given");
    }
    int run(Context& context) override {
        Recording::Wanted wanted{.journal = journal.empty()
                                                ? context.root / "var/lib/chaperone/journal"
                                                : fs::path{journal}};
        if (!since.empty()) {
            const auto read = read_when(since, now());
            if (!read) return fail_with(context, "policy diff", read.error()), kUsage;
            wanted.from = *read;
        }
        const auto before = load_bundle(context, against);
        const auto after = load_bundle(context, directory);
        if (before == nullptr || after == nullptr) return kUsage;
        policy::testing::Comparison comparison{before, after};
        Result<> read;
        if (!policy::sql::run_with_big_stack([&] {
                comparison.ask_probes();
                if (since.empty() && journal.empty()) return;
                Recording recording{wanted};
                read = recording.read([&](const auto& recorded, std::uint64_t) {
                    comparison.ask(recorded.question, recorded.session);
                });
            }))
            return fail_with(context, "policy diff", Error{Errc::Unavailable, "no memory"});
        if (!read) return fail_with(context, "journal " + wanted.journal.string(), read.error());
        print_json(context, policy::testing::to_json(comparison),
                   [&](std::ostream& out) { out << policy::testing::to_table(comparison); });
        return comparison.same() ? kOk : kFoundSomething;
    }
};

}  // namespace

std::span<const VerbEntry> policy_ask_verbs() {
    static constexpr std::array<VerbEntry, 3> kVerbs{
        {{"policy explain", "Say what policy answers, and why", make_verb<Explain>},
         {"policy simulate", "Say what a bundle would have changed of what was recorded",
          make_verb<Simulate>},
         {"policy diff", "Compare two bundles in meaning", make_verb<Diff>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

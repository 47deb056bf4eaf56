// SPDX-License-Identifier: Apache-2.0
// All but apply and status need no daemon: they are the daemon's own functions.
#include "cli/output.h"
#include "cli/when.h"
#include "policy/bundle/check.h"
#include "policy/cel/json_eval.h"
#include "policy/explain.h"
#include "policy/testing/run_tests.h"
#include "policy/testing/simulate.h"
#include "userspace/base/file.h"
#include "userspace/record/reader.h"

#include <array>
#include <fstream>
#include <istream>
#include <map>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

fs::path installed(const Context& context) {
    return context.root / "etc/chaperone/bundle";
}

struct Check : Verb {
    std::string directory{};
    bool quiet = false;

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The bundle; the installed one if not given", false);
        flags.toggle("-q,--quiet", quiet, "Print nothing; only the exit status tells");
    }
    int run(Context& context) override {
        const fs::path path = directory.empty() ? installed(context) : fs::path{directory};
        const auto checked = policy::bundle::check(path);
        if (!quiet)
            print_json(context, R"({"issues":)" + policy::bundle::to_json(checked.issues) + "}",
                       [&](std::ostream& out) {
                           out << policy::bundle::to_text(checked.issues);
                           if (checked.issues.empty())
                               out << path.string() << ": fine, " << checked.bundle->digest()
                                   << '\n';
                       });
        return checked.issues.empty() ? kOk : kFoundSomething;
    }
};

struct Test : Verb {
    std::string directory{}, junit{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The bundle; the installed one if not given", false);
        flags.text("--junit", junit, "Also write JUnit XML to this file");
    }
    int run(Context& context) override {
        const fs::path path = directory.empty() ? installed(context) : fs::path{directory};
        const auto loaded = policy::bundle::load(path);
        if (!loaded.bundle) {
            context.err << policy::bundle::to_text(loaded.issues);
            return kFoundSomething;
        }
        const auto report = policy::testing::run_tests(loaded.bundle);
        print_json(context, policy::testing::to_json(report),
                   [&](std::ostream& out) { out << policy::testing::to_table(report); });
        if (!junit.empty())
            if (auto written = write_file(junit, policy::testing::to_junit(report)); !written)
                return fail_with(context, "policy test", written.error());
        return report.failed() == 0 ? kOk : kFoundSomething;
    }
};

struct Explain : Verb {
    policy::Question question{};
    std::string directory{}, subject{};
    std::vector<std::string> groups{}, parameters{}, tables{}, headers{};
    std::string http{}, body{};

    void flags(Flags& flags) override {
        flags.text("--workload", question.workload, "Who asks", true);
        flags.text("--resource", question.resource, "What is asked");
        flags.text("--dns", question.dns, "A name to resolve, instead of a resource");
        flags.text("--dns-type", question.dns_type, "The type of record that is asked for; A");
        flags.text("--sql", question.statement, "The statement; the connection if not given");
        flags.text("--http", http, "An HTTP request: \"POST https://host/path\"");
        flags.texts("--header", headers, "A field of it: \"Name: value\"");
        flags.text("--body", body, "Its body");
        flags.texts("--param", parameters, "A parameter's text, in the order of $1, $2 …");
        flags.text("--bundle", directory, "The bundle's directory; the installed one if not given");
        flags.text("--database", question.database, "The database that the agent names");
        flags.text("--db-user", question.user, "The user that the agent names");
        flags.text("--application", question.application, "The application that the agent names");
        flags.text("--subject", subject, "Another subject than the workload's");
        flags.texts("--group", groups, "A group of that subject");
        flags.texts("--table", tables, "A table and its columns: public.t=id,name");
    }
    int run(Context& context) override {
        const auto loaded =
            policy::bundle::load(directory.empty() ? installed(context) : fs::path{directory});
        if (!loaded.bundle) {
            context.err << policy::bundle::to_text(loaded.issues);
            return kFoundSomething;
        }
        if (question.dns.empty() == question.resource.empty()) {
            context.err << "chaperone: give either --resource or --dns\n";
            return kUsage;
        }
        if (!http.empty() && !add_http()) {
            context.err
                << "chaperone: --http is a method and a URL, --header a name, a colon and a "
                   "value\n";
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
        const auto asked = policy::ask(*loaded.bundle, question);
        if (!asked) return fail_with(context, "policy explain", asked.error());
        const auto explained = policy::explain(loaded.bundle, asked->request);
        print_json(context, policy::to_json(explained),
                   [&](std::ostream& out) { out << policy::to_text(explained); });
        return kOk;
    }

private:
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
        const auto loaded = policy::bundle::load(directory);
        if (!loaded.bundle) {
            context.err << policy::bundle::to_text(loaded.issues);
            return kFoundSomething;
        }
        const fs::path files =
            journal.empty() ? context.root / "var/lib/chaperone/journal" : fs::path{journal};
        auto reader = record::Reader::open(files);
        if (!reader) return fail_with(context, "journal " + files.string(), reader.error());
        policy::testing::Simulation simulation{loaded.bundle};
        while (true) {
            const auto stored = reader->next();
            if (!stored) return fail_with(context, "journal " + files.string(), stored.error());
            if (!*stored) break;
            take((*stored)->entry, from, to, simulation);
        }
        print_json(context, policy::testing::to_json(simulation), [&](std::ostream& out) {
            out << policy::testing::to_table(simulation);
            if (cut_ != 0) out << '\n' << cut_ << " statements are recorded cut, and left out\n";
        });
        return simulation.changed() == 0 ? kOk : kFoundSomething;
    }

private:
    void take(const record::Entry& entry, Time from, Time to,
              policy::testing::Simulation& simulation) {
        if (entry.has_session_start()) {
            const record::SessionStart& start = entry.session_start();
            policy::Question question{.workload = start.workload(), .resource = start.resource()};
            policy::Identity identity{.subject = start.identity().subject(),
                                      .issuer = start.identity().issuer()};
            for (const auto& group : start.identity().groups()) identity.groups.push_back(group);
            question.identity = std::move(identity);
            sessions_.insert_or_assign(start.session(), std::move(question));
        } else if (entry.has_session_end()) {
            sessions_.erase(entry.session_end().session());
        } else if (entry.has_request()) {
            ask(entry.request(), Time{Duration{entry.time()}}, from, to, simulation);
        }
    }

    // A prepared text is judged when it runs; one that was refused never ran.
    void ask(const record::RequestEntry& request, Time time, Time from, Time to,
             policy::testing::Simulation& simulation) {
        const auto session = sessions_.find(request.session());
        const std::string& effect = request.decision().effect();
        const bool prepared = request.kind() == "parse" && effect != "deny";
        if (session == sessions_.end() || time < from || time > to || prepared ||
            request.statement().empty() || request.kind() == "message")
            return;
        if (request.statement_truncated()) {
            ++cut_;
            return;
        }
        policy::testing::Recorded recorded{.question = session->second,
                                           .session = request.session(),
                                           .effect = effect,
                                           .rule = request.decision().rule()};
        if (effect == "allow" && request.decision().masks_size() != 0) recorded.effect = "mask";
        recorded.question.statement = request.statement();
        recorded.question.database = request.database();
        recorded.question.user = request.user();
        recorded.question.now = time;
        if (request.kind() == "http") http_of(request, recorded.question);
        if (request.kind() == "bind") {
            auto& parameters = recorded.question.parameters.emplace();
            for (const record::Parameter& one : request.parameters())
                parameters.push_back(one.text());
        }
        simulation.add(recorded);
    }

    // Its fields and its body are not in the journal, but for what kind of body it was.
    static void http_of(const record::RequestEntry& request, policy::Question& question) {
        auto& asked = question.http.emplace();
        const std::string& text = request.statement();
        const auto space = std::min(text.find(' '), text.size());
        asked.method = text.substr(0, space);
        asked.url = text.substr(std::min(space + 1, text.size()));
        question.statement.clear();
        const auto type = request.facts().find("content_type");
        if (type != request.facts().end()) asked.headers.emplace_back("content-type", type->second);
    }

    std::map<std::string, policy::Question> sessions_;  // those open at this point of the journal
    std::uint64_t cut_ = 0;
};

// The caller may keep the pipe open: each line is answered as it comes.
struct Eval : Verb {
    bool from_stdin = false;

    void flags(Flags& flags) override {
        flags.toggle("--stdin", from_stdin, "Read one JSON object a line from standard input");
    }
    int run(Context& context) override {
        if (!from_stdin) {
            context.err << "chaperone: policy eval: give --stdin and JSON lines\n";
            return kUsage;
        }
        for (std::string line; std::getline(context.in, line);)
            context.out << cel::evaluate_json_line(line) << '\n' << std::flush;
        return kOk;
    }
};

void print_status(Context& context, const v1::BundleStatus& status) {
    print(context, status, [&](std::ostream& out) {
        Table table{{"DIGEST", status.digest()}};
        table.row({"since", local_time(status.load_time())})
            .row({"policies", std::to_string(status.policies()) + " with " +
                                  std::to_string(status.rules()) + " rules"})
            .row({"resources", std::to_string(status.resources())})
            .row({"workloads", std::to_string(status.workloads())});
        table.print(out);
        if (!status.last_error().empty())
            out << "\nThe latest change was refused at " << local_time(status.last_error_time())
                << ":\n"
                << status.last_error();
    });
}

struct Status : Verb {
    int run(Context& context) override {
        const auto status = context.client().call<v1::BundleStatus>("GET", "/v1/bundle");
        if (!status) return fail_with(context, "policy status", status.error());
        print_status(context, *status);
        return status->last_error().empty() ? kOk : kFoundSomething;
    }
};

struct Apply : Verb {
    std::string directory{};

    void flags(Flags& flags) override { flags.argument("dir", directory, "The bundle"); }
    int run(Context& context) override {
        // Checked here first, so that what is wrong is said with the files' own names.
        const auto loaded = policy::bundle::load(directory);
        if (!loaded.bundle) {
            context.err << policy::bundle::to_text(loaded.issues);
            return kFoundSomething;
        }
        v1::ApplyBundleRequest request;
        for (const auto* files : {&loaded.bundle->files(), &loaded.bundle->attachments()})
            for (const auto& file : *files) {
                v1::BundleFile& added = *request.add_files();
                added.set_path(file.path);
                added.set_content(file.content);
            }
        const auto status = context.client().call<v1::BundleStatus>("PUT", "/v1/bundle", request);
        if (!status) return fail_with(context, "policy apply", status.error());
        print_status(context, *status);
        return kOk;
    }
};

}  // namespace

std::span<const VerbEntry> policy_verbs() {
    static constexpr std::array<VerbEntry, 7> kVerbs{
        {{"policy check", "Find what is wrong with a bundle, and what drifts", make_verb<Check>},
         {"policy test", "Run a bundle's PolicyTest documents", make_verb<Test>},
         {"policy explain", "Say what policy answers, and why", make_verb<Explain>},
         {"policy simulate", "Say what a bundle would have changed of what was recorded",
          make_verb<Simulate>},
         {"policy eval", "Evaluate CEL expressions", make_verb<Eval>},
         {"policy apply", "Put a bundle in force", make_verb<Apply>},
         {"policy status", "Show the bundle that is in force", make_verb<Status>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

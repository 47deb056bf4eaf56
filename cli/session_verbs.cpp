// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"
#include "cli/when.h"
#include "userspace/control/http.h"
#include "userspace/control/json.h"

#include <array>
#include <fstream>
#include <ostream>

namespace chaperone::cli {
namespace {

std::string path_of(const std::string& id, std::string_view rest = "") {
    return "/v1/sessions/" + control::escape(id) + std::string{rest};
}

void print_sessions(std::ostream& out, const v1::ListSessionsResponse& sessions) {
    Table table{{"ID", "STARTED", "WORKLOAD", "SUBJECT", "RESOURCE", "STATE", "REQUESTS", "ROWS",
                 "EFFECT"}};
    for (const v1::Session& one : sessions.sessions())
        table.row({one.id(), local_time(one.start_time()), one.workload(), one.subject(),
                   one.resource(), one.state(), std::to_string(one.requests()),
                   std::to_string(static_cast<std::uint64_t>(one.rows())), one.effect()});
    table.print(out);
}

struct List : Verb {
    std::string workload{}, subject{}, resource{}, effect{}, since{}, until{}, text{}, state{};
    bool shadow = false;
    std::uint32_t limit = 100;

    void flags(Flags& flags) override {
        flags.text("--workload", workload, "Only of this workload");
        flags.text("--subject", subject, "Only of this subject");
        flags.text("--resource", resource, "Only to this resource");
        flags.choice("--effect", effect, {"deny", "approve", "mask", "allow"},
                     "Only those whose gravest decision is this");
        flags.text("--since", since, "Only those since: 2026-01-31, an RFC 3339 time, or 2h ago");
        flags.text("--until", until, "Only those until");
        flags.text("--text", text, "Only those with these words in one statement");
        flags.choice("--state", state, {"open", "opening", "held", "closing", "closed", "lost"},
                     "Only those in this state");
        flags.toggle("--shadow", shadow, "Only those on which shadow rules would act");
        flags.number("--limit", limit, "At most so many, newest first");
    }

    int run(Context& context) override {
        v1::ListSessionsRequest request;
        request.set_workload(workload);
        request.set_subject(subject);
        request.set_resource(resource);
        request.set_effect(effect);
        request.set_text(text);
        request.set_state(state);
        request.set_shadow(shadow);
        request.set_limit(limit);
        for (const auto& [given, set] :
             {std::pair{&since, request.mutable_since()}, {&until, request.mutable_until()}}) {
            if (given->empty()) continue;
            const auto time = read_when(*given, now());
            if (!time) return fail_with(context, "session list", time.error()), kUsage;
            set_stamp(*set, *time);
        }
        if (since.empty()) request.clear_since();
        if (until.empty()) request.clear_until();
        const auto sessions =
            context.client().call<v1::ListSessionsResponse>("GET", "/v1/sessions", request);
        if (!sessions) return fail_with(context, "session list", sessions.error());
        print(context, *sessions, [&](std::ostream& out) { print_sessions(out, *sessions); });
        return kOk;
    }
};

// What all verbs on one session have in common.
struct OnSession : Verb {
    std::string id{};

    void flags(Flags& flags) override {
        flags.argument("id", id, "The session, or the beginning of its id");
    }
    int failed(Context& context, const control::Failure& failure) const {
        return fail_with(context, "session " + id, failure);
    }
};

struct Show : OnSession {
    int run(Context& context) override {
        const auto one = context.client().call<v1::Session>("GET", path_of(id));
        if (!one) return failed(context, one.error());
        print(context, *one, [&](std::ostream& out) {
            Table table{{"ID", one->id()}};
            table.row({"workload", one->workload()})
                .row({"subject", one->subject()})
                .row({"resource", one->resource() + " (" + one->protocol() + ")"})
                .row({"destination", to_text(one->destination())})
                .row({"peer", one->peer()})
                .row({"process", one->comm() + " pid " + std::to_string(one->pid()) + " uid " +
                                     std::to_string(one->uid())})
                .row({"state", one->state()})
                .row({"started", local_time(one->start_time())})
                .row({"ended", local_time(one->end_time()) + " " + one->end_reason()})
                .row({"requests", std::to_string(one->requests())})
                .row({"rows", std::to_string(static_cast<std::uint64_t>(one->rows()))})
                .row({"bytes", bytes_text(one->bytes_up()) + " up, " +
                                   bytes_text(one->bytes_down()) + " down"})
                .row({"effect", one->effect()});
            table.print(out);
        });
        return kOk;
    }
};

// A whole transcript for people; the entries themselves for programs.
struct Replay : OnSession {
    int run(Context& context) override {
        if (context.output == Output::Table) {
            const auto text =
                context.client().call<v1::Transcript>("GET", path_of(id, "/transcript"));
            if (!text) return failed(context, text.error());
            context.out << text->text() << (text->text().ends_with('\n') ? "" : "\n");
            return kOk;
        }
        std::string all = R"({"entries":[)";
        auto read = context.client().stream(path_of(id, "/entries"), v1::Empty{},
                                            [&](std::string_view line) {
                                                if (!all.ends_with('[')) all += ',';
                                                all += line;
                                                return true;
                                            });
        if (!read) return failed(context, read.error());
        print_json(context, all + "]}", [](std::ostream&) {});
        return kOk;
    }
};

struct Follow : Verb {
    std::string id{};

    void flags(Flags& flags) override {
        flags.argument("id", id, "The session; all if not given", false);
    }
    int run(Context& context) override {
        v1::FollowRequest request;
        request.set_session(id);
        auto read = context.client().stream("/v1/events", request, [&](std::string_view line) {
            v1::Event event;
            if (context.output == Output::Json ||
                !control::from_json(line, event, control::Unknown::Ignored))
                context.out << line << '\n' << std::flush;
            else
                context.out << local_time(event.time()) << "  "
                            << shown(event.session().substr(0, 26)) << "  " << shown(event.text())
                            << '\n'
                            << std::flush;
            return static_cast<bool>(context.out);
        });
        if (!read) return fail_with(context, "session follow", read.error());
        return kOk;
    }
};

struct Kill : OnSession {
    int run(Context& context) override {
        const auto done = context.client().call<v1::Empty>("POST", path_of(id, ":kill"));
        if (!done) return failed(context, done.error());
        if (context.output == Output::Table)
            context.out << "session " << shown(id) << " is ended\n";
        return kOk;
    }
};

struct Export : OnSession {
    std::string format = "asciicast";
    std::string file{};

    void flags(Flags& flags) override {
        OnSession::flags(flags);
        flags.choice("--format", format, {"asciicast", "text", "jsonl"},
                     "asciicast v2 for players, text, or the entries as JSON lines");
        flags.text("--file", file, "Write there instead of standard output");
    }
    int run(Context& context) override {
        std::string all;
        if (format == "jsonl") {
            auto read = context.client().stream(path_of(id, "/entries"), v1::Empty{},
                                                [&](std::string_view line) {
                                                    all.append(line).append("\n");
                                                    return true;
                                                });
            if (!read) return failed(context, read.error());
        } else {
            v1::TranscriptRequest request;
            request.set_format(format);
            auto text =
                context.client().call<v1::Transcript>("GET", path_of(id, "/transcript"), request);
            if (!text) return failed(context, text.error());
            all = text->text();
        }
        if (file.empty()) return context.out << all, kOk;
        std::ofstream to{file, std::ios::binary};
        to << all << std::flush;
        if (to) return kOk;
        return fail_with(context, "session export",
                         Error{Errc::System, file + " cannot be written"});
    }
};

}  // namespace

std::span<const VerbEntry> session_verbs() {
    static constexpr std::array<VerbEntry, 6> kVerbs{
        {{"session list", "List sessions, newest first", make_verb<List>},
         {"session show", "Show one session", make_verb<Show>},
         {"session replay", "Print all that happened in a session", make_verb<Replay>},
         {"session follow", "Print what happens, as it happens", make_verb<Follow>},
         {"session kill", "End an open session", make_verb<Kill>},
         {"session export", "Write a session for other tools", make_verb<Export>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

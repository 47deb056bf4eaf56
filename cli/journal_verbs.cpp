// SPDX-License-Identifier: Apache-2.0
// verify and export read the files themselves, so that they work on a copy, without the daemon.
#include "cli/output.h"
#include "cli/when.h"
#include "userspace/base/encoding.h"
#include "userspace/base/file.h"
#include "userspace/record/export.h"
#include "userspace/record/reader.h"
#include "userspace/record/verifier.h"

#include <unistd.h>
#include <boost/json.hpp>

#include <array>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMaxKey = 4096;

fs::path state_of(const Context& context) {
    return context.root / "var/lib/chaperone";
}

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

json::object to_json(const record::Finding& finding) {
    json::object out{{"problem", record::describe(finding.problem)},
                     {"segment", finding.where.segment},
                     {"offset", finding.where.offset},
                     {"message", finding.message()}};
    if (finding.index) out["entry"] = *finding.index;
    if (finding.until) out["until"] = *finding.until;
    return out;
}

std::string to_json(const record::Verification& result) {
    json::array findings;
    for (const record::Finding& finding : result.findings) findings.push_back(to_json(finding));
    json::object out{{"ok", result.ok()},
                     {"entries", result.entries},
                     {"signedEntries", result.signed_to},
                     {"unsignedEntries", result.unsigned_entries()},
                     {"prunedEntries", result.pruned},
                     {"checkpoints", result.checkpoints},
                     {"live", result.live},
                     {"findings", std::move(findings)}};
    if (result.last) {
        out["root"] = to_hex(result.last->root);
        out["checkpointTime"] = to_rfc3339(result.last->time);
    }
    return json::serialize(out);
}

void print_text(std::ostream& out, const record::Verification& result) {
    for (const record::Finding& finding : result.findings) out << finding.message() << '\n';
    out << (result.ok() ? "The journal is as it was signed: " : "The journal is damaged: ")
        << result.entries << " entries, " << result.signed_to << " covered by "
        << result.checkpoints << " checkpoints";
    if (result.pruned != 0) out << ", " << result.pruned << " pruned in order";
    if (result.unsigned_entries() != 0)
        out << ", the last " << result.unsigned_entries() << " not signed yet";
    out << '\n';
    if (result.last) out << "root " << to_hex(result.last->root) << '\n';
}

struct Verify : Verb {
    std::string directory{}, key{}, checkpoint{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The journal; the instance's own if not given", false);
        flags.text("--key", key,
                   "The public key's file; journal.pub beside the journal's folder "
                   "if not given");
        flags.text("--checkpoint", checkpoint,
                   "A signed checkpoint kept elsewhere, which the journal must contain");
    }
    int run(Context& context) override {
        const fs::path journal =
            directory.empty() ? state_of(context) / "journal" : fs::path{directory};
        const fs::path key_file = !key.empty()
                                      ? fs::path{key}
                                      : fs::absolute(journal).lexically_normal() / "../journal.pub";
        auto text = read_file(key_file, kMaxKey);
        if (!text)
            return fail_with(context, "journal verify", text.error(), "name the key with --key");
        text->erase(text->find_last_not_of(" \r\n\t") + 1);
        const auto parsed = record::VerifierKey::parse(*text);
        if (!parsed) return fail_with(context, key_file.string(), parsed.error());
        record::VerifyOptions options;
        if (!checkpoint.empty()) {
            auto note = read_file(checkpoint, kMaxKey);
            if (!note) return fail_with(context, "journal verify", note.error());
            options.at_least = *std::move(note);
        }
        if (context.err_is_terminal)
            options.progress = [&](std::uint64_t done, std::uint64_t all) {
                context.err << "\rverified " << bytes_text(static_cast<double>(done)) << " of "
                            << bytes_text(static_cast<double>(all)) << "\x1b[K" << std::flush;
            };
        const auto result = record::verify(journal, *parsed, options);
        if (context.err_is_terminal) context.err << "\r\x1b[K" << std::flush;
        if (!result) return fail_with(context, "journal " + journal.string(), result.error());
        print_json(context, to_json(*result), [&](std::ostream& out) { print_text(out, *result); });
        return result->ok() ? kOk : kFoundSomething;
    }
};

struct Export : Verb {
    std::string directory{}, format = "jsonl", since{}, until{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The journal; the instance's own if not given", false);
        flags.choice("--format", format, {"jsonl", "ocsf", "cef", "syslog"}, "The lines' form");
        flags.text("--since", since, "Only what is since: 2026-01-31, an RFC 3339 time, or 2h");
        flags.text("--until", until, "Only what is until");
    }
    int run(Context& context) override {
        const auto form = record::parse_format(format);
        if (!form) return fail_with(context, "journal export", form.error());
        Time from = Time::min(), to = Time::max();
        for (const auto& [given, time] : {std::pair{&since, &from}, {&until, &to}}) {
            if (given->empty()) continue;
            const auto read = read_when(*given, now());
            if (!read) return fail_with(context, "journal export", read.error()), kUsage;
            *time = *read;
        }
        const fs::path journal =
            directory.empty() ? state_of(context) / "journal" : fs::path{directory};
        auto reader = record::Reader::open(journal);
        if (!reader) return fail_with(context, "journal " + journal.string(), reader.error());
        record::Exporter exporter{*form, host_name(), CHAPERONE_VERSION};
        while (true) {
            const auto stored = reader->next();
            if (!stored) return fail_with(context, "journal " + journal.string(), stored.error());
            if (!*stored) return kOk;
            // Always through the exporter: it learns of each session what later lines need.
            const auto line = exporter.line(**stored);
            const Time time{Duration{(**stored).entry.time()}};
            if (line && time >= from && time <= to) context.out << *line << '\n';
            if (!context.out) return kFoundSomething;
        }
    }
};

struct Prune : Verb {
    std::string before{};

    void flags(Flags& flags) override {
        flags.text("--before", before, "Older than this: 2026-01-31, an RFC 3339 time, or 90d",
                   true);
    }
    int run(Context& context) override {
        const auto time = read_when(before, now());
        if (!time) return fail_with(context, "journal prune", time.error()), kUsage;
        v1::PruneJournalRequest request;
        set_stamp(*request.mutable_before(), *time);
        const auto done =
            context.client().call<v1::PruneJournalResponse>("POST", "/v1/journal:prune", request);
        if (!done) return fail_with(context, "journal prune", done.error());
        print(context, *done, [&](std::ostream& out) {
            out << "removed " << static_cast<std::uint64_t>(done->segments()) << " segments, "
                << bytes_text(done->bytes()) << "; the rest begins with entry "
                << static_cast<std::uint64_t>(done->first_kept()) << '\n';
        });
        return kOk;
    }
};

}  // namespace

std::span<const VerbEntry> journal_verbs() {
    static constexpr std::array<VerbEntry, 3> kVerbs{
        {{"journal verify", "Check that nothing was altered; works offline", make_verb<Verify>},
         {"journal export", "Write the entries for other systems", make_verb<Export>},
         {"journal prune", "Remove old segments; the rest stays verifiable", make_verb<Prune>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

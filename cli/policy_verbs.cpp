// SPDX-License-Identifier: Apache-2.0
// Verbs over a bundle alone: they need no daemon, and are its own functions.
#include "cli/policy_verbs.h"
#include "cli/output.h"
#include "policy/bundle/check.h"
#include "policy/bundle/schema.h"
#include "policy/cel/json_eval.h"
#include "policy/testing/run_tests.h"
#include "userspace/base/file.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <istream>
#include <optional>
#include <ostream>
#include <set>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

// Local approvers are groups of the operating system, and root is in every one of them.
std::optional<std::size_t> group_size(const std::string& name) {
    const struct group* group = ::getgrnam(name.c_str());
    if (group == nullptr) return std::nullopt;
    std::set<std::string> members{"root"};
    for (char** member = group->gr_mem; *member != nullptr; ++member) members.insert(*member);
    const gid_t id = group->gr_gid;
    ::setpwent();
    while (const struct passwd* user = ::getpwent())
        if (user->pw_gid == id) members.insert(user->pw_name);
    ::endpwent();
    return members.size();
}

struct Check : Verb {
    // Of the installed bundle, where the daemon that has the secrets can be asked.
    static void add_missing_secrets(Context& context, policy::bundle::Loaded& checked) {
        const auto list = context.client().call<v1::ListSecretsResponse>("GET", "/v1/secrets");
        if (!list) return;
        std::set<std::string> there;
        for (const v1::Secret& one : list->secrets()) there.insert(one.name());
        for (const auto& resource : checked.bundle->resources()) {
            std::vector<std::string> wanted;
            if (resource.credential) wanted = resource.credential->secrets();
            if (const auto& key = resource.upstream.tls.key_secret; !key.empty())
                wanted.push_back(key);
            for (const std::string& name : wanted) {
                if (there.contains(name)) continue;
                const auto& at = resource.metadata.at;
                checked.issues.push_back({.severity = policy::bundle::Severity::Warning,
                                          .file = checked.bundle->files()[at.file].path,
                                          .line = at.line,
                                          .column = at.column,
                                          .id = "missing-secret",
                                          .message = "resource \"" + resource.metadata.name +
                                                     "\" needs the secret \"" + name +
                                                     "\", which is not set: until then it is "
                                                     "refused",
                                          .suggestion = "chaperone secret set " + name});
            }
        }
    }

    std::string directory{};
    bool quiet = false;

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The bundle; the installed one if not given", false);
        flags.toggle("-q,--quiet", quiet, "Print nothing; only the exit status tells");
    }
    int run(Context& context) override {
        const fs::path path = directory.empty() ? installed(context) : fs::path{directory};
        // A folder may be meant for another host: whose groups are there is not known here.
        const policy::bundle::GroupSize groups =
            directory.empty() ? policy::bundle::GroupSize{group_size} : nullptr;
        auto checked = policy::bundle::check(path, groups);
        if (directory.empty() && checked.bundle) add_missing_secrets(context, checked);
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
        const auto bundle = load_bundle(context, directory);
        if (bundle == nullptr) return kFoundSomething;
        const auto report = policy::testing::run_tests(bundle);
        print_json(context, policy::testing::to_json(report),
                   [&](std::ostream& out) { out << policy::testing::to_table(report); });
        if (!junit.empty())
            if (auto written = write_file(junit, policy::testing::to_junit(report)); !written)
                return fail_with(context, "policy test", written.error());
        return report.failed() == 0 ? kOk : kFoundSomething;
    }
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

struct Schema : Verb {
    int run(Context& context) override {
        context.out << policy::bundle::json_schema();
        return kOk;
    }
};

// What is signed.
struct DigestOf : Verb {
    std::string directory{};

    void flags(Flags& flags) override {
        flags.argument("dir", directory, "The bundle; the installed one if not given", false);
    }
    int run(Context& context) override {
        const auto bundle = load_bundle(context, directory);
        if (bundle == nullptr) return kFoundSomething;
        context.out << bundle->digest() << '\n';
        return kOk;
    }
};

}  // namespace

std::filesystem::path installed(const Context& context) {
    return context.root / "etc/chaperone/bundle";
}

std::shared_ptr<const policy::bundle::Bundle> load_bundle(Context& context,
                                                          const std::string& directory) {
    const auto loaded =
        policy::bundle::load(directory.empty() ? installed(context) : fs::path{directory});
    if (!loaded.bundle) context.err << policy::bundle::to_text(loaded.issues);
    return loaded.bundle;
}

std::span<const VerbEntry> policy_verbs() {
    static constexpr std::array<VerbEntry, 5> kVerbs{
        {{"policy check", "Find what is wrong with a bundle, and what drifts", make_verb<Check>},
         {"policy test", "Run a bundle's PolicyTest documents", make_verb<Test>},
         {"policy eval", "Evaluate CEL expressions", make_verb<Eval>},
         {"policy digest", "Print a bundle's digest, which is what is signed", make_verb<DigestOf>},
         {"policy schema", "Print the JSON Schema of a bundle's documents", make_verb<Schema>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

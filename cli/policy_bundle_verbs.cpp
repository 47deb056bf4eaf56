// SPDX-License-Identifier: Apache-2.0
// The bundle in force: what it is, another one, an earlier one.
#include "cli/output.h"
#include "cli/policy_verbs.h"
#include "policy/bundle/provenance.h"
#include "policy/bundle/signature.h"
#include "userspace/base/file.h"

#include <array>
#include <cstdint>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

std::string whole(double number) {
    return std::to_string(static_cast<std::uint64_t>(number));
}

void print_status(Context& context, const v1::BundleStatus& status) {
    print(context, status, [&](std::ostream& out) {
        Table table{{"DIGEST", status.digest()}};
        table.row({"since", local_time(status.load_time())})
            .row({"policies", std::to_string(status.policies()) + " with " +
                                  std::to_string(status.rules()) + " rules"})
            .row({"resources", std::to_string(status.resources())})
            .row({"workloads", std::to_string(status.workloads())})
            .row({"generation", whole(status.generation())});
        if (!status.commit().empty()) table.row({"commit", shown(status.commit())});
        if (!status.signer().empty()) table.row({"signed by", shown(status.signer())});
        if (status.refused() != 0) table.row({"refused", whole(status.refused()) + " changes"});
        table.print(out);
        if (status.history_size() > 1) {
            Table history{{"GENERATION", "SINCE", "DIGEST", "COMMIT", "SIGNED BY"}};
            for (const auto& one : status.history())
                history.row({whole(one.generation()), local_time(one.load_time()),
                             one.digest().substr(0, 19), shown(one.commit().substr(0, 12)),
                             shown(one.signer())});
            out << '\n';
            history.print(out);
        }
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
        request.set_commit(policy::bundle::checked_out_commit(directory));
        const fs::path signature = fs::path{directory} / policy::bundle::kSignatureFile;
        if (auto content = read_file(signature)) {
            v1::BundleFile& added = *request.add_files();
            added.set_path(std::string{policy::bundle::kSignatureFile});
            added.set_content(*std::move(content));
        }
        const auto status = context.client().call<v1::BundleStatus>("PUT", "/v1/bundle", request);
        if (!status) return fail_with(context, "policy apply", status.error());
        print_status(context, *status);
        return kOk;
    }
};

// Back to what was in force before.
struct Rollback : Verb {
    std::uint32_t generation = 0;

    void flags(Flags& flags) override {
        flags.number("--to", generation,
                     "The generation; the latest with another content if not given");
    }
    int run(Context& context) override {
        v1::RollbackBundleRequest request;
        request.set_generation(generation);
        const auto status =
            context.client().call<v1::BundleStatus>("POST", "/v1/bundle:rollback", request);
        if (!status) return fail_with(context, "policy rollback", status.error());
        print_status(context, *status);
        return kOk;
    }
};

}  // namespace

std::span<const VerbEntry> policy_bundle_verbs() {
    static constexpr std::array<VerbEntry, 3> kVerbs{
        {{"policy apply", "Put a bundle in force", make_verb<Apply>},
         {"policy status", "Show the bundle that is in force, and those before it",
          make_verb<Status>},
         {"policy rollback", "Put an earlier bundle in force again", make_verb<Rollback>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

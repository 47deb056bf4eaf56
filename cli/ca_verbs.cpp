// SPDX-License-Identifier: Apache-2.0
// The certificate authority, and the host's trust in it.
#include "cli/output.h"
#include "userspace/authority/trust_store.h"
#include "userspace/base/file.h"
#include "userspace/control/tag.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

int print_ca(Context& context, const control::Answer<v1::CaInfo>& ca) {
    if (!ca) return fail_with(context, "ca", ca.error());
    print(context, *ca, [&](std::ostream& out) {
        Table table{{"SUBJECT", ca->subject()}};
        table.row({"sha-256", ca->fingerprint()})
            .row({"valid until", local_time(ca->not_after())})
            .row({"trusted by agents", ca->trust_path()});
        table.print(out);
        out << '\n' << ca->certificate();
    });
    return kOk;
}

struct CaShow : Verb {
    int run(Context& context) override {
        return print_ca(context, context.client().call<v1::CaInfo>("GET", "/v1/ca"));
    }
};

struct CaRotate : Verb {
    int run(Context& context) override {
        return print_ca(context, context.client().call<v1::CaInfo>("POST", "/v1/ca:rotate"));
    }
};

// Where a distribution wants authorities of the host's own, and what takes them into its stores.
struct Anchors {
    const char* folder;
    std::vector<const char*> command;
};

const std::array<Anchors, 3>& known_anchors() {
    static const std::array<Anchors, 3> kAll{{
        {"/usr/local/share/ca-certificates", {"/usr/sbin/update-ca-certificates"}},
        {"/etc/pki/ca-trust/source/anchors", {"/usr/bin/update-ca-trust", "extract"}},
        {"/etc/pki/trust/anchors", {"/usr/sbin/update-ca-certificates"}},
    }};
    return kAll;
}

const Anchors* anchors_here() {
    std::error_code error;
    for (const Anchors& anchors : known_anchors())
        if (fs::is_directory(anchors.folder, error) && ::access(anchors.command[0], X_OK) == 0)
            return &anchors;
    return nullptr;
}

Result<> run_command(const std::vector<const char*>& command) {
    std::vector<char*> argv;
    for (const char* word : command) argv.push_back(const_cast<char*>(word));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    const int failed = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return system_error(std::string{"run "} + argv[0], failed);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return fail(Errc::System, std::string{argv[0]} + " failed");
}

// For services that are adopted where they run, outside of `chaperone run`.
struct CaTrust : Verb {
    bool remove = false;

    void flags(Flags& flags) override {
        flags.toggle("--remove", remove, "Take our certificates out again");
    }

    int run(Context& context) override {
        const Anchors* anchors = anchors_here();
        if (anchors == nullptr)
            return fail_with(context, "ca trust",
                             Error{Errc::Unsupported,
                                   "this host has neither "
                                   "update-ca-certificates nor "
                                   "update-ca-trust"});
        std::error_code error;
        const fs::path root = fs::canonical(context.root, error);
        if (error)
            return fail_with(context, "root " + context.root.string(),
                             Error{Errc::NotFound, error.message()});
        const std::string tag = control::tag_of(root);
        const std::string stem = "chaperone" + (tag.empty() ? "" : "-" + tag) + "-ca-";
        std::vector<std::pair<std::string, std::string>> ours;
        if (!remove) {
            const auto ca = context.client().call<v1::CaInfo>("GET", "/v1/ca");
            if (!ca) return fail_with(context, "ca trust", ca.error());
            const auto bundle = read_file(ca->bundle_path());
            if (!bundle) return fail_with(context, "ca trust", bundle.error());
            auto each = authority::hashed_names(*bundle);
            if (!each) return fail_with(context, "ca trust", each.error());
            ours = *std::move(each);
        }
        if (auto written = replace(anchors->folder, stem, ours); !written)
            return fail_with(context, "ca trust", written.error());
        if (auto updated = run_command(anchors->command); !updated)
            return fail_with(context, "ca trust", updated.error());
        if (context.output == Output::Table)
            context.out << (remove ? "the system does not trust our certificates any more\n"
                                   : "the system trusts our certificates; services trust them "
                                     "when they are started anew\n");
        return kOk;
    }

private:
    static Result<> replace(const fs::path& folder, const std::string& stem,
                            const std::vector<std::pair<std::string, std::string>>& ours) {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator{folder, error})
            if (entry.path().filename().string().starts_with(stem)) fs::remove(entry.path(), error);
        if (error) return system_error("write to " + folder.string(), error.value());
        for (const auto& [hash, pem] : ours)
            if (auto put = write_file(folder / (stem + hash + ".crt"), pem, 0644); !put) return put;
        return {};
    }
};

}  // namespace

std::span<const VerbEntry> ca_verbs() {
    static constexpr std::array<VerbEntry, 3> kVerbs{
        {{"ca show", "Show the certificate authority", make_verb<CaShow>},
         {"ca rotate", "Make a new one; the old stays trusted", make_verb<CaRotate>},
         {"ca trust", "Have the host trust it, for adopted services", make_verb<CaTrust>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

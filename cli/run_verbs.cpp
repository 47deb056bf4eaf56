// SPDX-License-Identifier: Apache-2.0
// `chaperone run`: an agent in its own governed cgroup, with our CA to trust and without what it
// must not have.
#include "cli/output.h"
#include "cli/terminal.h"
#include "userspace/base/file.h"
#include "userspace/control/host_checks.h"
#include "userspace/control/http.h"
#include "userspace/control/tag.h"
#include "userspace/launch/launch.h"
#include "userspace/launch/trust.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <map>
#include <ostream>

namespace chaperone::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxToken = 16 * 1024 + 16;
constexpr Duration kReportPatience = std::chrono::seconds{5};

// A process's name is any bytes; the API takes text.
std::string plain(std::string text) {
    for (char& c : text)
        if (c < ' ' || c > '~') c = '?';
    return text;
}

// Unix sockets through which others act for who calls them. The kernel closes all but what policy
// opens; where it cannot (before Linux 6.7, and without the BPF LSM), these are hidden.
std::vector<fs::path> helpful_doors() {
    return {"/run/docker.sock",
            "/run/docker",
            "/run/containerd",
            "/run/crio",
            "/run/podman",
            "/run/libvirt",
            "/run/dbus",
            "/run/user",
            "/run/systemd/private",
            "/run/systemd/resolve/io.systemd.Resolve",
            "/run/systemd/userdb",
            "/run/systemd/machine",
            "/run/avahi-daemon",
            "/run/nscd",
            "/run/snapd.socket",
            "/run/postgresql",
            "/run/mysqld",
            "/run/redis",
            "/run/cups",
            "/tmp/.X11-unix",
            "/tmp/.ICE-unix"};
}

bool kernel_closes_doors() {
    utsname name{};
    ::uname(&name);
    return control::kernel_at_least(name.release, 6, 7) ||
           read_file("/sys/kernel/security/lsm", 4096).value_or("").contains("bpf");
}

// What the agent must not read even where it runs as root. As a whole: what covers a file goes when
// the daemon puts another in its place.
std::vector<fs::path> closed_to_agents(const fs::path& root) {
    return {root / "var/lib/chaperone"};
}

// What it must not call.
std::vector<fs::path> hidden_from_agents(const fs::path& root) {
    std::vector<fs::path> hidden{root / "run/chaperone/api.sock"};
    if (kernel_closes_doors()) return hidden;
    for (fs::path& door : helpful_doors()) hidden.push_back(std::move(door));
    return hidden;
}

std::map<std::string, std::string> own_environment() {
    std::map<std::string, std::string> out;
    for (char** at = environ; *at != nullptr; ++at) {
        const std::string_view entry{*at};
        const auto equals = entry.find('=');
        if (equals != entry.npos) out.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
    return out;
}

// Who called sudo, by number; empty: nobody did. Only root may say so: to others it is their own
// word in their own environment.
std::string sudo_user() {
    const char* uid = std::getenv("SUDO_UID");
    return uid != nullptr && ::getuid() == 0 ? uid : "";
}

struct Run : Verb {
    std::string workload{}, token_file{}, user{};

    void flags(Flags& flags) override {
        flags.text("-w,--workload", workload, "The workload that the agent is", true);
        flags.text("--token-file", token_file,
                   "The agent's token; - for standard input. A file is read again when the token "
                   "has expired");
        flags.text("-u,--user", user,
                   "The user that the agent runs as; who called sudo, or else the caller, if not "
                   "given");
    }

    int run(Context& context) override {
        if (context.rest.empty()) {
            context.err << "chaperone: run: no command is given; write it after --\n";
            return kUsage;
        }
        std::error_code error;
        const fs::path root = fs::canonical(context.root, error);
        if (error)
            return fail_with(context, "root " + context.root.string(),
                             Error{Errc::NotFound, error.message()});
        const auto ca = context.client().call<v1::CaInfo>("GET", "/v1/ca");
        if (!ca) return fail_with(context, "run", ca.error());

        v1::BindWorkloadRequest request;
        if (auto read = read_token(context, request); !read)
            return fail_with(context, "the token", read.error());
        launch::LaunchOptions options{
            .command = context.rest,
            .workload = workload,
            .tag = control::tag_of(root),
            .unset = {"CHAPERONE_ROOT", "CREDENTIALS_DIRECTORY"},
            .hidden = hidden_from_agents(root),
            .closed = closed_to_agents(root),
            .read_only = {root / "etc/chaperone", root / "run/chaperone"}};
        if (user.empty()) user = sudo_user();
        if (!user.empty()) {
            auto found = launch::find_user(user);
            if (!found) return fail_with(context, "user " + user, found.error());
            options.user = *std::move(found);
        }
        trust(*ca, options);
        bool unreachable = false;
        options.bind = [&](const launch::Cgroup& cgroup, pid_t pid) {
            return bind(context, request, cgroup, pid, options, unreachable);
        };
        options.attempts = [&](const launch::Cgroup& cgroup, const auto& attempts,
                               const std::string& why_not) {
            return report(context, cgroup, attempts, why_not);
        };
        const auto status = launch::run(options);
        if (status) return *status;
        fail_with(context, "run " + workload, status.error());
        return unreachable ? kDaemonUnreachable : kFoundSomething;
    }

private:
    static void trust(const v1::CaInfo& ca, launch::LaunchOptions& options) {
        const auto environment = own_environment();
        const auto home = environment.find("HOME");
        fs::path folder = home == environment.end() ? fs::path{} : fs::path{home->second};
        if (options.user) folder = options.user->home;
        const launch::TrustStores stores{.bundle = ca.bundle_path(),
                                         .file = ca.trust_path(),
                                         .folder = ca.trust_folder(),
                                         .java = ca.trust_java()};
        launch::Trust found = launch::find_trust(stores, environment, folder);
        options.environment = std::move(found.environment);
        options.binds = std::move(found.binds);
    }

    Result<> read_token(Context& context, v1::BindWorkloadRequest& request) const {
        if (token_file.empty()) return {};
        if (token_file == "-") {
            auto token = read_secret(context, "the token");
            if (!token) return fail(token.error());
            request.set_token(std::string{token->expose()});
            return {};
        }
        auto text = read_file(token_file, kMaxToken);
        if (!text) return fail(text.error());
        request.set_token(*std::move(text));
        request.set_token_file(fs::absolute(token_file).string());
        return {};
    }

    // Called on a thread of its own, also while the agent is being cleared away.
    Result<> report(const Context& context, const launch::Cgroup& cgroup,
                    const std::vector<launch::Attempt>& attempts,
                    const std::string& why_not) const {
        v1::ReportAttemptsRequest request;
        request.set_cgroup(cgroup.path.string());
        request.set_cgroup_id(cgroup.id);
        request.set_unrecorded(why_not);
        for (const launch::Attempt& attempt : attempts) {
            v1::Attempt& told = *request.add_attempts();
            told.set_call(attempt.call);
            told.set_error(attempt.error);
            told.set_pid(static_cast<std::uint32_t>(attempt.pid));
            told.set_uid(attempt.uid);
            told.set_comm(plain(attempt.comm));
            told.set_count(attempt.count);
            const auto time = attempt.time.time_since_epoch();
            const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
            told.mutable_time()->set_seconds(seconds.count());
            told.mutable_time()->set_nanos(
                static_cast<std::int32_t>(std::chrono::nanoseconds{time - seconds}.count()));
        }
        control::Client client{context.root, kReportPatience};
        const auto done = client.call<v1::Empty>(
            "POST", "/v1/workloads/" + control::escape(workload) + ":report", request);
        return done ? Result<>{} : fail(done.error().error);
    }

    Result<> bind(Context& context, v1::BindWorkloadRequest& request, const launch::Cgroup& cgroup,
                  pid_t pid, const launch::LaunchOptions& options, bool& unreachable) const {
        request.set_cgroup(cgroup.path.string());
        request.set_pid(static_cast<std::uint32_t>(pid));
        if (options.user) request.set_uid(options.user->uid);
        const auto bound = context.client().call<v1::BindWorkloadResponse>(
            "POST", "/v1/workloads/" + control::escape(workload) + ":bind", request);
        if (bound) return {};
        unreachable = bound.error().unreachable;
        return fail(bound.error().error);
    }
};

}  // namespace

std::span<const VerbEntry> run_verbs() {
    static constexpr std::array<VerbEntry, 1> kVerbs{
        {{"run", "Run an agent: chaperone run --workload NAME -- COMMAND …", make_verb<Run>}}};
    return kVerbs;
}

}  // namespace chaperone::cli

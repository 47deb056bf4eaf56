// SPDX-License-Identifier: Apache-2.0
// The start of the daemon as a list: what is done, in which order, and what to do where it fails.
// Nothing governed passes before the last step; before that connections are refused by the kernel.
#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/control/server.h"
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/ca_token.h"
#include "userspace/daemon/https_get.h"
#include "userspace/daemon/instance.h"
#include "userspace/daemon/notify.h"
#include "userspace/daemon/self_service.h"
#include "userspace/daemon/trust.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sstream>
#include <thread>

namespace chaperone::daemon {
namespace {

record::Sync sync_of(JournalSync sync) {
    switch (sync) {
    case JournalSync::Never: return record::Sync::Never;
    case JournalSync::Interval: return record::Sync::Interval;
    case JournalSync::Always: return record::Sync::Always;
    }
    return record::Sync::Always;
}

// The key of pseudonyms: the same text gets the same pseudonym for as long as this file stays.
Result<Buffer> pseudonym_key(const std::filesystem::path& file) {
    if (const auto text = read_file(file, 32); text && text->size() == 32)
        return copy(as_bytes(*text));
    else if (!text && text.error().code != Errc::NotFound)
        return fail(text.error());
    std::string key(32, '\0');
    if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
        return system_error("get random bytes", errno);
    if (auto written = write_file(file, key, 0600); !written) return fail(written.error());
    return copy(as_bytes(key));
}

// A port outside of the range from which the kernel gives ports to others, so that nobody takes it
// while the daemon is away.
constexpr std::uint16_t kFirstPort = 15'400;
constexpr int kPortsTried = 200;

std::uint16_t remembered_port(const std::filesystem::path& file) {
    const auto text = read_file(file, 16);
    std::uint16_t port = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), port);
    return port;
}

}  // namespace

struct Steps {
    Instance& it;

    Result<> directories() { return make_directories(it.paths); }

    Result<> lock() {
        const auto file = it.paths.run / "daemon.lock";
        it.lock = UniqueFd{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        if (!it.lock) return system_error("open " + file.string(), errno);
        if (::flock(it.lock.get(), LOCK_EX | LOCK_NB) != 0)
            return fail(Errc::Unavailable, "another chaperoned runs for this root");
        return {};
    }

    Result<> bundle() {
        auto opened = BundleKeeper::open(bundle_places(it.paths, it.config()));
        if (!opened) return fail(opened.error());
        it.bundles = *std::move(opened);
        return {};
    }

    Result<> secrets() {
        it.secrets = std::make_unique<credential::SecretStore>(
            credential::SecretStore::from_environment(it.paths.state));
        auto names = it.secrets->list();
        if (!names) return fail(names.error());
        return {};
    }

    Result<> authority() {
        auto token = open_ca_token(it.config().ca);
        if (!token) return fail(token.error());
        auto made = authority::Authority::load_or_create(it.paths.ca, now(), *std::move(token));
        if (!made) return fail(made.error());
        it.authority = *std::move(made);
        return write_trust(it.paths, *it.authority);
    }

    Result<> journal() {
        const JournalConfig config = it.config().journal;
        auto opened = record::Writer::open({.state = it.paths.state,
                                            .sync = sync_of(config.sync),
                                            .segment_size = config.segment_size,
                                            .checkpoint_entries = config.checkpoint_entries,
                                            .checkpoint_interval = config.interval});
        if (!opened) return fail(opened.error());
        it.journal = *std::move(opened);
        auto index = record::Index::open(it.paths.state / "index.db");
        if (!index) return fail(index.error());
        it.index = *std::move(index);
        it.feed = std::make_unique<record::Feed>(*it.journal);
        it.approvals = std::make_unique<net::Approvals>(*it.journal);
        return it.note(record::AdminEntry::DAEMON_START, nullptr, it.bundles->bundle()->digest());
    }

    Result<> identities() {
        it.identities = std::make_unique<Identities>(
            it.bundles->bundle(),
            [](const std::string& url, const std::string& ca) { return https_get(url, ca); });
        return {};
    }

    Result<> kernel() {
        auto core = kernel::prepare_core_cgroup(it.paths.tag);
        if (!core) return fail(core.error());
        it.core = *std::move(core);
        auto opened = kernel::Redirector::open({.pin_dir = kernel::pin_dir_for(it.paths.tag),
                                                .core_cgroup = it.core->fd.get(),
                                                .dns = mode_of(it.config().agents.dns)});
        if (!opened) return fail(opened.error());
        it.redirector = *std::move(opened);
        auto mount = kernel::find_cgroup2();
        if (!mount) return fail(mount.error());
        it.workloads = std::make_unique<Workloads>(*it.redirector, *std::move(mount));
        it.verdicts = std::make_unique<Verdicts>(*it.redirector);
        it.inbound = std::make_unique<Inbound>(*it.redirector);
        it.workloads->repair();
        return {};
    }

    Result<> proxy() {
        const Config config = it.config();
        auto key = pseudonym_key(it.paths.state / "pseudonym.key");
        if (!key) return fail(key.error());
        net::Options options{.port = config.listen.port,
                             .threads = config.listen.threads,
                             .max_sessions = config.limits.max_sessions,
                             .max_sessions_per_workload = config.limits.max_sessions_per_workload,
                             .max_statement = config.limits.max_statement,
                             .max_message = config.limits.max_message,
                             .connect_timeout = config.limits.connect_timeout,
                             .login_timeout = config.limits.login_timeout,
                             .http_idle_timeout = config.limits.http_idle_timeout,
                             .http_reuse_idle = config.limits.http_reuse_idle,
                             .pseudonym_key = *std::move(key),
                             .dns = {.enabled = true,
                                     .servers = config.resolver.servers,
                                     .timeout = config.resolver.timeout,
                                     .names_file = it.paths.state / "names"}};
        it.kept = notify::kept();
        for (const notify::Kept& one : it.kept) options.kept.push_back(one.socket.get());
        if (options.threads == 0)
            options.threads = std::max(1U, std::thread::hardware_concurrency());
        const auto file = it.paths.state / "port";
        const std::uint16_t before = remembered_port(file);
        if (options.port == 0) options.port = before != 0 ? before : kFirstPort;
        auto made = make_proxy(options);
        for (int i = 1; !made && config.listen.port == 0 && i < kPortsTried; ++i) {
            options.port = static_cast<std::uint16_t>(kFirstPort + i);
            made = make_proxy(options);
        }
        if (!made) return fail(made.error());
        it.proxy = *std::move(made);
        it.verdicts->know(it.proxy->names());
        it.proxy->resolve_names(config.agents.dns == Dns::Resolve);
        if (it.proxy->port() != before)
            if (auto noted = write_file(file, std::to_string(it.proxy->port())); !noted)
                return noted;
        notify::keep("proxy", it.proxy->listeners());
        return it.proxy->start();
    }

    Result<std::unique_ptr<net::Proxy>> make_proxy(const net::Options& options) {
        return net::Proxy::create(
            options,
            {.origin = [&i = it](int accepted) { return i.origin_of(accepted); },
             .datagram_origin =
                 [&i = it](std::uint64_t netns, const sockaddr_storage& from,
                           const sockaddr_storage& to) { return i.origin_of(netns, from, to); },
             .identity = [&i =
                              it](const std::string& name) { return i.identities->identity(name); },
             .listening = [&i = it](
                              const std::string& address,
                              std::uint16_t port) { return i.inbound->listening(address, port); },
             .learned =
                 [&i = it](const std::string& workload, const std::string& address) {
                     return i.verdicts->learned(workload, address);
                 },
             .reach =
                 [&i = it](int socket, const net::Listening& listener) {
                     return i.inbound->reach(socket, listener);
                 },
             .journal = it.journal.get(),
             .approvals = it.approvals.get(),
             .secrets = it.secrets.get(),
             .authority = it.authority.get(),
             .desk = make_self_service(it)},
            it.bundles->bundle());
    }

    Result<> open_gates() {
        const std::uint16_t port = it.proxy->port();
        return it.redirector->set_proxy({.tcp4 = port, .tcp6 = port, .dns4 = port, .dns6 = port});
    }

    Result<> workloads() {
        it.namespaces = std::make_unique<Namespaces>(
            *it.redirector, *it.proxy,
            [&i = it] {
                std::vector<std::filesystem::path> cgroups;
                if (const auto governed = i.workloads->list())
                    for (const GovernedCgroup& one : *governed)
                        if (!one.path.empty()) cgroups.emplace_back(one.path);
                return cgroups;
            },
            std::move(it.kept));
        auto watch = KernelWatch::start(
            {.redirector = &*it.redirector,
             .journal = it.journal.get(),
             .bundle = [&i = it] { return i.bundles->bundle(); },
             .identity = [&i =
                              it](const std::string& name) { return i.identities->identity(name); },
             .names =
                 [&i = it](const std::string& workload, const std::string& address) {
                     return i.proxy->names().of(workload, address, net::Names::Clock::now());
                 },
             .lets = [&i = it](const kernel::Direct& direct) { return i.verdicts->lets(direct); },
             .meet = [&i = it](pid_t thread) { i.namespaces->meet(thread); },
             .port =
                 [&i = it, may = may_enter_namespaces()] {
                     return may && i.namespaces->has_room() ? i.proxy->port() : std::uint16_t{0};
                 },
             .turn_away = [&i = it](const kernel::Denial& denial) { i.inbound->turn_away(denial); },
             .inside =
                 [&i = it](std::uint64_t netns, const std::function<Result<>()>& run) {
                     return i.namespaces->inside(netns, run);
                 }});
        if (!watch) return fail(watch.error());
        it.watch = *std::move(watch);
        it.follow();
        it.namespaces->look();
        it.housekeeper_ = std::thread{[&i = it] { i.keep_house(); }};
        it.indexer_ = std::thread{[&i = it] { i.keep_index(); }};
        return {};
    }

    Result<> api() {
        it.service = std::make_unique<ApiService>(it);
        auto started = control::Server::start(
            {.socket = it.paths.socket,
             .operators_group = it.config().operators.group,
             .is_governed = [&i = it](pid_t pid) { return i.workloads->is_governed(pid); },
             .refused =
                 [&i = it](const control::Caller& caller, const control::HttpRequest& request) {
                     i.note_refused(caller, request);
                 }},
            *it.service);
        if (!started) return fail(started.error());
        it.server = *std::move(started);
        return {};
    }
};

Result<> Instance::start() {
    struct Step {
        std::string_view what;
        Result<> (Steps::*run)();
        std::string_view remedy;
    };
    static constexpr Step kSteps[] = {
        {"make the state directories", &Steps::directories,
         "run chaperoned as root, on a file system that can be written"},
        {"take the lock", &Steps::lock, "stop the other daemon, or give this one another --root"},
        {"check the bundle", &Steps::bundle,
         "correct the files, and try `chaperone policy check` on them"},
        {"open the secrets", &Steps::secrets, "see the permissions of the state directory"},
        {"open the certificate authority", &Steps::authority,
         "see `ca` in the state directory and in the configuration; a lost CA is made anew where "
         "that folder is empty"},
        {"open the journal", &Steps::journal,
         "see `chaperone journal verify`, and the disk's free space"},
        {"read the identity providers", &Steps::identities, "see `chaperone doctor`"},
        {"load the kernel's hooks", &Steps::kernel, "see `chaperone doctor`"},
        {"listen for governed connections", &Steps::proxy,
         "set listen.port to a port that is free on 127.0.0.1 and ::1"},
        {"send governed connections to the proxy", &Steps::open_gates, "see `chaperone doctor`"},
        {"govern what the bundle matches", &Steps::workloads, "see `chaperone workload list`"},
        {"listen on the API socket", &Steps::api, "see the permissions of the run directory"},
    };
    Steps steps{*this};
    for (const Step& step : kSteps) {
        auto done = (steps.*step.run)();
        if (done) continue;
        std::ostringstream text;
        text << step.what << ": " << done.error().message() << "\n  what to do: " << step.remedy;
        return fail(done.error().code, text.str());
    }
    return {};
}

}  // namespace chaperone::daemon

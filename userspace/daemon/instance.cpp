// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/instance.h"

#include "userspace/base/file.h"
#include "userspace/base/idle_time.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/control/caller.h"
#include "userspace/control/http.h"
#include "userspace/control/server.h"
#include "userspace/control/service.h"
#include "userspace/daemon/logging.h"
#include "userspace/daemon/lost_sessions.h"
#include "userspace/daemon/notify.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <set>

namespace chaperone::daemon {
namespace {

constexpr Duration kLookAtCgroups = std::chrono::milliseconds{250};
constexpr Duration kLookAtNamespaces = std::chrono::seconds{1};
constexpr Duration kVerifyHooks = std::chrono::seconds{10};
constexpr Duration kIndex = std::chrono::seconds{2};
// An answer to an operator waits at most for this many.
constexpr std::size_t kIndexAtATime = 2000;
// Entries. Whoever asks waits until they are taken up: a second or two.
constexpr std::uint64_t kIndexMayLag = 300'000;

}  // namespace

kernel::DnsMode mode_of(Dns dns) {
    switch (dns) {
    case Dns::Deny: return kernel::DnsMode::Deny;
    case Dns::Direct: return kernel::DnsMode::Direct;
    case Dns::Resolve: return kernel::DnsMode::Redirect;
    }
    return kernel::DnsMode::Deny;
}

namespace {

// What of the end takes long is told: a service manager kills what does not end in time.
class Ending {
public:
    void done(const char* what) {
        const auto now = Clock::now();
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(now - since_);
        since_ = now;
        if (took >= kLong)
            log::warning("stopping takes long", {{"step", what}, {"milliseconds", took.count()}});
    }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr auto kLong = std::chrono::seconds{1};
    Clock::time_point since_ = Clock::now();
};

}  // namespace

Instance::Instance(Paths p, Config config) : paths(std::move(p)), config_(std::move(config)) {}

// Whatever the load of the machine: what could wait for long, the index, gives up. It is a cache.
Instance::~Instance() {
    Ending ending;
    if (index) index->stop();
    server.reset();
    ending.done("the API");
    {
        const std::lock_guard lock{mutex_};
        stop_ = true;
    }
    stopping_.notify_all();
    if (housekeeper_.joinable()) housekeeper_.join();
    ending.done("the housekeeper");
    if (indexer_.joinable()) indexer_.join();
    ending.done("the index");
    watch.reset();
    namespaces.reset();
    ending.done("the kernel's watch");
    service.reset();
    proxy.reset();
    ending.done("the proxy");
    feed.reset();
    if (journal) {
        (void)note(record::AdminEntry::DAEMON_STOP, nullptr, {});
        if (auto closed = journal->close(); !closed)
            log::error("the journal could not be closed in order",
                       {{"error", closed.error().message()}});
        ending.done("the journal");
    }
}

Result<net::Origin> Instance::origin_of(int accepted) const {
    return as_seen(redirector->origin(accepted));
}

Result<net::Origin> Instance::origin_of(std::uint64_t netns, const sockaddr_storage& from,
                                        const sockaddr_storage& to) const {
    const auto sender = kernel::from_sockaddr(from), receiver = kernel::from_sockaddr(to);
    if (!sender || !receiver) return fail(Errc::Invalid, "not an internet socket");
    return as_seen(redirector->datagram_origin(netns, *sender, *receiver));
}

Result<net::Origin> Instance::as_seen(Result<kernel::Origin> origin) const {
    if (!origin) return fail(origin.error());
    net::Origin out{
        .workload = origin->workload.name,
        .cgroup = origin->workload.cgroup_id,
        .pid = origin->pid,
        .uid = origin->uid,
        .comm = std::move(origin->comm),
        .destination = {.address = origin->destination.host(), .port = origin->destination.port}};
    const auto bundle = bundles->bundle();
    if (const auto* workload = bundle->workload(out.workload))
        out.labels = workload->metadata.labels;
    return out;
}

Result<> Instance::note(record::AdminEntry::Action action, const control::Caller* by,
                        std::string object, std::string detail, bool refused) {
    record::Entry entry;
    entry.set_time(now().time_since_epoch().count());
    auto& admin = *entry.mutable_admin();
    admin.set_action(action);
    admin.set_by(by != nullptr ? by->user : "chaperoned");
    admin.set_by_uid(by != nullptr ? by->uid : 0);
    admin.set_object(std::move(object));
    admin.set_detail(std::move(detail));
    admin.set_refused(refused);
    auto written = journal->append(entry);
    if (!written) return fail(written.error());
    return {};
}

void Instance::apply_bundle() {
    const auto bundle = bundles->bundle();
    identities->set_bundle(bundle);
    proxy->set_bundle(bundle);
    follow();
}

void Instance::follow() {
    const auto bundle = bundles->bundle();
    workloads->follow(*bundle);
    const auto identity_of = [this](const std::string& name) { return identities->identity(name); };
    if (verdicts->follow(bundle, identity_of) && watch) watch->verdicts_changed();
}

void Instance::settle() {
    const auto identity_of = [this](const std::string& name) { return identities->identity(name); };
    if (verdicts->follow(bundles->bundle(), identity_of)) watch->verdicts_changed();
    namespaces->look();
}

std::vector<net::SessionSnapshot> Instance::open_sessions() const {
    auto all = proxy->sessions();
    for (net::SessionSnapshot& one : watch->sessions()) all.push_back(std::move(one));
    return all;
}

void Instance::reload() {
    notify::reloading();
    if (auto fresh = read_config(paths.config); fresh) {
        start_logging(fresh->log);
        server->set_operators_group(fresh->operators.group);
        proxy->resolve_names(fresh->agents.dns == Dns::Resolve);
        if (auto set = redirector->set_dns(mode_of(fresh->agents.dns)); !set)
            log::error("agents' name resolution could not be changed",
                       {{"error", set.error().message()}});
        bundles->set_signers(bundle_places(paths, *fresh).signers);
        config_.with([&](Config& config) { config = *std::move(fresh); });
    } else {
        log::error("the configuration is refused; the old one stays in force",
                   {{"file", paths.config.string()}, {"error", fresh.error().detail}});
    }
    const std::string before = bundles->bundle()->digest();
    if (auto bundle = bundles->reload(); bundle) {
        (void)note(record::AdminEntry::BUNDLE_APPLIED, nullptr, (*bundle)->digest(),
                   "reload; before: " + before);
        apply_bundle();
        log::info("the bundle is in force", {{"bundle_digest", (*bundle)->digest()}});
    } else {
        (void)note(record::AdminEntry::BUNDLE_REFUSED, nullptr, before, bundle.error().detail,
                   true);
        log::error("the bundle is refused; the old one stays in force",
                   {{"bundle_digest", before}, {"error", bundle.error().detail}});
    }
    notify::ready("running");
}

void Instance::drain() {
    draining = true;
    notify::stopping();
    proxy->drain(config().limits.drain);
}

// The index is a cache: what agents wait for goes before it, as long as it does not lag behind.
void Instance::keep_index() {
    ::pthread_setname_np(::pthread_self(), "index");
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
    if (!IdleTime::may())
        log::info("the index takes time from sessions: the daemon may not use idle time",
                  {{"needs", "LimitNICE=+19, and the system call sched_setscheduler"}});
    const std::uint64_t former = journal->position().size;  // entries, what other daemons left
    bool closed = false;                                    // it is
    std::unique_lock lock{mutex_};
    while (!stopping_.wait_for(lock, kIndex, [&] { return stop_; })) {
        lock.unlock();
        Result<bool> more = true;
        while (more && *more && !draining) {
            more = index->catch_up_some(journal->journal(), kIndexAtATime, pace(former));
            if (more && !closed && index->next() >= former) closed = close_lost();
        }
        if (!more && !draining)
            log::error("the index of the journal is behind", {{"error", more.error().message()}});
        lock.lock();
    }
}

record::Index::Pace Instance::pace(std::uint64_t former) const {
    const std::uint64_t next = index->next();
    const bool behind = next < former || journal->position().size > next + kIndexMayLag;
    return behind ? record::Index::Pace::Even : record::Index::Pace::Idle;
}

// An agent at the API: what it asked for, without what may be its secret.
void Instance::note_refused(const control::Caller& caller,
                            const control::HttpRequest& request) const {
    std::string path;
    for (const std::string& segment : request.path) path += '/' + segment;
    constexpr std::size_t kMost = 200;
    kernel::Denial denial{.kind = kernel::Denial::Kind::Api,
                          .door = (request.method + ' ' + path).substr(0, kMost),
                          .pid = static_cast<std::uint32_t>(caller.pid),
                          .uid = caller.uid,
                          .time = now()};
    if (const auto workload = workloads->workload_of(caller.pid)) {
        denial.workload = workload->name;
        denial.cgroup_id = workload->cgroup_id;
    }
    if (auto comm = read_file("/proc/" + std::to_string(caller.pid) + "/comm", 64))
        denial.comm = comm->substr(0, comm->find('\n'));
    watch->report(std::move(denial));
}

// False: not yet.
bool Instance::close_lost() {
    std::set<std::string> living;
    for (const net::SessionSnapshot& one : open_sessions())
        if (one.facts) living.insert(one.facts->id);
    const auto lost = close_lost_sessions(*index, *journal, living);
    if (!lost) return false;
    if (*lost != 0) log::info("sessions of a former daemon are closed", {{"sessions", *lost}});
    return true;
}

void Instance::keep_house() {
    using Clock = std::chrono::steady_clock;
    auto verified = Clock::now(), looked = verified;
    std::unique_lock lock{mutex_};
    while (!stopping_.wait_for(lock, kLookAtCgroups, [&] { return stop_; })) {
        lock.unlock();
        approvals->with([](approval::ApprovalBook& book) { book.expire(steady_now()); });
        follow();
        const auto time = Clock::now();
        if (time - looked >= kLookAtNamespaces) {
            namespaces->look();
            looked = time;
        }
        if (time - verified >= kVerifyHooks) {
            workloads->repair();
            verified = time;
        }
        lock.lock();
    }
}

}  // namespace chaperone::daemon

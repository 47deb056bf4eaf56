// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/encoding.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/doctor.h"
#include "userspace/daemon/events.h"
#include "userspace/daemon/metrics.h"
#include "userspace/daemon/trust.h"
#include "userspace/daemon/version.h"
#include "userspace/record/prune.h"

#include <unistd.h>

namespace chaperone::daemon {

Result<v1::Status> ApiService::status(const Caller&) {
    v1::Status status;
    status.set_version(kVersion);
    status.set_state(it_.draining ? "draining" : "running");
    status.set_root(it_.paths.root.string());
    status.set_pid(static_cast<std::uint32_t>(::getpid()));
    set_time(*status.mutable_start_time(), it_.started);
    const auto bundle = it_.bundles->bundle();
    status.set_bundle(bundle->digest());
    status.set_workloads(static_cast<std::uint32_t>(bundle->workloads().size()));
    status.set_sessions(static_cast<std::uint32_t>(it_.proxy->counters().open));
    status.set_approvals(it_.approvals->with([](approval::ApprovalBook& book) {
        book.expire(steady_now());
        return static_cast<std::uint32_t>(book.list(approval::State::Pending).size());
    }));
    status.set_journal_entries(static_cast<double>(it_.journal->position().size));
    if (!it_.journal->writable())
        status.set_problem("the journal cannot be written: all traffic is refused");
    return status;
}

Result<v1::DoctorReport> ApiService::doctor(const Caller&) {
    return examine(it_);
}

std::string ApiService::metrics() {
    const net::Counters traffic = it_.proxy->counters();
    const auto value = [](std::uint64_t count) { return static_cast<double>(count); };
    MetricsText text;
    text.gauge("info", "The running version and bundle.")
        .sample(1, {{"version", kVersion}, {"bundle", it_.bundles->bundle()->digest()}});
    text.gauge("start_time_seconds", "When the daemon started, since 1970.")
        .sample(std::chrono::duration<double>(it_.started.time_since_epoch()).count());
    text.counter("sessions_total", "Connections of agents that were accepted.")
        .sample(value(traffic.accepted));
    text.gauge("sessions_open", "Sessions that are open now.").sample(value(traffic.open));
    text.counter("sessions_refused_total", "Sessions that were refused before they opened.")
        .sample(value(traffic.refused));
    text.counter("connections_without_origin_total",
                 "Connections to the proxy that are not a governed agent's.")
        .sample(value(traffic.without_origin));
    text.counter("requests_total", "Requests that were put to policy.")
        .sample(value(traffic.requests));
    text.counter("requests_denied_total", "Requests that were denied.")
        .sample(value(traffic.denied));
    text.counter("requests_held_total", "Requests that waited for a person.")
        .sample(value(traffic.held));
    text.counter("requests_unrecordable_total", "Requests refused as the journal failed.")
        .sample(value(traffic.unrecordable));
    text.counter("server_connections_reused_total",
                 "Connections to servers that a session has taken over from another.")
        .sample(value(traffic.reused));
    text.counter("shadow_requests_total",
                 "Requests on which rules in shadow mode would have acted, by their effect.")
        .sample(value(traffic.shadow_denied), {{"effect", "deny"}})
        .sample(value(traffic.shadow_held), {{"effect", "approve"}})
        .sample(value(traffic.shadow_allowed), {{"effect", "allow"}});
    const BundleKeeper::State bundle = it_.bundles->state();
    text.gauge("bundle_generation", "The number of the bundle in force.")
        .sample(value(bundle.generation.number));
    text.gauge("bundle_refused", "1 while the latest change of the bundle is refused.")
        .sample(bundle.error.empty() ? 0 : 1);
    text.counter("bundle_refused_total", "Changes of the bundle that were refused.")
        .sample(value(bundle.refused));
    text.gauge("approvals_pending", "Requests that wait for a person now.")
        .sample(it_.approvals->with([](approval::ApprovalBook& book) {
            return static_cast<double>(book.list(approval::State::Pending).size());
        }));
    text.gauge("journal_writable", "1 while the journal can be written.")
        .sample(it_.journal->writable() ? 1 : 0);
    text.counter("journal_entries", "Entries of the journal.")
        .sample(value(it_.journal->position().size));
    if (const auto kernel = it_.redirector->counters()) {
        text.counter("kernel_redirects_total", "Connects that the kernel sent to the proxy.")
            .sample(value(kernel->redirects));
        text.counter("kernel_refused_total", "What the kernel refused governed processes.")
            .sample(value(kernel->refused_connects), {{"what", "connect"}})
            .sample(value(kernel->refused_sockets), {{"what", "socket"}})
            .sample(value(kernel->refused_datagrams), {{"what", "datagram"}})
            .sample(value(kernel->refused_binds), {{"what", "bind"}})
            .sample(value(kernel->refused_doors), {{"what", "unix-socket"}})
            .sample(value(kernel->refused_reaches), {{"what", "reach"}})
            .sample(value(kernel->refused_inbound), {{"what", "inbound"}})
            .sample(value(kernel->dropped_packets), {{"what", "packet"}});
        text.counter("kernel_let_total", "What went straight by the kernel's own verdict.")
            .sample(value(kernel->let_through), {{"what", "out"}})
            .sample(value(kernel->let_in), {{"what", "in"}});
        text.gauge("kernel_sessions_open", "Of those, connections and talks that are open now.")
            .sample(value(it_.watch->sessions().size()));
        text.counter("kernel_orphans_total", "Connects whose origin could not be kept.")
            .sample(value(kernel->orphans));
        text.counter("kernel_untold_total", "Refusals that the kernel had no room to tell of.")
            .sample(value(kernel->untold));
        text.counter("kernel_lost_ends_total",
                     "Connections by verdict whose end the kernel had no room to tell of.")
            .sample(value(kernel->lost_flows));
    }
    return text.take();
}

Result<v1::ListSecretsResponse> ApiService::list_secrets(const Caller&) {
    auto names = it_.secrets->list();
    if (!names) return fail(names.error());
    v1::ListSecretsResponse response;
    for (std::string& name : *names) response.add_secrets()->set_name(std::move(name));
    return response;
}

Result<v1::Empty> ApiService::set_secret(const v1::SetSecretRequest& request,
                                         const Caller& caller) {
    if (auto noted = it_.note(record::AdminEntry::SECRET_SET, &caller, request.name()); !noted)
        return fail(noted.error());
    if (auto set = it_.secrets->set(request.name(), Secret{request.value()}); !set)
        return fail(set.error());
    return v1::Empty{};
}

Result<v1::Empty> ApiService::remove_secret(const v1::SecretRequest& request,
                                            const Caller& caller) {
    if (auto noted = it_.note(record::AdminEntry::SECRET_REMOVED, &caller, request.name()); !noted)
        return fail(noted.error());
    if (auto removed = it_.secrets->remove(request.name()); !removed) return fail(removed.error());
    return v1::Empty{};
}

Result<v1::CaInfo> ApiService::show_ca(const Caller&) {
    v1::CaInfo info;
    info.set_subject(it_.authority->subject());
    info.set_fingerprint(it_.authority->fingerprint());
    set_time(*info.mutable_not_after(), it_.authority->not_after());
    info.set_certificate(it_.authority->certificate_pem());
    info.set_bundle_path(it_.paths.trust_ours.string());
    info.set_trust_path(it_.paths.trust.string());
    info.set_trust_java(it_.paths.trust_java.string());
    info.set_trust_folder(it_.paths.trust_folder.string());
    return info;
}

Result<v1::CaInfo> ApiService::rotate_ca(const Caller& caller) {
    if (auto noted =
            it_.note(record::AdminEntry::CA_ROTATED, &caller, it_.authority->fingerprint());
        !noted)
        return fail(noted.error());
    if (auto rotated = it_.authority->rotate(now()); !rotated) return fail(rotated.error());
    if (auto written = write_trust(it_.paths, *it_.authority); !written)
        return fail(written.error());
    return show_ca(caller);
}

Result<v1::PruneJournalResponse> ApiService::prune_journal(const v1::PruneJournalRequest& request,
                                                           const Caller& caller) {
    if (!request.has_before()) return fail(Errc::Invalid, "say before when");
    const Time before{std::chrono::seconds{request.before().seconds()}};
    if (auto noted = it_.note(record::AdminEntry::JOURNAL_PRUNED, &caller, to_rfc3339(before));
        !noted)
        return fail(noted.error());
    const auto pruned = record::prune(it_.paths.state, before, now());
    if (!pruned) return fail(pruned.error());
    v1::PruneJournalResponse response;
    response.set_segments(static_cast<double>(pruned->segments));
    response.set_bytes(static_cast<double>(pruned->bytes));
    response.set_first_kept(static_cast<double>(pruned->first_kept));
    return response;
}

}  // namespace chaperone::daemon

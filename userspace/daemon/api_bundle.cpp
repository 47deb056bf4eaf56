// SPDX-License-Identifier: Apache-2.0
// The API of the bundle in force: what it is, another one, an earlier one.
#include "userspace/base/log.h"
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/events.h"

#include <algorithm>

namespace chaperone::daemon {
namespace {

void fill(v1::BundleGeneration& to, const Generation& from) {
    to.set_generation(static_cast<double>(from.number));
    to.set_digest(from.digest);
    to.set_commit(from.commit);
    to.set_signer(from.signer);
    set_time(*to.mutable_load_time(), from.since);
}

}  // namespace

Result<v1::BundleStatus> ApiService::bundle_status(const Caller&) {
    const auto bundle = it_.bundles->bundle();
    const BundleKeeper::State state = it_.bundles->state();
    v1::BundleStatus status;
    status.set_digest(bundle->digest());
    set_time(*status.mutable_load_time(), state.generation.since);
    status.set_policies(static_cast<std::uint32_t>(bundle->policies().size()));
    status.set_resources(static_cast<std::uint32_t>(bundle->resources().size()));
    status.set_workloads(static_cast<std::uint32_t>(bundle->workloads().size()));
    std::size_t rules = 0;
    for (const auto& policy : bundle->policies()) rules += policy.rules.size();
    status.set_rules(static_cast<std::uint32_t>(rules));
    status.set_last_error(state.error);
    if (!state.error.empty()) set_time(*status.mutable_last_error_time(), state.error_time);
    status.set_generation(static_cast<double>(state.generation.number));
    status.set_commit(state.generation.commit);
    status.set_signer(state.generation.signer);
    status.set_refused(static_cast<double>(state.refused));
    for (auto one = state.history.rbegin(); one != state.history.rend(); ++one)
        fill(*status.add_history(), *one);
    return status;
}

// Notes the intention first: where it cannot be written, nothing changes.
Result<v1::BundleStatus> ApiService::change_bundle(const Caller& caller, const std::string& what,
                                                   const BundleChange& change) {
    const std::string before = it_.bundles->bundle()->digest();
    if (auto noted = it_.note(record::AdminEntry::OTHER, &caller, before, what); !noted)
        return fail(noted.error());
    auto changed = change(*it_.bundles);
    if (!changed) {
        (void)it_.note(record::AdminEntry::BUNDLE_REFUSED, &caller, before, changed.error().detail,
                       true);
        return fail(changed.error());
    }
    const auto& provenance = (*changed)->provenance();
    (void)it_.note(record::AdminEntry::BUNDLE_APPLIED, &caller, (*changed)->digest(),
                   what + "; generation " + std::to_string(provenance.generation) +
                       (provenance.commit.empty() ? "" : ", commit " + provenance.commit) +
                       "; before: " + before);
    it_.apply_bundle();
    log::info("the bundle is in force",
              {{"bundle_digest", (*changed)->digest()}, {"by", caller.user}});
    return bundle_status(caller);
}

Result<v1::BundleStatus> ApiService::apply_bundle(const v1::ApplyBundleRequest& request,
                                                  const Caller& caller) {
    BundleKeeper::Files files;
    for (const v1::BundleFile& file : request.files())
        files.push_back({.path = file.path(), .content = file.content()});
    if (files.empty()) return fail(Errc::Invalid, "a bundle without files would refuse everything");
    const bool commit = std::ranges::all_of(
        request.commit(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!commit || request.commit().size() > 64)
        return fail(Errc::Invalid, "a commit is hex digits, 64 at most");
    return change_bundle(caller, "policy apply", [&](BundleKeeper& keeper) {
        return keeper.apply(std::move(files), request.commit());
    });
}

Result<v1::BundleStatus> ApiService::roll_back_bundle(const v1::RollbackBundleRequest& request,
                                                      const Caller& caller) {
    const double wanted = request.generation();
    if (!(wanted >= 0 && wanted < 9e15)) return fail(Errc::Invalid, "no such generation");
    return change_bundle(caller, "policy rollback", [&](BundleKeeper& keeper) {
        return keeper.roll_back(static_cast<std::uint64_t>(wanted));
    });
}

}  // namespace chaperone::daemon

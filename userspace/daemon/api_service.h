// SPDX-License-Identifier: Apache-2.0
// The API over a running instance. One file a noun: api_sessions.cpp, api_approvals.cpp,
// api_workloads.cpp, api_attempts.cpp, api_bundle.cpp, api_admin.cpp. What changes something is in
// the journal before it is done.
#pragma once

#include "userspace/control/service.h"
#include "userspace/daemon/instance.h"

#include <functional>

namespace chaperone::daemon {

class ApiService final : public control::Service {
public:
    explicit ApiService(Instance& instance) : it_(instance) {}

    using Caller = control::Caller;
    using Stream = control::Stream;

    Result<v1::Status> status(const Caller&) override;
    Result<v1::DoctorReport> doctor(const Caller&) override;
    std::string metrics() override;

    Result<v1::ListSessionsResponse> list_sessions(const v1::ListSessionsRequest&,
                                                   const Caller&) override;
    Result<v1::Session> get_session(const v1::SessionRequest&, const Caller&) override;
    Result<v1::Empty> kill_session(const v1::SessionRequest&, const Caller&) override;
    Result<> replay_session(const v1::SessionRequest&, const Caller&, Stream&) override;
    Result<v1::Transcript> transcript(const v1::TranscriptRequest&, const Caller&) override;
    Result<> follow(const v1::FollowRequest&, const Caller&, Stream&) override;

    Result<v1::ListApprovalsResponse> list_approvals(const v1::ListApprovalsRequest&,
                                                     const Caller&) override;
    Result<v1::Approval> get_approval(const v1::ApprovalRequest&, const Caller&) override;
    Result<v1::Approval> grant_approval(const v1::DecideApprovalRequest&, const Caller&) override;
    Result<v1::Approval> refuse_approval(const v1::DecideApprovalRequest&, const Caller&) override;
    Result<v1::Approval> wait_approval(const v1::WaitApprovalRequest&, const Caller&) override;

    Result<v1::ListWorkloadsResponse> list_workloads(const Caller&) override;
    Result<v1::Workload> get_workload(const v1::WorkloadRequest&, const Caller&) override;
    Result<v1::Workload> add_workload(const v1::AddWorkloadRequest&, const Caller&) override;
    Result<v1::Empty> remove_workload(const v1::WorkloadRequest&, const Caller&) override;
    Result<v1::BindWorkloadResponse> bind_workload(const v1::BindWorkloadRequest&,
                                                   const Caller&) override;
    Result<v1::Empty> report_attempts(const v1::ReportAttemptsRequest&, const Caller&) override;

    Result<v1::BundleStatus> bundle_status(const Caller&) override;
    Result<v1::BundleStatus> apply_bundle(const v1::ApplyBundleRequest&, const Caller&) override;
    Result<v1::BundleStatus> roll_back_bundle(const v1::RollbackBundleRequest&,
                                              const Caller&) override;

    Result<v1::ListSecretsResponse> list_secrets(const Caller&) override;
    Result<v1::Empty> set_secret(const v1::SetSecretRequest&, const Caller&) override;
    Result<v1::Empty> remove_secret(const v1::SecretRequest&, const Caller&) override;

    Result<v1::CaInfo> show_ca(const Caller&) override;
    Result<v1::CaInfo> rotate_ca(const Caller&) override;

    Result<v1::PruneJournalResponse> prune_journal(const v1::PruneJournalRequest&,
                                                   const Caller&) override;

private:
    using BundleChange = std::function<Result<BundleKeeper::BundlePtr>(BundleKeeper&)>;
    Result<v1::BundleStatus> change_bundle(const Caller&, const std::string& what,
                                           const BundleChange& change);
    Result<> catch_up();
    // The one session with this id or beginning of an id.
    Result<std::string> full_id(const std::string& id);
    Result<std::vector<record::Stored>> entries_of(const std::string& id);
    Result<std::string> approval_id(const std::string& id, const Caller& caller);
    std::vector<v1::Workload> workloads();
    // Writes a vote, then casts it.
    Result<v1::Approval> decide(const v1::DecideApprovalRequest&, const Caller&, bool grant);

    Instance& it_;
};

}  // namespace chaperone::daemon

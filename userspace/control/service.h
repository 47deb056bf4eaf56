// SPDX-License-Identifier: Apache-2.0
// What the daemon answers, one method a call, without HTTP: the server calls it, daemon/ implements
// it, tests fake it. Called from several threads at once; a call may take its time, it has a thread
// of its own.
#pragma once

#include "userspace/base/error.h"
#include "userspace/control/caller.h"
#include "userspace/control/control.pb.h"

#include <functional>
#include <string>

namespace chaperone::control {

// Where a streaming call puts its messages. False: the reader is gone or the server stops; end.
class Stream {
public:
    virtual ~Stream() = default;
    virtual bool write(const google::protobuf::Message& message) = 0;
    // Whether anybody still reads; asked between messages by calls that wait.
    virtual bool open() = 0;
};

// Errors: NotFound, Invalid, Exists, Expired, Denied (the caller may not), Unavailable, and those
// of what is behind. Who may call what has been checked by the server (access.h); approvals look at
// the caller themselves.
class Service {
public:
    virtual ~Service() = default;

    virtual Result<v1::Status> status(const Caller&) = 0;
    virtual Result<v1::DoctorReport> doctor(const Caller&) = 0;
    virtual std::string metrics() = 0;  // Prometheus text format 0.0.4

    virtual Result<v1::ListSessionsResponse> list_sessions(const v1::ListSessionsRequest&,
                                                           const Caller&) = 0;
    virtual Result<v1::Session> get_session(const v1::SessionRequest&, const Caller&) = 0;
    virtual Result<v1::Empty> kill_session(const v1::SessionRequest&, const Caller&) = 0;
    // The session's Events, from its first to its latest.
    virtual Result<> replay_session(const v1::SessionRequest&, const Caller&, Stream&) = 0;
    // The same as a person reads it, or as an asciicast v2.
    virtual Result<v1::Transcript> transcript(const v1::TranscriptRequest&, const Caller&) = 0;
    // Events as they are journalled, from now on, until the reader goes.
    virtual Result<> follow(const v1::FollowRequest&, const Caller&, Stream&) = 0;

    virtual Result<v1::ListApprovalsResponse> list_approvals(const v1::ListApprovalsRequest&,
                                                             const Caller&) = 0;
    virtual Result<v1::Approval> get_approval(const v1::ApprovalRequest&, const Caller&) = 0;
    virtual Result<v1::Approval> grant_approval(const v1::DecideApprovalRequest&,
                                                const Caller&) = 0;
    virtual Result<v1::Approval> refuse_approval(const v1::DecideApprovalRequest&,
                                                 const Caller&) = 0;
    // Answers when it is pending no longer, or as it is when the time has passed.
    virtual Result<v1::Approval> wait_approval(const v1::WaitApprovalRequest&, const Caller&) = 0;

    virtual Result<v1::ListWorkloadsResponse> list_workloads(const Caller&) = 0;
    virtual Result<v1::Workload> get_workload(const v1::WorkloadRequest&, const Caller&) = 0;
    virtual Result<v1::Workload> add_workload(const v1::AddWorkloadRequest&, const Caller&) = 0;
    virtual Result<v1::Empty> remove_workload(const v1::WorkloadRequest&, const Caller&) = 0;
    virtual Result<v1::BindWorkloadResponse> bind_workload(const v1::BindWorkloadRequest&,
                                                           const Caller&) = 0;
    // Only of root: what is reported goes into the journal as the agent's doing.
    virtual Result<v1::Empty> report_attempts(const v1::ReportAttemptsRequest&, const Caller&) = 0;

    virtual Result<v1::BundleStatus> bundle_status(const Caller&) = 0;
    virtual Result<v1::BundleStatus> apply_bundle(const v1::ApplyBundleRequest&, const Caller&) = 0;
    virtual Result<v1::BundleStatus> roll_back_bundle(const v1::RollbackBundleRequest&,
                                                      const Caller&) = 0;

    virtual Result<v1::ListSecretsResponse> list_secrets(const Caller&) = 0;
    virtual Result<v1::Empty> set_secret(const v1::SetSecretRequest&, const Caller&) = 0;
    virtual Result<v1::Empty> remove_secret(const v1::SecretRequest&, const Caller&) = 0;

    virtual Result<v1::CaInfo> show_ca(const Caller&) = 0;
    virtual Result<v1::CaInfo> rotate_ca(const Caller&) = 0;

    virtual Result<v1::PruneJournalResponse> prune_journal(const v1::PruneJournalRequest&,
                                                           const Caller&) = 0;
};

}  // namespace chaperone::control

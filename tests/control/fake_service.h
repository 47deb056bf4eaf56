// SPDX-License-Identifier: Apache-2.0
// A Service that answers from memory and notes what it was asked.
#pragma once

#include "userspace/control/service.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace chaperone::control {

class FakeService : public Service {
public:
    v1::ListSessionsRequest listed{};
    std::string named{};
    std::string secret{};
    std::atomic<bool> reader_gone = false;
    bool journal_broken = false;

    Result<v1::Status> status(const Caller& caller) override {
        v1::Status status;
        status.set_state("running");
        status.set_root("/");
        status.set_pid(static_cast<std::uint32_t>(caller.pid));
        return status;
    }
    Result<v1::DoctorReport> doctor(const Caller&) override { return v1::DoctorReport{}; }
    std::string metrics() override { return "chaperone_up 1\n"; }

    Result<v1::ListSessionsResponse> list_sessions(const v1::ListSessionsRequest& request,
                                                   const Caller&) override {
        listed = request;
        v1::ListSessionsResponse response;
        v1::Session& session = *response.add_sessions();
        session.set_id("01A");
        session.mutable_destination()->set_port(5432);
        session.set_bytes_down(5e9);
        return response;
    }
    Result<v1::Session> get_session(const v1::SessionRequest& request, const Caller&) override {
        named = request.id();
        return fail(Errc::NotFound, "session " + request.id());
    }
    Result<v1::Empty> kill_session(const v1::SessionRequest& request, const Caller&) override {
        named = request.id();
        return v1::Empty{};
    }
    Result<> replay_session(const v1::SessionRequest&, const Caller&, Stream& out) override {
        for (int i = 0; i < 3; ++i) {
            v1::Event event;
            event.set_sequence(i);
            if (!out.write(event)) return {};
        }
        if (journal_broken) return fail(Errc::Corrupt, "entry 3");
        return {};
    }
    Result<v1::Transcript> transcript(const v1::TranscriptRequest& request,
                                      const Caller&) override {
        v1::Transcript transcript;
        transcript.set_text(request.id() + request.format());
        return transcript;
    }
    Result<> follow(const v1::FollowRequest&, const Caller&, Stream& out) override {
        v1::Event event;
        out.write(event);
        std::unique_lock lock{mutex_};
        while (out.open()) woken_.wait_for(lock, std::chrono::milliseconds{10});
        reader_gone = true;
        return {};
    }

    Result<v1::ListApprovalsResponse> list_approvals(const v1::ListApprovalsRequest&,
                                                     const Caller&) override {
        return v1::ListApprovalsResponse{};
    }
    Result<v1::Approval> get_approval(const v1::ApprovalRequest&, const Caller&) override {
        return v1::Approval{};
    }
    Result<v1::Approval> grant_approval(const v1::DecideApprovalRequest& request,
                                        const Caller& caller) override {
        v1::Approval approval;
        approval.set_id(request.id());
        approval.set_reason(request.reason() + " by " + caller.user);
        return approval;
    }
    Result<v1::Approval> refuse_approval(const v1::DecideApprovalRequest&, const Caller&) override {
        return fail(Errc::Expired, "approval");
    }
    Result<v1::Approval> wait_approval(const v1::WaitApprovalRequest&, const Caller&) override {
        return v1::Approval{};
    }

    Result<v1::ListWorkloadsResponse> list_workloads(const Caller&) override {
        return v1::ListWorkloadsResponse{};
    }
    Result<v1::Workload> get_workload(const v1::WorkloadRequest&, const Caller&) override {
        return v1::Workload{};
    }
    Result<v1::Workload> add_workload(const v1::AddWorkloadRequest& request,
                                      const Caller&) override {
        v1::Workload workload;
        workload.set_name(request.name());
        return workload;
    }
    Result<v1::Empty> remove_workload(const v1::WorkloadRequest& request, const Caller&) override {
        named = request.name();
        return v1::Empty{};
    }
    Result<v1::BindWorkloadResponse> bind_workload(const v1::BindWorkloadRequest& request,
                                                   const Caller&) override {
        named = request.name() + request.cgroup();
        return v1::BindWorkloadResponse{};
    }
    Result<v1::Empty> report_attempts(const v1::ReportAttemptsRequest& request,
                                      const Caller&) override {
        named = request.name() + std::to_string(request.attempts_size());
        return v1::Empty{};
    }

    Result<v1::BundleStatus> bundle_status(const Caller&) override { return v1::BundleStatus{}; }
    Result<v1::BundleStatus> apply_bundle(const v1::ApplyBundleRequest&, const Caller&) override {
        return v1::BundleStatus{};
    }

    Result<v1::BundleStatus> roll_back_bundle(const v1::RollbackBundleRequest&,
                                              const Caller&) override {
        return v1::BundleStatus{};
    }

    Result<v1::ListSecretsResponse> list_secrets(const Caller&) override {
        return v1::ListSecretsResponse{};
    }
    Result<v1::Empty> set_secret(const v1::SetSecretRequest& request, const Caller&) override {
        secret = request.name() + "=" + request.value();
        return v1::Empty{};
    }
    Result<v1::Empty> remove_secret(const v1::SecretRequest&, const Caller&) override {
        return v1::Empty{};
    }

    Result<v1::CaInfo> show_ca(const Caller&) override { return v1::CaInfo{}; }
    Result<v1::CaInfo> rotate_ca(const Caller&) override { return v1::CaInfo{}; }
    Result<v1::PruneJournalResponse> prune_journal(const v1::PruneJournalRequest&,
                                                   const Caller&) override {
        return v1::PruneJournalResponse{};
    }

private:
    std::mutex mutex_;
    std::condition_variable woken_;
};

}  // namespace chaperone::control

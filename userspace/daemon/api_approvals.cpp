// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/steady.h"
#include "userspace/daemon/api_service.h"
#include "userspace/daemon/events.h"

#include <algorithm>
#include <thread>

namespace chaperone::daemon {
namespace {

constexpr Duration kLook = std::chrono::milliseconds{100};

approval::Approver approver_of(const control::Caller& caller, const approval::Approval& approval) {
    approval::Approver approver{.name = caller.user,
                                .uid = caller.uid,
                                .groups = caller.groups,
                                .governed = caller.governed};
    // Root is in every group of approvers, also in those that this host does not have.
    if (caller.uid == 0)
        for (const approval::Requirement& need : approval.held.requires_)
            for (const std::string& by : need.by)
                if (by.starts_with("group:")) approver.groups.push_back(by.substr(6));
    return approver;
}

// Whether the rules that hold this request name the caller: then it may see it.
bool concerns(const approval::Approval& approval, const control::Caller& caller) {
    if (caller.operates) return true;
    for (const approval::Requirement& need : approval.held.requires_)
        for (const std::string& by : need.by) {
            if (by == "user:" + caller.user) return true;
            for (const std::string& group : caller.groups)
                if (by == "group:" + group) return true;
        }
    return false;
}

std::optional<approval::State> state_named(std::string_view name) {
    using enum approval::State;
    for (const approval::State state : {Pending, Granted, Refused, Expired, Cancelled, Used})
        if (approval::to_text(state) == name) return state;
    return std::nullopt;
}

}  // namespace

Result<v1::ListApprovalsResponse> ApiService::list_approvals(
    const v1::ListApprovalsRequest& request, const Caller& caller) {
    std::optional<approval::State> state = approval::State::Pending;
    if (!request.state().empty()) state = state_named(request.state());
    if (!request.state().empty() && !state)
        return fail(Errc::Invalid,
                    "state must be pending, granted, refused, expired, cancelled "
                    "or used");
    if (request.all() && request.state().empty()) state.reset();
    v1::ListApprovalsResponse response;
    it_.approvals->with([&](approval::ApprovalBook& book) {
        book.expire(steady_now());
        for (const approval::Approval& approval : book.list(state)) {
            if (!concerns(approval, caller)) continue;
            if (!request.workload().empty() && approval.held.workload != request.workload())
                continue;
            *response.add_approvals() = to_approval(approval);
        }
    });
    return response;
}

// The id itself, or the one approval whose id begins so. What the caller may not see is not there.
Result<std::string> ApiService::approval_id(const std::string& id, const Caller& caller) {
    return it_.approvals->with([&](approval::ApprovalBook& book) -> Result<std::string> {
        book.expire(steady_now());
        std::vector<std::string> found;
        for (const approval::Approval& one : book.list()) {
            if (!concerns(one, caller)) continue;
            if (one.id == id) return id;
            if (one.id.starts_with(id)) found.push_back(one.id);
        }
        if (found.size() == 1) return found.front();
        return fail(Errc::NotFound, found.empty() ? "there is no approval " + id
                                                  : "several approvals begin with " + id);
    });
}

Result<v1::Approval> ApiService::get_approval(const v1::ApprovalRequest& request,
                                              const Caller& caller) {
    const auto id = approval_id(request.id(), caller);
    if (!id) return fail(id.error());
    return it_.approvals->with([&](approval::ApprovalBook& book) -> Result<v1::Approval> {
        const approval::Approval* approval = book.find(*id);
        if (approval == nullptr) return fail(Errc::NotFound, "there is no approval " + *id);
        return to_approval(*approval);
    });
}

Result<v1::Approval> ApiService::decide(const v1::DecideApprovalRequest& request,
                                        const Caller& caller, bool grant) {
    const auto id = approval_id(request.id(), caller);
    if (!id) return fail(id.error());
    if (!grant && request.reason().empty())
        return fail(Errc::Invalid, "a refusal needs a reason: the agent is told it");
    // The vote is in the journal first, as it was cast; whether it counted follows from what the
    // gate writes of the approval.
    record::Entry entry;
    entry.set_time(now().time_since_epoch().count());
    auto& vote = *entry.mutable_approval();
    vote.set_approval(*id);
    vote.set_state(record::ApprovalEntry::VOTED);
    vote.set_by(caller.user);
    vote.set_by_uid(caller.uid);
    for (const std::string& group : caller.groups) vote.add_by_groups(group);
    vote.set_reason((grant ? "grant" : "refuse") +
                    (request.reason().empty() ? "" : ": " + request.reason()));
    it_.approvals->with([&](approval::ApprovalBook& book) {
        const approval::Approval* approval = book.find(*id);
        if (approval != nullptr) vote.set_session(approval->held.session);
    });
    if (auto written = it_.journal->append(entry); !written) return fail(written.error());

    return it_.approvals->with([&](approval::ApprovalBook& book) -> Result<v1::Approval> {
        const approval::Approval* approval = book.find(*id);
        if (approval == nullptr) return fail(Errc::NotFound, "there is no approval " + *id);
        const approval::Approver approver = approver_of(caller, *approval);
        if (grant) {
            auto done = book.grant(*id, approver, request.reason(), steady_now());
            if (!done) return fail(done.error());
        } else {
            auto done = book.refuse(*id, approver, request.reason(), steady_now());
            if (!done) return fail(done.error());
        }
        approval = book.find(*id);
        if (approval == nullptr) return fail(Errc::NotFound, "there is no approval " + *id);
        return to_approval(*approval);
    });
}

Result<v1::Approval> ApiService::grant_approval(const v1::DecideApprovalRequest& request,
                                                const Caller& caller) {
    return decide(request, caller, true);
}

Result<v1::Approval> ApiService::refuse_approval(const v1::DecideApprovalRequest& request,
                                                 const Caller& caller) {
    return decide(request, caller, false);
}

Result<v1::Approval> ApiService::wait_approval(const v1::WaitApprovalRequest& request,
                                               const Caller& caller) {
    const auto id = approval_id(request.id(), caller);
    if (!id) return fail(id.error());
    v1::ApprovalRequest one;
    one.set_id(*id);
    const std::uint32_t seconds = request.seconds() != 0 ? std::min(request.seconds(), 300U) : 30;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
    auto approval = get_approval(one, caller);
    // The book calls back only the one who asked; everybody else looks.
    while (approval && approval->state() == "pending" && !it_.draining &&
           std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(kLook);
        approval = get_approval(one, caller);
    }
    return approval;
}

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/gate.h"

#include "policy/engine/session_policy.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/net/approvals.h"
#include "userspace/net/held_request.h"
#include "userspace/net/session_entries.h"
#include "userspace/net/shared.h"
#include "userspace/record/writer.h"

#include <algorithm>
#include <span>

namespace chaperone::net {

using policy::Effect;
using session::Answer;
using session::Tag;
using session::Verdict;

namespace {

// Requests of a session whose outcome is awaited; beyond it the oldest lose their duration.
constexpr std::size_t kMaxOpen = 65'536;

void count_shadow(Tally& tally, const policy::Decision& decision) {
    if (decision.shadow_rules.empty()) return;
    switch (decision.shadow_effect) {
    case policy::Effect::Deny: ++tally.shadow_denied; return;
    case policy::Effect::Approve: ++tally.shadow_held; return;
    case policy::Effect::Allow: ++tally.shadow_allowed; return;
    }
}

}  // namespace

Gate::Gate(Shared& shared, LivePtr live, std::shared_ptr<const policy::SessionFacts> facts,
           std::string refusal, Post post)
    : shared_(shared),
      live_(std::move(live)),
      facts_(std::move(facts)),
      refusal_(std::move(refusal)),
      post_(std::move(post)),
      journal_(*shared.services.journal) {}

Gate::~Gate() {
    close("lost");
}

Result<> Gate::open(const std::string& client_address, std::uint16_t client_port) {
    began_ = std::chrono::steady_clock::now();
    const auto bundle = shared_.bundle();
    record::StartFields start = start_of(*facts_);
    start.client = {.address = client_address, .port = client_port};
    if (bundle) start.bundle = bundle->digest();
    start.refused = !refusal_.empty();
    start.reason = refusal_;
    auto written = journal_.append(start);
    opened_ = written.has_value();
    return written;
}

Result<> Gate::write(const policy::Request& request, const policy::DecisionPtr& decision,
                     std::uint64_t number, const std::string& approval) {
    const std::string_view statement = request.statement.substr(0, kMaxRecorded);
    const bool truncated = statement.size() != request.statement.size();
    const Digest whole = truncated ? sha256(as_bytes(request.statement)) : Digest{};
    const Buffer facts = facts_of(request);
    return journal_.append({.time = nanoseconds(request.now),
                            .session = facts_->id,
                            .number = number,
                            .kind = request.dns ? "dns" : kind_of(request.stage),
                            .statement = statement,
                            .statement_digest = truncated ? Bytes{whole} : Bytes{},
                            .statement_truncated = truncated,
                            .database = facts_->database,
                            .user = facts_->user,
                            .approval = approval,
                            .more = facts},
                           decision, request.parameters);
}

std::optional<Answer> Gate::ask(const policy::Request& request, Tag tag) {
    policy::DecisionPtr decision = decide(request);
    if (decision->needs_body)
        return Answer{.verdict = Verdict::NeedsBody, .decision = std::move(decision), .tag = tag};
    const std::uint64_t number = ++live_->requests;
    ++shared_.tally.requests;
    count_shadow(shared_.tally, *decision);
    live_->strictest = std::min(live_->strictest.load(), decision->effect);
    if (decision->effect == Effect::Approve) return hold(request, std::move(decision), number, tag);

    if (auto written = write(request, decision, number, {}); !written) {
        ++shared_.tally.unrecordable;
        return answer(Verdict::Unavailable, nullptr, number, "the journal cannot be written", tag);
    }
    const bool allowed = decision->effect == Effect::Allow;
    if (!allowed) ++shared_.tally.denied;
    return answer(allowed ? Verdict::Allowed : Verdict::Denied, std::move(decision), number, {},
                  tag);
}

policy::DecisionPtr Gate::probe(const policy::Request& request, bool record) {
    policy::DecisionPtr decision = decide(request);
    if (!record) return decision;
    const std::uint64_t number = ++live_->requests;
    ++shared_.tally.requests;
    if (decision->effect != Effect::Allow) ++shared_.tally.denied;
    if (write(request, decision, number, {})) return decision;
    ++shared_.tally.unrecordable;
    return nullptr;
}

Answer Gate::answer(Verdict verdict, policy::DecisionPtr decision, std::uint64_t number,
                    std::string reason, Tag tag) {
    await_outcome(number);
    Answer given;
    given.verdict = verdict;
    given.decision = std::move(decision);
    given.request = number;
    given.reason = std::move(reason);
    given.tag = tag;
    return given;
}

std::optional<Answer> Gate::hold(const policy::Request& request, policy::DecisionPtr decision,
                                 std::uint64_t number, Tag tag) {
    ++shared_.tally.held;
    asked_ = true;
    const Digest digest = digest_of(*facts_, request, number);
    // What the waiter needs of us travels by value; it runs on the thread of whoever decided.
    const auto waiter = [post = post_, digest, decision, number, tag,
                         self = this](const approval::Approval& ended) {
        const auto state = ended.state;
        post([self, digest, decision, number, tag, state, id = ended.id, by = ended.ended_by,
              reason = ended.reason](Waiting& waiting) {
            if (!self->take(id)) return;
            if (state == approval::State::Granted) {
                waiting.answered(self->use_grant(id, digest, decision, number, tag));
                return;
            }
            // What a person decided is recorded, with the person, where it was decided.
            if (state != approval::State::Refused)
                self->journal_approval(entry_state(state), id, number, reason);
            Answer given = self->answer(verdict_of(state), decision, number, reason, tag);
            given.approval = id;
            waiting.answered(std::move(given));
        });
    };
    const auto asked = shared_.services.approvals->with([&](approval::ApprovalBook& book) {
        return book.request(held_of(*facts_, request, *decision, digest), steady_now(), waiter);
    });
    if (!asked) {
        (void)write(request, decision, number, {});
        return answer(Verdict::Unavailable, std::move(decision), number, asked.error().message(),
                      tag);
    }
    if (auto written = write(request, decision, number, asked->id); !written) {
        ++shared_.tally.unrecordable;
        shared_.services.approvals->with([&](approval::ApprovalBook& book) {
            (void)book.cancel(asked->id, "the journal cannot be written", steady_now());
        });
        return answer(Verdict::Unavailable, nullptr, number, "the journal cannot be written", tag);
    }
    if (asked->covered) return use_grant(asked->id, digest, std::move(decision), number, tag);

    pending_.push_back({tag, asked->id, number});
    if (!asked->joined)
        journal_approval(record::ApprovalEntry::REQUESTED, asked->id, number, decision->reason);
    const Time expires = shared_.services.approvals->with([&](approval::ApprovalBook& book) {
        const approval::Approval* approval = book.find(asked->id);
        return approval != nullptr ? to_wall(approval->expire_time) : now();
    });
    post_([id = asked->id, expires, tag, self = this](Waiting& waiting) {
        const bool waits =
            std::ranges::find(self->pending_, id, &Pending::approval) != self->pending_.end();
        if (waits) waiting.held(tag, id, expires);
    });
    return std::nullopt;
}

Answer Gate::use_grant(const std::string& approval, const Digest& digest,
                       policy::DecisionPtr decision, std::uint64_t number, Tag tag) {
    const auto used = shared_.services.approvals->with(
        [&](approval::ApprovalBook& book) { return book.use(approval, digest, steady_now()); });
    Answer given = answer(used ? Verdict::Allowed : Verdict::Expired, std::move(decision), number,
                          used ? std::string{} : used.error().message(), tag);
    given.approval = approval;
    if (!used) return given;
    journal_approval(record::ApprovalEntry::USED, approval, number, {});
    if (!shared_.services.journal->writable()) given.verdict = Verdict::Unavailable;
    return given;
}

void Gate::journal_approval(record::ApprovalEntry::State state, const std::string& approval,
                            std::uint64_t number, const std::string& reason) {
    // Failure is sticky in the writer; whoever acts on this asks writable().
    (void)journal_.append(approval_entry(facts_->id, number, approval, state, reason));
}

std::optional<Gate::Pending> Gate::take(Tag tag) {
    const auto found = std::ranges::find(pending_, tag, &Pending::tag);
    if (found == pending_.end()) return std::nullopt;
    Pending taken = std::move(*found);
    pending_.erase(found);
    return taken;
}

bool Gate::take(const std::string& approval) {
    return std::erase_if(pending_, [&](const Pending& p) { return p.approval == approval; }) != 0;
}

void Gate::withdraw(Tag tag) {
    const auto pending = take(tag);
    if (!pending) return;
    shared_.services.approvals->with([&](approval::ApprovalBook& book) {
        (void)book.cancel(pending->approval, "withdrawn by the client", steady_now());
    });
    journal_approval(record::ApprovalEntry::CANCELLED, pending->approval, pending->number,
                     "withdrawn by the client");
    await_outcome(pending->number);
}

void Gate::leave(Tag tag) {
    const auto pending = take(tag);
    if (!pending) return;
    await_outcome(pending->number);
    // Nobody of this session will hear how it ends; the journal does all the same.
    const auto ended = [journal = shared_.services.journal, session = facts_->id,
                        number = pending->number](const approval::Approval& approval) {
        if (approval.state == approval::State::Granted ||
            approval.state == approval::State::Refused)
            return;  // recorded, with the person, where it was decided
        const record::Entry entry = approval_entry(session, number, approval.id,
                                                   entry_state(approval.state), approval.reason);
        (void)journal->append({&entry, 1});
    };
    shared_.services.approvals->with(
        [&](approval::ApprovalBook& book) { book.leave(pending->approval, ended); });
}

void Gate::await_outcome(std::uint64_t number) {
    if (open_.size() - open_from_ == kMaxOpen) ++open_from_;
    if (open_from_ > open_.size() / 2) {
        open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(open_from_));
        open_from_ = 0;
    }
    open_.push_back({number, std::chrono::steady_clock::now()});
}

// Mostly the first is done first: what stands before one makes room for it.
std::chrono::nanoseconds Gate::time_taken(std::uint64_t number) {
    const auto first = open_.begin() + static_cast<std::ptrdiff_t>(open_from_);
    const auto found =
        std::find_if(first, open_.end(), [&](const Open& open) { return open.number == number; });
    if (found == open_.end()) return {};
    const auto taken = std::chrono::steady_clock::now() - found->since;
    std::move_backward(first, found, found + 1);
    ++open_from_;
    return taken;
}

void Gate::record(const session::Outcome& outcome) {
    const std::chrono::nanoseconds duration = time_taken(outcome.request);
    live_->rows += outcome.rows;
    live_->up += outcome.bytes_up;
    live_->down += outcome.bytes_down;
    auto noted = journal_.note({.time = nanoseconds(now()),
                                .session = facts_->id,
                                .request = outcome.request,
                                .status = outcome.ok ? "ok" : "error",
                                .code = outcome.sqlstate,
                                .command_tag = outcome.tag,
                                .rows = outcome.rows,
                                .bytes_up = outcome.bytes_up,
                                .bytes_down = outcome.bytes_down,
                                .duration = duration.count()});
    if (!noted) ++shared_.tally.unrecordable;  // sticky: the next request is refused
}

void Gate::flush() {
    if (!journal_.flush()) ++shared_.tally.unrecordable;
}

void Gate::close(std::string_view reason) {
    if (!opened_) return;
    opened_ = false;
    while (!pending_.empty()) withdraw(pending_.front().tag);
    if (asked_)
        shared_.services.approvals->with(
            [&](approval::ApprovalBook& book) { book.end_session(facts_->id, steady_now()); });
    const auto duration = std::chrono::steady_clock::now() - began_;
    const auto written = journal_.append(
        record::EndFields{.time = nanoseconds(now()),
                          .session = facts_->id,
                          .reason = reason,
                          .requests = live_->requests,
                          .rows = live_->rows,
                          .bytes_up = live_->up,
                          .bytes_down = live_->down,
                          .duration = std::chrono::nanoseconds{duration}.count(),
                          .upstream = {.address = upstream_address_, .port = upstream_port_},
                          .upstream_reused = reused_});
    if (!written) log::error("end of session not recorded", {{"session", facts_->id}});
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/approval/approval_book.h"

#include "userspace/base/ids.h"

#include <algorithm>
#include <utility>

namespace chaperone::approval {
namespace {

bool names(const Requirement& requirement, const Approver& person) {
    return std::ranges::any_of(requirement.by, [&](std::string_view entry) {
        if (entry.starts_with("user:")) {
            const auto name = entry.substr(5);
            return name == person.name || (!person.subject.empty() && name == person.subject);
        }
        if (!entry.starts_with("group:")) return false;
        return std::ranges::find(person.groups, entry.substr(6)) != person.groups.end();
    });
}

bool named_at_all(const Held& held, const Approver& person) {
    return std::ranges::any_of(held.requires_, [&](const auto& r) { return names(r, person); });
}

// Remote people are told apart by their subject, local ones by their uid: a name may be chosen.
bool same_person(const Approver& a, const Approver& b) {
    if (!a.subject.empty() || !b.subject.empty()) return a.subject == b.subject;
    return a.uid == b.uid;
}

// Why this person may never decide about this request, whatever the lists say.
std::optional<Error> barred(const Held& held, const Approver& person) {
    if (person.governed) return Error{Errc::Denied, "a governed process approves nothing"};
    const bool same_uid = person.subject.empty() && person.uid == held.uid;
    const bool same_subject =
        !held.subject.empty() && (person.subject == held.subject || person.name == held.subject);
    const bool same_user = !held.user.empty() && person.name == held.user;
    if (same_uid || same_subject || same_user)
        return Error{Errc::Denied, "the requester cannot decide about its own request"};
    return std::nullopt;
}

// Every rule's demand counts its own people; somebody in two groups is one person in each.
bool all_met(const Approval& approval) {
    return std::ranges::all_of(approval.held.requires_, [&](const Requirement& requirement) {
        const auto agreed = std::ranges::count_if(
            approval.votes, [&](const Vote& vote) { return names(requirement, vote.by); });
        return static_cast<std::uint64_t>(agreed) >= requirement.count;
    });
}

bool usable(const Requirement& requirement) {
    return requirement.count != 0 && !requirement.by.empty();
}

// Of one asker, and equal in all that an approver was shown.
bool same_request(const Held& a, const Held& b) {
    return a.workload == b.workload && a.subject == b.subject && a.uid == b.uid &&
           a.resource == b.resource && a.digest == b.digest;
}

// What an agent makes us keep of one.
std::size_t size_of(const Held& held) {
    std::size_t size =
        held.statement.size() + held.name.size() + held.database.size() + held.login.size();
    for (const auto* texts : {&held.parameters, &held.fields})
        for (const std::string& text : *texts) size += text.size();
    return size;
}

bool is_statement(const Scope& scope) {
    return std::holds_alternative<StatementScope>(scope);
}

}  // namespace

std::string_view to_text(State state) noexcept {
    switch (state) {
    case State::Pending: return "pending";
    case State::Granted: return "granted";
    case State::Refused: return "refused";
    case State::Expired: return "expired";
    case State::Cancelled: return "cancelled";
    case State::Used: return "used";
    }
    return "unknown";
}

bool ApprovalBook::over(const Item& item, Time now) const {
    const State state = item.approval.state;
    return (state == State::Pending || state == State::Granted) && now >= item.approval.expire_time;
}

// A granted window that covers such a request. Its own end counts, not that of the last use.
const ApprovalBook::Item* ApprovalBook::window_for(const Held& held, Time now) const {
    for (const auto& [id, item] : items_) {
        const Approval& approval = item.approval;
        if (approval.state != State::Granted || is_statement(approval.held.scope) ||
            over(item, now))
            continue;
        const Held& granted = approval.held;
        if (!same_request(granted, held)) continue;
        if (std::holds_alternative<SessionScope>(granted.scope) && granted.session != held.session)
            continue;
        // Policy may have become stricter since: what is demanded now must be met by those votes.
        if (!all_met(Approval{.held = held, .votes = approval.votes})) continue;
        return &item;
    }
    return nullptr;
}

// What an equal request left behind: pending, or granted and not used.
ApprovalBook::Item* ApprovalBook::left_for(const Held& held, Time now) {
    for (auto& [id, item] : items_) {
        const Approval& approval = item.approval;
        if (!item.left || over(item, now) || !same_request(approval.held, held)) continue;
        const bool pending = approval.state == State::Pending;
        const bool granted = approval.state == State::Granted && is_statement(approval.held.scope);
        if (!pending && !granted) continue;
        // Policy may have changed since: the votes must meet what is demanded now.
        if (granted && !all_met(Approval{.held = held, .votes = approval.votes})) continue;
        return &item;
    }
    return nullptr;
}

void ApprovalBook::leave(std::string_view id, Waiter waiter) {
    const auto found = items_.find(id);
    if (found == items_.end()) return;
    found->second.left = true;
    found->second.waiter = std::move(waiter);
}

Result<ApprovalBook::Asked> ApprovalBook::request(Held held, Time now, Waiter waiter) {
    if (held.requires_.empty() || !std::ranges::all_of(held.requires_, usable))
        return fail(Errc::Invalid, "an approval that nobody can give");
    if (held.within <= Duration::zero()) return fail(Errc::Invalid, "an approval without time");
    if (const auto* length = std::get_if<DurationScope>(&held.scope);
        length != nullptr && length->length <= Duration::zero())
        return fail(Errc::Invalid, "an approval window without length");
    if (!is_statement(held.scope))
        if (const Item* window = window_for(held, now)) return Asked{window->approval.id, true};
    if (Item* left = left_for(held, now)) {
        left->left = false;
        const bool granted = left->approval.state == State::Granted;
        if (granted) return Asked{left->approval.id, true, true};
        left->approval.held = std::move(held);
        left->waiter = std::move(waiter);
        return Asked{left->approval.id, false, true};
    }

    if (const auto room = check_room(held); !room) return fail(room.error());
    const std::string id = new_id(now);
    Item item{.waiter = std::move(waiter)};
    item.approval.id = id;
    item.approval.request_time = now;
    item.approval.expire_time = now + held.within;
    item.approval.held = std::move(held);
    items_.emplace(id, std::move(item));
    ++pending_;
    return Asked{id, false};
}

Result<> ApprovalBook::check_room(const Held& held) const {
    if (pending_ >= limits_.pending)
        return fail(Errc::TooLarge, std::to_string(pending_) + " approvals are pending");
    std::size_t of_session = 0, of_workload = 0, bytes = size_of(held);
    for (const auto& [id, item] : items_) {
        const Held& other = item.approval.held;
        if (item.approval.state != State::Pending || other.workload != held.workload) continue;
        ++of_workload;
        bytes += size_of(other);
        if (other.session == held.session) ++of_session;
    }
    if (of_session >= limits_.pending_of_session)
        return fail(Errc::TooLarge, "too many approvals of one session are pending");
    if (of_workload >= limits_.pending_of_workload || bytes > limits_.bytes_of_workload)
        return fail(Errc::TooLarge, "too many approvals of one workload are pending");
    return {};
}

Result<ApprovalBook::Item*> ApprovalBook::pending(std::string_view id, Time now) {
    const auto found = items_.find(id);
    if (found == items_.end()) return fail(Errc::NotFound, "approval " + std::string{id});
    Item& item = found->second;
    if (item.approval.state == State::Pending && over(item, now))
        end(item, State::Expired, {}, "nobody answered in time");
    if (item.approval.state == State::Expired)
        return fail(Errc::Expired, "approval " + std::string{id});
    if (item.approval.state != State::Pending)
        return fail(Errc::UnexpectedMessage, "approval " + std::string{id} + " is " +
                                                 std::string{to_text(item.approval.state)});
    return &item;
}

// Tells the waiter, once.
void ApprovalBook::end(Item& item, State state, std::string by, std::string reason) {
    const bool was_pending = item.approval.state == State::Pending;
    item.approval.state = state;
    item.approval.ended_by = std::move(by);
    item.approval.reason = std::move(reason);
    if (was_pending) --pending_;
    if (state != State::Granted) {
        ended_.push_back(item.approval.id);
        ended_bytes_ += size_of(item.approval.held);
    }
    if (const Waiter waiter = std::exchange(item.waiter, {}); was_pending && waiter)
        waiter(item.approval);
}

void ApprovalBook::forget_oldest() {
    while (ended_.size() > limits_.kept || (ended_bytes_ > limits_.kept_bytes && !ended_.empty())) {
        if (const auto oldest = items_.find(ended_.front()); oldest != items_.end()) {
            ended_bytes_ -= size_of(oldest->second.approval.held);
            items_.erase(oldest);
        }
        ended_.pop_front();
    }
}

Result<State> ApprovalBook::grant(std::string_view id, const Approver& approver, std::string reason,
                                  Time now) {
    const auto found = pending(id, now);
    if (!found) return fail(found.error());
    Item& item = **found;
    Approval& approval = item.approval;
    if (auto why = barred(approval.held, approver)) return fail(*std::move(why));
    if (!named_at_all(approval.held, approver))
        return fail(Errc::Denied,
                    approver.name + " is in none of the lists of approval " + approval.id);
    if (std::ranges::any_of(approval.votes,
                            [&](const Vote& vote) { return same_person(vote.by, approver); }))
        return fail(Errc::Exists, approver.name + " has agreed already");
    approval.votes.push_back({approver, reason, now});
    if (!all_met(approval)) return State::Pending;

    if (is_statement(approval.held.scope))
        approval.expire_time = now + limits_.use_within;
    else if (const auto* window = std::get_if<DurationScope>(&approval.held.scope))
        approval.expire_time = now + window->length;
    else
        approval.expire_time = Time::max();  // until its session ends
    end(item, State::Granted, approver.name, std::move(reason));
    return State::Granted;
}

Result<> ApprovalBook::refuse(std::string_view id, const Approver& approver, std::string reason,
                              Time now) {
    const auto found = pending(id, now);
    if (!found) return fail(found.error());
    Item& item = **found;
    if (auto why = barred(item.approval.held, approver)) return fail(*std::move(why));
    if (!named_at_all(item.approval.held, approver))
        return fail(Errc::Denied, approver.name + " is in none of the lists of this approval");
    end(item, State::Refused, approver.name, std::move(reason));
    forget_oldest();
    return {};
}

Result<> ApprovalBook::cancel(std::string_view id, std::string reason, Time now) {
    const auto found = pending(id, now);
    if (!found) return fail(found.error());
    end(**found, State::Cancelled, {}, std::move(reason));
    forget_oldest();
    return {};
}

Result<> ApprovalBook::revoke(std::string_view id, const Approver& approver, std::string reason,
                              Time now) {
    const auto found = items_.find(id);
    if (found == items_.end()) return fail(Errc::NotFound, "approval " + std::string{id});
    Item& item = found->second;
    if (item.approval.state != State::Granted || over(item, now))
        return fail(Errc::UnexpectedMessage, "approval " + std::string{id} + " is not in force");
    if (auto why = barred(item.approval.held, approver)) return fail(*std::move(why));
    if (!named_at_all(item.approval.held, approver))
        return fail(Errc::Denied, approver.name + " is in none of the lists of this approval");
    end(item, State::Cancelled, approver.name, std::move(reason));
    forget_oldest();
    return {};
}

Result<> ApprovalBook::use(std::string_view id, const Digest& digest, Time now) {
    const auto found = items_.find(id);
    if (found == items_.end()) return fail(Errc::NotFound, "approval " + std::string{id});
    Item& item = found->second;
    if (item.approval.state == State::Granted && over(item, now))
        end(item, State::Expired, {}, "it was not used in time");
    if (item.approval.state == State::Expired)
        return fail(Errc::Expired, "approval " + std::string{id});
    if (item.approval.state != State::Granted)
        return fail(Errc::Denied, "approval " + std::string{id} + " is " +
                                      std::string{to_text(item.approval.state)});
    if (item.approval.held.digest != digest)
        return fail(Errc::Denied, "approval " + std::string{id} + " is for another request");
    if (!is_statement(item.approval.held.scope)) return {};
    end(item, State::Used, item.approval.ended_by, item.approval.reason);
    forget_oldest();
    return {};
}

void ApprovalBook::end_session(std::string_view session, Time now) {
    for (auto& [id, item] : items_) {
        Approval& approval = item.approval;
        if (approval.held.session != session || item.left) continue;
        const bool waiting = approval.state == State::Pending;
        const bool bound = approval.state == State::Granted &&
                           !std::holds_alternative<DurationScope>(approval.held.scope);
        if (!waiting && !bound) continue;
        end(item, over(item, now) ? State::Expired : State::Cancelled, {}, "its session ended");
    }
    forget_oldest();
}

void ApprovalBook::expire(Time now) {
    for (auto& [id, item] : items_)
        if (over(item, now))
            end(item, State::Expired, {},
                item.approval.state == State::Pending ? "nobody answered in time"
                                                      : "its time is over");
    forget_oldest();
}

std::optional<Time> ApprovalBook::next_expiry() const {
    std::optional<Time> next;
    for (const auto& [id, item] : items_) {
        const Approval& approval = item.approval;
        if (approval.state != State::Pending && approval.state != State::Granted) continue;
        if (approval.expire_time == Time::max()) continue;
        if (!next || approval.expire_time < *next) next = approval.expire_time;
    }
    return next;
}

const Approval* ApprovalBook::find(std::string_view id) const {
    const auto found = items_.find(id);
    return found == items_.end() ? nullptr : &found->second.approval;
}

std::vector<Approval> ApprovalBook::list(std::optional<State> state) const {
    std::vector<Approval> found;
    for (const auto& [id, item] : items_)
        if (!state || item.approval.state == *state) found.push_back(item.approval);
    std::ranges::sort(found, [](const Approval& a, const Approval& b) {
        return a.request_time != b.request_time ? a.request_time > b.request_time : a.id > b.id;
    });
    return found;
}

}  // namespace chaperone::approval

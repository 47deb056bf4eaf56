// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/gate.h"

#include "policy/engine/session_policy.h"
#include "policy/http/facts.h"
#include "policy/http/tool_call.h"
#include "userspace/base/encoding.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"
#include "userspace/net/approvals.h"
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

// Of a statement, in one entry; what is longer is cut, and its digest covers the whole.
constexpr std::size_t kMaxRecorded = 256 * 1024;

// Of a body, to an approver.
constexpr std::size_t kMaxShown = 4096;
// Requests of a session whose outcome is awaited; beyond it the oldest lose their duration.
constexpr std::size_t kMaxOpen = 65'536;

std::string_view kind_of(policy::Stage stage) {
    switch (stage) {
    case policy::Stage::Connect: return "connect";
    case policy::Stage::Statement: return "statement";
    case policy::Stage::Prepare: return "parse";
    case policy::Stage::Execute: return "bind";
    case policy::Stage::Http: return "http";
    case policy::Stage::Message: return "message";
    }
    return "unknown";
}

std::int64_t nanoseconds(Time time) {
    return time.time_since_epoch().count();
}

void fill(google::protobuf::Map<std::string, std::string>& to, const policy::http::Facts& facts) {
    to["method"] = facts.readings().front().method;
    to["host"] = facts.host();
    to["path"] = facts.readings().front().path;
    to["version"] = facts.head().version;
    if (!facts.content_type().empty()) to["content_type"] = facts.content_type();
    if (!facts.upgrade().empty()) to["upgrade"] = facts.upgrade();
    if (facts.fronted()) to["fronted"] = "true";
    if (facts.body.data.empty()) return;
    const Digest digest = sha256(as_bytes(facts.body.data));
    to["body_sha256"] = to_hex(digest);
}

void count_shadow(Tally& tally, const policy::Decision& decision) {
    if (decision.shadow_rules.empty()) return;
    switch (decision.shadow_effect) {
    case policy::Effect::Deny: ++tally.shadow_denied; return;
    case policy::Effect::Approve: ++tally.shadow_held; return;
    case policy::Effect::Allow: ++tally.shadow_allowed; return;
    }
}

void fill(google::protobuf::Map<std::string, std::string>& to, const policy::DnsFacts& facts) {
    to["name"] = facts.name;
    to["type"] = facts.type;
    to["server"] = facts.server;
}

// Of all that makes two requests the same: a grant is good for this and for nothing else.
Digest digest_of(const policy::SessionFacts& facts, const policy::Request& request) {
    Sha256 hash;
    const auto add = [&](std::string_view text) {
        const std::string size = std::to_string(text.size()) + ":";
        hash.add(as_bytes(size)).add(as_bytes(text));
    };
    for (const std::string* part : {&facts.workload, &facts.identity.subject, &facts.resource,
                                    &facts.protocol, &facts.database, &facts.user})
        add(*part);
    add(kind_of(request.stage));
    if (request.tool_call != nullptr) {
        // Of the talk that it came in, only where it was: a model that is asked again calls again.
        const policy::http::ToolCall& call = *request.tool_call;
        add(request.http->host());
        for (const std::string* part :
             {&request.http->readings().front().path, &call.name, &call.type, &call.written})
            add(*part);
    } else if (request.http != nullptr) {
        const Digest whole = request.http->digest();
        hash.add(whole);
    }
    add(request.statement);
    for (const policy::Parameter& parameter : request.parameters) {
        add(parameter.null ? "null" : "value");
        add(parameter.text);
    }
    return hash.finish();
}

approval::Scope scope_of(const policy::Decision& decision) {
    // Several rules may ask for one approval; the narrowest scope of them holds.
    approval::Scope scope = approval::DurationScope{Duration::max()};
    for (const policy::ApprovalNeed& need : decision.approvals) {
        if (need.scope == policy::ApprovalScope::Statement) return approval::StatementScope{};
        if (need.scope == policy::ApprovalScope::Session) scope = approval::SessionScope{};
        auto* window = std::get_if<approval::DurationScope>(&scope);
        if (need.scope == policy::ApprovalScope::Window && window != nullptr)
            window->length = std::min(window->length, need.window);
    }
    return scope;
}

approval::Held held_of(const policy::SessionFacts& facts, const policy::Request& request,
                       const policy::Decision& decision, const Digest& digest) {
    approval::Held held;
    held.workload = facts.workload;
    held.subject = facts.identity.subject;
    held.resource = facts.resource;
    held.session = facts.id;
    held.statement = request.statement.substr(0, kMaxRecorded);
    for (const policy::Parameter& parameter : request.parameters)
        held.parameters.push_back(parameter.null ? "NULL" : parameter.text);
    if (request.tool_call != nullptr)
        held.parameters.push_back(request.tool_call->written.substr(0, kMaxShown));
    else if (request.http != nullptr && !request.http->body.data.empty())
        held.parameters.push_back(request.http->body.data.substr(0, kMaxShown));
    Duration within = decision.approvals.empty() ? held.within : decision.approvals.front().within;
    for (const policy::ApprovalNeed& need : decision.approvals) {
        held.requires_.push_back({need.rule, need.by, need.count});
        within = std::min(within, need.within);
    }
    held.within = within;
    held.scope = scope_of(decision);
    held.digest = digest;
    // Root may run agents and approve for them; a governed process is no approver all the same.
    constexpr std::uint32_t kNobody = 0xffffffff;
    held.uid = facts.uid == 0 ? kNobody : facts.uid;
    return held;
}

Verdict verdict_of(approval::State state) {
    switch (state) {
    case approval::State::Granted: return Verdict::Allowed;
    case approval::State::Refused: return Verdict::Refused;
    case approval::State::Expired: return Verdict::Expired;
    case approval::State::Cancelled: return Verdict::Cancelled;
    case approval::State::Pending:
    case approval::State::Used: break;
    }
    return Verdict::Unavailable;
}

record::ApprovalEntry::State entrystate(approval::State state) {
    switch (state) {
    case approval::State::Pending: return record::ApprovalEntry::REQUESTED;
    case approval::State::Granted: return record::ApprovalEntry::GRANTED;
    case approval::State::Refused: return record::ApprovalEntry::REFUSED;
    case approval::State::Expired: return record::ApprovalEntry::EXPIRED;
    case approval::State::Cancelled: return record::ApprovalEntry::CANCELLED;
    case approval::State::Used: return record::ApprovalEntry::USED;
    }
    return record::ApprovalEntry::UNKNOWN;
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
    record::Entry entry;
    entry.set_time(nanoseconds(facts_->start));
    auto& start = *entry.mutable_session_start();
    start.set_session(facts_->id);
    start.set_workload(facts_->workload);
    start.mutable_identity()->set_subject(facts_->identity.subject);
    for (const std::string& group : facts_->identity.groups)
        start.mutable_identity()->add_groups(group);
    start.mutable_identity()->set_issuer(facts_->identity.issuer);
    for (const std::string& actor : facts_->identity.actors)
        start.mutable_identity()->add_on_behalf_of()->set_subject(actor);
    start.set_resource(facts_->resource);
    start.set_protocol(facts_->protocol);
    start.set_peer(facts_->peer);
    start.mutable_destination()->set_address(facts_->destination.address);
    start.mutable_destination()->set_port(facts_->destination.port);
    start.mutable_destination()->set_name(facts_->destination.name);
    start.mutable_client()->set_address(client_address);
    start.mutable_client()->set_port(client_port);
    start.mutable_process()->set_pid(facts_->pid);
    start.mutable_process()->set_uid(facts_->uid);
    start.mutable_process()->set_comm(facts_->comm);
    start.mutable_process()->set_cgroup(facts_->cgroup);
    if (const auto bundle = shared_.bundle()) start.set_bundle(bundle->digest());
    start.set_refused(!refusal_.empty());
    start.set_reason(refusal_);
    auto written = journal_.append(entry);
    opened_ = written.has_value();
    return written;
}

Result<> Gate::write(const policy::Request& request, const policy::DecisionPtr& decision,
                     std::uint64_t number, const std::string& approval) {
    const std::string_view statement = request.statement.substr(0, kMaxRecorded);
    const bool truncated = statement.size() != request.statement.size();
    const Digest whole = truncated ? sha256(as_bytes(request.statement)) : Digest{};
    std::string facts;
    if (request.http != nullptr) {
        record::RequestEntry only;
        fill(*only.mutable_facts(), *request.http);
        if (request.tool_call != nullptr) {
            (*only.mutable_facts())["tool"] = request.tool_call->name;
            (*only.mutable_facts())["tool_call_id"] = request.tool_call->id;
        }
        facts = only.SerializeAsString();
    } else if (request.dns != nullptr) {
        record::RequestEntry only;
        fill(*only.mutable_facts(), *request.dns);
        facts = only.SerializeAsString();
    }
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
                            .more = as_bytes(facts)},
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
    if (open_.size() == kMaxOpen) open_.pop_front();
    open_.push_back({number, std::chrono::steady_clock::now()});
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
    const Digest digest = digest_of(*facts_, request);
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
                self->journal_approval(entrystate(state), id, number, reason);
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
    record::Entry entry;
    entry.set_time(nanoseconds(now()));
    auto& happened = *entry.mutable_approval();
    happened.set_approval(approval);
    happened.set_state(state);
    happened.set_session(facts_->id);
    happened.set_request(number);
    happened.set_reason(reason);
    // Failure is sticky in the writer; whoever acts on this asks writable().
    (void)journal_.append(entry);
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
    open_.push_back({pending->number, std::chrono::steady_clock::now()});
}

void Gate::leave(Tag tag) {
    const auto pending = take(tag);
    if (!pending) return;
    open_.push_back({pending->number, std::chrono::steady_clock::now()});
    // Nobody of this session will hear how it ends; the journal does all the same.
    const auto ended = [journal = shared_.services.journal, session = facts_->id,
                        number = pending->number](const approval::Approval& approval) {
        if (approval.state == approval::State::Granted ||
            approval.state == approval::State::Refused)
            return;  // recorded, with the person, where it was decided
        record::Entry entry;
        entry.set_time(nanoseconds(now()));
        auto& happened = *entry.mutable_approval();
        happened.set_approval(approval.id);
        happened.set_state(entrystate(approval.state));
        happened.set_session(session);
        happened.set_request(number);
        happened.set_reason(approval.reason);
        (void)journal->append({&entry, 1});
    };
    shared_.services.approvals->with(
        [&](approval::ApprovalBook& book) { book.leave(pending->approval, ended); });
}

void Gate::record(const session::Outcome& outcome) {
    const auto since = std::find_if(open_.begin(), open_.end(), [&](const Open& open) {
        return open.number == outcome.request;
    });
    auto duration = std::chrono::steady_clock::duration::zero();
    if (since != open_.end()) {
        duration = std::chrono::steady_clock::now() - since->since;
        open_.erase(since);
    }
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
                                .duration = std::chrono::nanoseconds{duration}.count()});
    if (!noted) ++shared_.tally.unrecordable;  // sticky: the next request is refused
}

void Gate::flush() {
    if (!journal_.flush()) ++shared_.tally.unrecordable;
}

void Gate::close(std::string_view reason) {
    if (!opened_) return;
    opened_ = false;
    while (!pending_.empty()) withdraw(pending_.front().tag);
    shared_.services.approvals->with(
        [&](approval::ApprovalBook& book) { book.end_session(facts_->id, steady_now()); });
    record::Entry entry;
    entry.set_time(nanoseconds(now()));
    auto& end = *entry.mutable_session_end();
    end.set_session(facts_->id);
    end.set_reason(std::string{reason});
    end.set_requests(live_->requests);
    end.set_rows(live_->rows);
    end.set_bytes_up(live_->up);
    end.set_bytes_down(live_->down);
    if (!upstream_address_.empty()) {
        end.mutable_upstream()->set_address(upstream_address_);
        end.mutable_upstream()->set_port(upstream_port_);
        end.set_upstream_reused(reused_);
    }
    const auto duration = std::chrono::steady_clock::now() - began_;
    end.set_duration(std::chrono::nanoseconds{duration}.count());
    if (auto written = journal_.append(entry); !written)
        log::error("end of session not recorded", {{"session", facts_->id}});
}

}  // namespace chaperone::net

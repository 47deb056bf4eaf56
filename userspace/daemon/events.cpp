// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/events.h"

#include "userspace/base/encoding.h"
#include "userspace/base/overloaded.h"
#include "userspace/base/steady.h"

#include <algorithm>
#include <variant>

namespace chaperone::daemon {

using v1::Event;
using v1::Session;

void set_time(google::protobuf::Timestamp& to, Time time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    to.set_seconds(seconds.time_since_epoch().count());
    to.set_nanos(static_cast<std::int32_t>((time - seconds).count()));
}

namespace {

// A double in JSON is exact up to here; counts beyond it are not counts any more.
double number(std::uint64_t value) {
    return static_cast<double>(value);
}

std::string_view state_name(record::ApprovalEntry::State state) {
    switch (state) {
    case record::ApprovalEntry::REQUESTED: return "requested";
    case record::ApprovalEntry::GRANTED: return "granted";
    case record::ApprovalEntry::REFUSED: return "refused";
    case record::ApprovalEntry::EXPIRED: return "expired";
    case record::ApprovalEntry::CANCELLED: return "cancelled";
    case record::ApprovalEntry::USED: return "used";
    case record::ApprovalEntry::VOTED: return "voted";
    default: return "unknown";  // protobuf's sentinels, and values of a newer writer
    }
}

void fill(Event& event, const record::SessionStart& start) {
    event.set_kind("open");
    event.set_workload(start.workload());
    event.set_subject(start.identity().subject());
    event.set_resource(start.resource());
    for (const auto& group : start.identity().groups()) event.add_groups(group);
    event.set_issuer(start.identity().issuer());
    event.set_status(start.refused() ? "refused: " + start.reason() : "");
    event.set_text(start.workload() + " (" + start.identity().subject() + ") to " +
                   start.resource() + " at " + start.destination().address() + ":" +
                   std::to_string(start.destination().port()) +
                   (start.refused() ? ", refused: " + start.reason() : ""));
}

void fill(Event& event, const record::RequestEntry& request) {
    event.set_kind("request");
    event.set_request(number(request.number()));
    event.set_statement(request.statement());
    event.set_database(request.database());
    event.set_user(request.user());
    event.set_request_kind(request.kind());
    event.set_truncated(request.statement_truncated());
    for (const auto& parameter : request.parameters()) {
        auto& value = *event.add_parameters();
        if (parameter.form() == record::Parameter::TEXT)
            value.set_string_value(parameter.text());
        else if (parameter.form() == record::Parameter::BINARY)
            value.set_string_value("\\x" + to_hex(as_bytes(parameter.data())));
        else
            value.set_null_value({});
    }
    const record::Decision& decision = request.decision();
    auto& made = *event.mutable_decision();
    made.set_effect(decision.effect());
    made.set_rule(decision.rule());
    *made.mutable_rules() = decision.rules();
    *made.mutable_masks() = decision.masks();
    made.set_reason(decision.reason());
    made.set_bundle(decision.bundle());
    made.set_generation(static_cast<double>(decision.generation()));
    made.set_commit(decision.commit());
    *made.mutable_shadow() = decision.shadow();
    event.set_approval(request.approval());
    event.set_text(decision.effect() + " " + request.kind() +
                   (request.statement().empty() ? "" : ": " + request.statement()) +
                   (decision.rule().empty() ? "" : "  [" + decision.rule() + "]"));
}

void fill(Event& event, const record::ApprovalEntry& approval) {
    event.set_kind("approval");
    event.set_request(number(approval.request()));
    event.set_approval(approval.approval());
    event.set_status(std::string{state_name(approval.state())});
    event.set_text("approval " + approval.approval() + " " + event.status() +
                   (approval.by().empty() ? "" : " by " + approval.by()) +
                   (approval.reason().empty() ? "" : ": " + approval.reason()));
}

void fill(Event& event, const record::ResultEntry& result) {
    event.set_kind("result");
    event.set_request(number(result.request()));
    event.set_status(result.code().empty() ? result.command_tag() : result.code());
    event.set_rows(number(result.rows()));
    event.set_bytes_up(number(result.bytes_up()));
    event.set_bytes_down(number(result.bytes_down()));
    event.set_text(result.status() + " " + event.status() + ", " + std::to_string(result.rows()) +
                   " rows");
}

void fill(Event& event, const record::SessionEnd& end) {
    event.set_kind("close");
    event.set_status(end.reason());
    event.set_rows(number(end.rows()));
    event.set_bytes_up(number(end.bytes_up()));
    event.set_bytes_down(number(end.bytes_down()));
    event.set_text("closed: " + end.reason());
}

void fill(Event& event, const record::Entry& entry) {
    switch (entry.body_case()) {
    case record::Entry::kSessionStart: return fill(event, entry.session_start());
    case record::Entry::kRequest: return fill(event, entry.request());
    case record::Entry::kApproval: return fill(event, entry.approval());
    case record::Entry::kResult: return fill(event, entry.result());
    case record::Entry::kSessionEnd: return fill(event, entry.session_end());
    case record::Entry::kRecovery:
        event.set_kind("recovery");
        event.set_text(entry.recovery().detail());
        return;
    case record::Entry::kAdmin:
        event.set_kind("admin");
        event.set_status(record::AdminEntry::Action_Name(entry.admin().action()));
        event.set_text(event.status() + " " + entry.admin().object() + " by " + entry.admin().by() +
                       (entry.admin().refused() ? " (refused)" : "") +
                       (entry.admin().detail().empty() ? "" : ": " + entry.admin().detail()));
        return;
    case record::Entry::kStream: event.set_kind("stream"); return;
    case record::Entry::kEvent:
        event.set_kind("event");
        event.set_workload(entry.event().workload());
        event.set_status(entry.event().outcome());
        event.set_text(entry.event().kind() + " " + entry.event().outcome() + " " +
                       entry.event().detail());
        return;
    case record::Entry::BODY_NOT_SET: event.set_kind("unknown"); return;
    }
}

}  // namespace

std::string_view session_of(const record::Entry& entry) {
    switch (entry.body_case()) {
    case record::Entry::kSessionStart: return entry.session_start().session();
    case record::Entry::kRequest: return entry.request().session();
    case record::Entry::kApproval: return entry.approval().session();
    case record::Entry::kResult: return entry.result().session();
    case record::Entry::kSessionEnd: return entry.session_end().session();
    case record::Entry::kStream: return entry.stream().session();
    case record::Entry::kRecovery:
    case record::Entry::kAdmin:
    case record::Entry::kEvent:
    case record::Entry::BODY_NOT_SET: return {};
    }
    return {};
}

Event to_event(const record::Stored& stored) {
    Event event;
    event.set_sequence(number(stored.index));
    set_time(*event.mutable_time(), Time{Duration{stored.entry.time()}});
    event.set_session(std::string{session_of(stored.entry)});
    fill(event, stored.entry);
    return event;
}

Session to_session(const record::SessionSummary& summary) {
    Session session;
    session.set_id(summary.id);
    session.set_workload(summary.workload);
    session.set_subject(summary.subject);
    session.set_resource(summary.resource);
    session.set_protocol(summary.protocol);
    session.mutable_destination()->set_address(summary.address);
    session.mutable_destination()->set_port(summary.port);
    session.mutable_destination()->set_name(summary.name);
    session.set_pid(summary.pid);
    session.set_uid(summary.uid);
    session.set_comm(summary.comm);
    session.set_state(summary.state);
    set_time(*session.mutable_start_time(), summary.start_time);
    if (summary.end_time) set_time(*session.mutable_end_time(), *summary.end_time);
    session.set_requests(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(summary.requests, std::numeric_limits<std::uint32_t>::max())));
    session.set_rows(number(summary.rows));
    session.set_bytes_up(number(summary.bytes_up));
    session.set_bytes_down(number(summary.bytes_down));
    session.set_effect(summary.effect);
    session.set_shadow(summary.shadow);
    session.set_end_reason(summary.end_reason);
    session.set_peer(summary.peer);
    return session;
}

void add_live(Session& session, const net::SessionSnapshot& live) {
    session.set_state(live.state);
    session.set_requests(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(live.requests, std::numeric_limits<std::uint32_t>::max())));
    session.set_rows(number(live.rows));
    session.set_bytes_up(number(live.bytes_up));
    session.set_bytes_down(number(live.bytes_down));
    if (live.facts && session.peer().empty()) session.set_peer(live.facts->peer);
}

Session to_session(const net::SessionSnapshot& live) {
    Session session;
    const policy::SessionFacts& facts = *live.facts;
    session.set_id(facts.id);
    session.set_workload(facts.workload);
    session.set_subject(facts.identity.subject);
    session.set_resource(facts.resource);
    session.set_protocol(facts.protocol);
    session.mutable_destination()->set_address(facts.destination.address);
    session.mutable_destination()->set_port(facts.destination.port);
    session.mutable_destination()->set_name(facts.destination.name);
    session.set_pid(facts.pid);
    session.set_uid(facts.uid);
    session.set_comm(facts.comm);
    session.set_peer(facts.peer);
    set_time(*session.mutable_start_time(), facts.start);
    session.set_effect(live.effect);
    add_live(session, live);
    return session;
}

v1::Approval to_approval(const approval::Approval& approval) {
    v1::Approval out;
    const approval::Held& held = approval.held;
    out.set_id(approval.id);
    out.set_state(std::string{approval::to_text(approval.state)});
    out.set_workload(held.workload);
    out.set_subject(held.subject);
    out.set_resource(held.resource);
    out.mutable_destination()->set_address(held.address);
    out.mutable_destination()->set_port(held.port);
    out.mutable_destination()->set_name(held.name);
    out.set_database(held.database);
    out.set_user(held.login);
    out.set_session(held.session);
    out.set_statement(held.statement);
    for (const std::string& parameter : held.parameters)
        out.add_parameters()->set_string_value(parameter);
    for (const std::string& field : held.fields) out.add_fields(field);
    set_time(*out.mutable_request_time(), to_wall(approval.request_time));
    set_time(*out.mutable_expire_time(), to_wall(approval.expire_time));
    out.set_digest(to_hex(held.digest));
    out.set_reason(approval.reason);
    const std::string_view scope =
        std::visit(overloaded{[](const approval::StatementScope&) { return "statement"; },
                              [](const approval::SessionScope&) { return "session"; },
                              [](const approval::DurationScope&) { return "window"; }},
                   held.scope);
    for (const approval::Requirement& one : held.requires_) {
        if (out.rule().empty()) out.set_rule(one.rule);
        auto& need = *out.add_needs();
        need.set_rule(one.rule);
        for (const std::string& by : one.by) need.add_by(by);
        need.set_count(one.count);
        need.set_scope(std::string{scope});
    }
    for (const approval::Vote& one : approval.votes) {
        auto& vote = *out.add_votes();
        vote.set_approver("user:" + one.by.name);
        vote.set_granted(true);
        vote.set_reason(one.reason);
        set_time(*vote.mutable_time(), one.time);
    }
    return out;
}

}  // namespace chaperone::daemon

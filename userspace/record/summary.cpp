// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/summary.h"

#include "userspace/base/encoding.h"

namespace chaperone::record {
namespace {

class Fields {
public:
    explicit Fields(Summary& summary) : summary_(summary) {}
    Fields& add(std::string_view key, const std::string& value) {
        if (!value.empty()) summary_.fields.emplace_back(key, value);
        return *this;
    }
    Fields& add(std::string_view key, std::uint64_t value) {
        if (value != 0) summary_.fields.emplace_back(key, std::to_string(value));
        return *this;
    }
    void head(std::string_view code, std::string_view name, Severity severity) {
        summary_.code = code;
        summary_.name = name;
        summary_.severity = severity;
    }

private:
    Summary& summary_;
};

void add_session(Fields& fields, const SessionStart& start) {
    fields.add("workload", start.workload()).add("subject", start.identity().subject());
    fields.add("resource", start.resource()).add("protocol", start.protocol());
    fields.add("dst", start.destination().address()).add("dpt", start.destination().port());
    fields.add("dhost", start.destination().name()).add("peer", start.peer());
    fields.add("pid", start.process().pid()).add("uid", start.process().uid());
    fields.add("comm", start.process().comm());
}

std::string parameters_of(const RequestEntry& request) {
    std::string text;
    for (const Parameter& parameter : request.parameters()) {
        if (!text.empty()) text += ", ";
        switch (parameter.form()) {
        case Parameter::TEXT: text += "'" + parameter.text() + "'"; break;
        case Parameter::BINARY: text += "base64:" + to_base64(as_bytes(parameter.data())); break;
        case Parameter::ABSENT: text += "NULL"; break;
        default: text += "?"; break;  // of a later version
        }
        if (parameter.truncated()) text += "…";
    }
    return text;
}

void say(Fields& fields, const RequestEntry& request) {
    const Decision& decision = request.decision();
    const std::string& effect = decision.effect();
    if (effect == "deny")
        fields.head("CR02W", "request.denied", Severity::Warning);
    else if (effect == "approve")
        fields.head("CR03N", "request.held", Severity::Notice);
    else if (decision.masks_size() != 0 || effect == "mask")
        fields.head("CR04I", "request.masked", Severity::Info);
    else
        fields.head("CR01I", "request.allowed", Severity::Info);
    fields.add("request", request.number()).add("kind", request.kind());
    fields.add("statement", request.statement()).add("parameters", parameters_of(request));
    fields.add("database", request.database()).add("user", request.user());
    fields.add("effect", effect).add("rule", decision.rule()).add("reason", decision.reason());
    fields.add("approval", request.approval()).add("bundle", decision.bundle());
    fields.add("generation", decision.generation()).add("commit", decision.commit());
}

void say(Fields& fields, const ApprovalEntry& approval) {
    switch (approval.state()) {
    case ApprovalEntry::REQUESTED:
        fields.head("CP01N", "approval.requested", Severity::Notice);
        break;
    case ApprovalEntry::GRANTED: fields.head("CP02N", "approval.granted", Severity::Notice); break;
    case ApprovalEntry::REFUSED: fields.head("CP03W", "approval.refused", Severity::Warning); break;
    case ApprovalEntry::EXPIRED: fields.head("CP04W", "approval.expired", Severity::Warning); break;
    case ApprovalEntry::CANCELLED:
        fields.head("CP05I", "approval.cancelled", Severity::Info);
        break;
    case ApprovalEntry::USED: fields.head("CP06I", "approval.used", Severity::Info); break;
    case ApprovalEntry::VOTED: fields.head("CP07N", "approval.voted", Severity::Notice); break;
    default: fields.head("CP00W", "approval", Severity::Warning); break;  // of a later version
    }
    fields.add("approval", approval.approval()).add("request", approval.request());
    fields.add("rule", approval.rule()).add("by", approval.by()).add("reason", approval.reason());
}

void say(Fields& fields, const ResultEntry& result) {
    if (result.status() == "ok")
        fields.head("CE01I", "result.ok", Severity::Info);
    else
        fields.head("CE02N", "result.failed", Severity::Notice);
    fields.add("request", result.request()).add("status", result.status());
    fields.add("resultCode", result.code()).add("tag", result.command_tag());
    fields.add("rows", result.rows()).add("out", result.bytes_up()).add("in", result.bytes_down());
    fields.add("durationNs", static_cast<std::uint64_t>(result.duration()));
    fields.add("masked", result.masked());
}

void say(Fields& fields, const SessionEnd& end) {
    fields.head("CS02I", "session.end", Severity::Info);
    fields.add("reason", end.reason()).add("requests", end.requests()).add("rows", end.rows());
    fields.add("out", end.bytes_up()).add("in", end.bytes_down());
    fields.add("durationNs", static_cast<std::uint64_t>(end.duration()));
    if (!end.has_upstream()) return;
    fields.add("upstream", end.upstream().address()).add("upstreamPort", end.upstream().port());
    fields.add("upstreamReused", end.upstream_reused());
}

void say(Fields& fields, const Recovery& recovery) {
    fields.head("CJ01W", "journal.recovered", Severity::Error);
    fields.add("cause", Recovery::Cause_Name(recovery.cause())).add("entries", recovery.size());
    fields.add("segment", recovery.segment()).add("offset", recovery.offset());
    fields.add("discarded", recovery.discarded()).add("unsigned", recovery.unsigned_entries());
    fields.add("file", recovery.discarded_file()).add("detail", recovery.detail());
}

void say(Fields& fields, const AdminEntry& admin) {
    if (admin.refused())
        fields.head("CA02W", "admin.refused", Severity::Warning);
    else
        fields.head("CA01N", "admin", Severity::Notice);
    fields.add("action", AdminEntry::Action_Name(admin.action())).add("by", admin.by());
    fields.add("uid", admin.by_uid()).add("object", admin.object()).add("detail", admin.detail());
}

void say(Fields& fields, const EventEntry& event) {
    if (event.outcome() == "blocked")
        fields.head("CK02W", "event.blocked", Severity::Warning);
    else
        fields.head("CK01N", "event", Severity::Notice);
    fields.add("kind", event.kind()).add("workload", event.workload());
    fields.add("dst", event.destination().address()).add("dpt", event.destination().port());
    fields.add("dhost", event.destination().name()).add("pid", event.process().pid());
    fields.add("uid", event.process().uid()).add("comm", event.process().comm());
    fields.add("outcome", event.outcome()).add("count", event.count());
    fields.add("detail", event.detail());
}

}  // namespace

const std::string& session_of(const Entry& entry) {
    static const std::string kNone;
    switch (entry.body_case()) {
    case Entry::kSessionStart: return entry.session_start().session();
    case Entry::kRequest: return entry.request().session();
    case Entry::kApproval: return entry.approval().session();
    case Entry::kResult: return entry.result().session();
    case Entry::kSessionEnd: return entry.session_end().session();
    case Entry::kStream: return entry.stream().session();
    case Entry::kRecovery:
    case Entry::kAdmin:
    case Entry::kEvent:
    case Entry::BODY_NOT_SET: return kNone;
    }
    return kNone;
}

Summary summarize(const Entry& entry, const SessionStart* session) {
    Summary summary;
    Fields fields{summary};
    fields.add("session", session_of(entry));
    if (entry.has_session_start()) {
        const SessionStart& start = entry.session_start();
        if (start.refused())
            fields.head("CS03W", "session.refused", Severity::Warning);
        else
            fields.head("CS01I", "session.start", Severity::Info);
        add_session(fields, start);
        fields.add("issuer", start.identity().issuer()).add("src", start.client().address());
        fields.add("spt", start.client().port()).add("reason", start.reason());
        fields.add("bundle", start.bundle());
        return summary;
    }
    if (session != nullptr) add_session(fields, *session);
    switch (entry.body_case()) {
    case Entry::kRequest: say(fields, entry.request()); break;
    case Entry::kApproval: say(fields, entry.approval()); break;
    case Entry::kResult: say(fields, entry.result()); break;
    case Entry::kSessionEnd: say(fields, entry.session_end()); break;
    case Entry::kRecovery: say(fields, entry.recovery()); break;
    case Entry::kAdmin: say(fields, entry.admin()); break;
    case Entry::kEvent: say(fields, entry.event()); break;
    case Entry::kStream: fields.head("CT01I", "stream", Severity::Info); break;
    case Entry::kSessionStart:
    case Entry::BODY_NOT_SET: fields.head("CX00N", "unknown", Severity::Notice); break;
    }
    return summary;
}

}  // namespace chaperone::record

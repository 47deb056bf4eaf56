// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/session_entries.h"

#include "policy/http/facts.h"
#include "policy/http/tool_call.h"
#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"

namespace chaperone::net {

namespace {

constexpr std::size_t kUsualFacts = 192;  // bytes

using record::encode_fact;

void add(Buffer& to, const policy::http::Facts& facts) {
    encode_fact(to, "method", facts.readings().front().method);
    encode_fact(to, "host", facts.host());
    encode_fact(to, "path", facts.readings().front().path);
    encode_fact(to, "version", facts.head().version);
    if (!facts.content_type().empty()) encode_fact(to, "content_type", facts.content_type());
    if (!facts.upgrade().empty()) encode_fact(to, "upgrade", facts.upgrade());
    if (facts.fronted()) encode_fact(to, "fronted", "true");
    if (facts.body.data.empty()) return;
    const Digest digest = sha256(as_bytes(facts.body.data));
    encode_fact(to, "body_sha256", to_hex(digest));
}

void add(Buffer& to, const policy::DnsFacts& facts) {
    encode_fact(to, "name", facts.name);
    encode_fact(to, "type", facts.type);
    encode_fact(to, "server", facts.server);
}

}  // namespace

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

record::StartFields start_of(const policy::SessionFacts& facts) {
    const policy::Destination& to = facts.destination;
    return {.time = nanoseconds(facts.start),
            .session = facts.id,
            .workload = facts.workload,
            .subject = facts.identity.subject,
            .issuer = facts.identity.issuer,
            .groups = facts.identity.groups,
            .actors = facts.identity.actors,
            .resource = facts.resource,
            .protocol = facts.protocol,
            .destination = {.address = to.address, .port = to.port, .name = to.name},
            .pid = facts.pid,
            .uid = facts.uid,
            .comm = facts.comm,
            .cgroup = facts.cgroup,
            .peer = facts.peer};
}

Buffer facts_of(const policy::Request& request) {
    Buffer facts;
    if (request.http == nullptr && request.dns == nullptr) return facts;
    facts.reserve(kUsualFacts);
    if (request.dns != nullptr)
        add(facts, *request.dns);
    else
        add(facts, *request.http);
    if (request.dns == nullptr && request.tool_call != nullptr) {
        encode_fact(facts, "tool", request.tool_call->name);
        encode_fact(facts, "tool_call_id", request.tool_call->id);
    }
    return facts;
}

record::Entry approval_entry(const std::string& session, std::uint64_t request,
                             const std::string& approval, record::ApprovalEntry::State state,
                             const std::string& reason) {
    record::Entry entry;
    entry.set_time(nanoseconds(now()));
    auto& happened = *entry.mutable_approval();
    happened.set_approval(approval);
    happened.set_state(state);
    happened.set_session(session);
    happened.set_request(request);
    happened.set_reason(reason);
    return entry;
}

record::ApprovalEntry::State entry_state(approval::State state) {
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

}  // namespace chaperone::net

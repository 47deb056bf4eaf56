// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/session_entries.h"

#include "policy/http/facts.h"
#include "policy/http/tool_call.h"
#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"

namespace chaperone::net {

namespace {

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

void fill(google::protobuf::Map<std::string, std::string>& to, const policy::DnsFacts& facts) {
    to["name"] = facts.name;
    to["type"] = facts.type;
    to["server"] = facts.server;
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

record::Entry start_of(const policy::SessionFacts& facts) {
    record::Entry entry;
    entry.set_time(nanoseconds(facts.start));
    auto& start = *entry.mutable_session_start();
    start.set_session(facts.id);
    start.set_workload(facts.workload);
    start.mutable_identity()->set_subject(facts.identity.subject);
    for (const std::string& group : facts.identity.groups)
        start.mutable_identity()->add_groups(group);
    start.mutable_identity()->set_issuer(facts.identity.issuer);
    for (const std::string& actor : facts.identity.actors)
        start.mutable_identity()->add_on_behalf_of()->set_subject(actor);
    start.set_resource(facts.resource);
    start.set_protocol(facts.protocol);
    start.set_peer(facts.peer);
    start.mutable_destination()->set_address(facts.destination.address);
    start.mutable_destination()->set_port(facts.destination.port);
    start.mutable_destination()->set_name(facts.destination.name);
    start.mutable_process()->set_pid(facts.pid);
    start.mutable_process()->set_uid(facts.uid);
    start.mutable_process()->set_comm(facts.comm);
    start.mutable_process()->set_cgroup(facts.cgroup);
    return entry;
}

std::string facts_of(const policy::Request& request) {
    if (request.http == nullptr && request.dns == nullptr) return {};
    record::RequestEntry only;
    auto& facts = *only.mutable_facts();
    if (request.dns != nullptr) {
        fill(facts, *request.dns);
    } else {
        fill(facts, *request.http);
        if (request.tool_call != nullptr) {
            facts["tool"] = request.tool_call->name;
            facts["tool_call_id"] = request.tool_call->id;
        }
    }
    return only.SerializeAsString();
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

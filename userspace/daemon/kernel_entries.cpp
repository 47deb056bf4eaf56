// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/kernel_entries.h"

#include "userspace/net/session_entries.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace chaperone::daemon {
namespace {

using net::nanoseconds;

std::string_view name_of(kernel::Denial::Kind kind) {
    switch (kind) {
    case kernel::Denial::Kind::Socket: return "socket";
    case kernel::Denial::Kind::Connect: return "connect";
    case kernel::Denial::Kind::Datagram: return "datagram";
    case kernel::Denial::Kind::Bind: return "bind";
    case kernel::Denial::Kind::Packet: return "packet";
    case kernel::Denial::Kind::Door: return "unix-socket";
    case kernel::Denial::Kind::Reach: return "reach";
    case kernel::Denial::Kind::Inbound: return "inbound";
    case kernel::Denial::Kind::Api: return "api";
    case kernel::Denial::Kind::Namespace: return "namespace";
    }
    return "unknown";
}

std::string protocol_name(int protocol) {
    switch (protocol) {
    case 0: return {};
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return "icmpv6";
    case IPPROTO_SCTP: return "sctp";
    default: return "protocol " + std::to_string(protocol);
    }
}

std::string describe(const kernel::Denial& denial) {
    if (denial.kind == kernel::Denial::Kind::Reach) {
        std::string text{denial.what};
        if (!denial.door.empty()) text += ": " + denial.door;
        if (denial.signal != 0) text += ": signal " + std::to_string(denial.signal);
        if (denial.target > 0) text += ": process " + std::to_string(denial.target);
        if (denial.target < 0) text += ": process group " + std::to_string(-denial.target);
        return text;
    }
    if (denial.kind == kernel::Denial::Kind::Api) return denial.door;
    if (denial.kind == kernel::Denial::Kind::Door)
        return denial.door.empty() ? "to a Unix socket" : "to " + denial.door;
    const std::string protocol = protocol_name(denial.protocol);
    if (denial.kind == kernel::Denial::Kind::Inbound)
        return protocol + " from " + denial.destination.host() + " to workload " + denial.listener;
    std::string text = protocol;
    if (denial.type == SOCK_RAW) text += text.empty() ? "raw" : " (raw)";
    if (denial.destination.port != 0 || denial.destination.ip != kernel::Address{}.ip)
        text += (text.empty() ? "" : " ") + std::string{"to "} + denial.destination.to_text();
    return text;
}

}  // namespace

record::Entry denial_entry(const kernel::Denial& denial, std::uint64_t count) {
    record::Entry entry;
    entry.set_time(nanoseconds(denial.time));
    auto& event = *entry.mutable_event();
    event.set_kind(std::string{name_of(denial.kind)});
    event.set_workload(denial.workload);
    event.set_outcome("blocked");
    event.set_detail(describe(denial));
    event.set_count(count);
    auto& process = *event.mutable_process();
    process.set_pid(denial.pid);
    process.set_uid(denial.uid);
    process.set_comm(denial.comm);
    process.set_cgroup(denial.cgroup_id);
    if (denial.kind == kernel::Denial::Kind::Reach && !denial.door.empty())
        (*event.mutable_facts())["file"] = denial.door;
    if (denial.target != 0) (*event.mutable_facts())["target"] = std::to_string(denial.target);
    if (denial.signal != 0) (*event.mutable_facts())["signal"] = std::to_string(denial.signal);
    if (denial.kind == kernel::Denial::Kind::Door) (*event.mutable_facts())["socket"] = denial.door;
    if (denial.kind == kernel::Denial::Kind::Inbound) {
        // The workload is the caller's where he is governed, else the one that was called.
        if (denial.workload.empty()) event.set_workload(denial.listener);
        (*event.mutable_facts())["peer"] = denial.listener;
        (*event.mutable_facts())["from"] = denial.destination.host();
        event.mutable_destination()->set_address(denial.local.host());
        event.mutable_destination()->set_port(denial.local.port);
        return entry;
    }
    if (denial.destination == kernel::Address{}) return entry;
    event.mutable_destination()->set_address(denial.destination.host());
    event.mutable_destination()->set_port(denial.destination.port);
    return entry;
}

record::Entry untold_entry(std::uint64_t count, std::string_view why) {
    record::Entry entry;
    entry.set_time(nanoseconds(now()));
    auto& event = *entry.mutable_event();
    event.set_kind("untold");
    event.set_outcome("blocked");
    event.set_detail(std::string{why});
    event.set_count(count);
    return entry;
}

record::Entry attempt_entry(const v1::ReportAttemptsRequest& report, const v1::Attempt& attempt) {
    record::Entry entry;
    const auto& time = attempt.time();
    entry.set_time(time.seconds() * 1'000'000'000 + time.nanos());
    auto& event = *entry.mutable_event();
    event.set_kind("call");
    event.set_workload(report.name());
    event.set_outcome("blocked");
    event.set_detail(attempt.call() + " got " + attempt.error());
    event.set_count(attempt.count());
    (*event.mutable_facts())["call"] = attempt.call();
    (*event.mutable_facts())["error"] = attempt.error();
    auto& process = *event.mutable_process();
    process.set_pid(attempt.pid());
    process.set_uid(attempt.uid());
    process.set_comm(attempt.comm());
    process.set_cgroup(report.cgroup_id());
    return entry;
}

record::Entry unrecorded_entry(const v1::ReportAttemptsRequest& report) {
    record::Entry entry;
    entry.set_time(nanoseconds(now()));
    auto& event = *entry.mutable_event();
    event.set_kind("call");
    event.set_workload(report.name());
    event.set_outcome("observed");
    event.set_detail("what seccomp refuses is not recorded: " + report.unrecorded());
    event.set_count(1);
    event.mutable_process()->set_cgroup(report.cgroup_id());
    return entry;
}

record::Entry start_entry(const policy::SessionFacts& facts, const kernel::Direct& direct,
                          std::string_view bundle) {
    record::StartFields start = net::start_of(facts);
    const std::string caller = direct.inbound ? direct.origin.destination.host() : std::string{};
    start.client = {.address = caller,
                    .port = direct.inbound ? direct.origin.destination.port : direct.local_port};
    start.bundle = bundle;
    Buffer encoded;
    encode_start(encoded, start);
    record::Entry entry;
    (void)entry.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()));
    return entry;
}

record::Entry decision_entry(const policy::SessionFacts& facts, const kernel::Direct& direct,
                             const policy::Decision& decision) {
    record::Entry entry;
    entry.set_time(nanoseconds(direct.time));
    auto& asked = *entry.mutable_request();
    asked.set_session(facts.id);
    asked.set_number(1);
    asked.set_kind("connect");
    auto& said = *asked.mutable_decision();
    said.set_effect(std::string{policy::to_text(decision.effect)});
    said.set_rule(decision.rule);
    for (const std::string& rule : decision.rules) said.add_rules(rule);
    said.set_reason(decision.reason);
    said.set_bundle(decision.bundle);
    (*asked.mutable_facts())["decided"] = "kernel";
    return entry;
}

record::Entry reached_entry(const std::string& session, const kernel::Direct& direct) {
    record::Entry entry;
    entry.set_time(nanoseconds(direct.time));
    auto& event = *entry.mutable_event();
    event.set_kind("reached");
    event.set_workload(direct.origin.workload.name);
    event.set_outcome("observed");
    event.set_detail("the listener is of workload " + direct.peer.name);
    event.set_count(1);
    (*event.mutable_facts())["peer"] = direct.peer.name;
    (*event.mutable_facts())["session"] = session;
    event.mutable_destination()->set_address(direct.origin.destination.host());
    event.mutable_destination()->set_port(direct.origin.destination.port);
    return entry;
}

record::Entry end_entry(const std::string& session, const kernel::Direct& direct,
                        const std::string& reason) {
    record::Entry entry;
    entry.set_time(nanoseconds(direct.time));
    auto& end = *entry.mutable_session_end();
    end.set_session(session);
    end.set_reason(!reason.empty()      ? reason
                   : direct.established ? "closed"
                                        : "the connection was not established");
    end.set_peer(direct.peer.name);
    end.set_requests(1);
    end.set_bytes_up(direct.bytes_up);
    end.set_bytes_down(direct.bytes_down);
    end.set_duration(direct.duration.count());
    return entry;
}

}  // namespace chaperone::daemon

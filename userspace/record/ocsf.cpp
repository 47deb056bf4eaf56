// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/ocsf.h"

#include "userspace/record/text.h"

#include <boost/json.hpp>

namespace chaperone::record {
namespace {

namespace json = boost::json;

// class_uid, its category, and the activity within it.
struct Class {
    int uid = 0;
    int activity = 99;  // Other
};

constexpr int kDetection = 2004;
constexpr int kNetwork = 4001;
constexpr int kHttp = 4002;
constexpr int kDns = 4003;
constexpr int kSsh = 4007;
constexpr int kApi = 6003;
constexpr int kDatastore = 6005;

int class_of(std::string_view protocol) {
    if (protocol == "postgresql" || protocol == "mysql") return kDatastore;
    if (protocol == "ssh") return kSsh;
    if (protocol == "kubernetes" || protocol == "mcp") return kApi;
    if (protocol == "http") return kHttp;
    return protocol == "dns" ? kDns : kNetwork;
}

int http_activity(std::string_view method) {
    static constexpr std::string_view kMethods[] = {"CONNECT", "DELETE", "GET", "HEAD",
                                                    "OPTIONS", "POST",   "PUT", "TRACE"};
    for (int i = 0; i != 8; ++i)
        if (kMethods[i] == method) return i + 1;
    return 99;
}

int api_activity(std::string_view verb) {
    if (verb == "create") return 1;
    if (verb == "get" || verb == "list" || verb == "watch") return 2;
    if (verb == "update" || verb == "patch") return 3;
    return verb == "delete" || verb == "deletecollection" ? 4 : 99;
}

std::string fact(const RequestEntry& request, const char* name) {
    const auto found = request.facts().find(name);
    return found == request.facts().end() ? std::string{} : found->second;
}

Class class_of(const Entry& entry, const SessionStart* session) {
    const int uid = class_of(session != nullptr ? session->protocol() : std::string{});
    switch (entry.body_case()) {
    case Entry::kSessionStart:
        if (uid == kDatastore) return {uid, 3};  // Connect
        if (uid == kSsh) return {uid, entry.session_start().refused() ? 4 : 1};
        return {kNetwork, entry.session_start().refused() ? 5 : 1};      // Refuse, Open
    case Entry::kSessionEnd: return {uid == kSsh ? kSsh : kNetwork, 2};  // Close
    case Entry::kRequest:
    case Entry::kResult:
        if (uid == kDatastore) return {uid, 4};  // Query
        if (uid == kHttp) return {uid, http_activity(fact(entry.request(), "method"))};
        if (uid == kApi) return {uid, api_activity(fact(entry.request(), "verb"))};
        if (uid == kDns) return {uid, entry.has_result() ? 2 : 1};
        return {uid, uid == kNetwork ? 6 : 99};  // Traffic
    case Entry::kEvent: return {kNetwork, entry.event().outcome() == "blocked" ? 5 : 99};
    case Entry::kRecovery: return {kDetection, 1};  // Create
    case Entry::kApproval:
    case Entry::kAdmin:
    case Entry::kStream:
    case Entry::BODY_NOT_SET: return {kApi, 99};
    }
    return {kApi, 99};
}

// Of the profile security_control.
struct Control {
    int action = 0;       // 1 Allowed, 2 Denied, 3 Observed, 4 Modified
    int disposition = 0;  // 1 Allowed, 2 Blocked, 8 Approved, 14 Delayed, 17 Logged, 25 Rejected
};

Control control_of(const Entry& entry) {
    switch (entry.body_case()) {
    case Entry::kSessionStart:
        return entry.session_start().refused() ? Control{2, 2} : Control{1, 1};
    case Entry::kRequest: {
        const Decision& decision = entry.request().decision();
        if (decision.effect() == "deny") return {2, 2};
        if (decision.effect() == "approve") return {3, 14};
        if (decision.effect() == "mask" || decision.masks_size() != 0) return {4, 1};
        return decision.effect() == "allow" ? Control{1, 1} : Control{};
    }
    case Entry::kApproval:
        if (entry.approval().state() == ApprovalEntry::GRANTED) return {1, 8};
        if (entry.approval().state() == ApprovalEntry::REQUESTED) return {3, 14};
        if (entry.approval().state() == ApprovalEntry::REFUSED) return {2, 25};
        return {3, 17};
    case Entry::kEvent:
        return entry.event().outcome() == "blocked" ? Control{2, 2} : Control{3, 17};
    case Entry::kResult:
    case Entry::kSessionEnd:
    case Entry::kRecovery:
    case Entry::kAdmin:
    case Entry::kStream:
    case Entry::BODY_NOT_SET: return {3, 17};
    }
    return {3, 17};
}

int severity_of(Severity severity) {
    switch (severity) {
    case Severity::Info: return 1;     // Informational
    case Severity::Notice: return 2;   // Low
    case Severity::Warning: return 3;  // Medium
    case Severity::Error: return 4;    // High
    }
    return 4;
}

void put(json::object& object, const char* key, const std::string& value) {
    if (!value.empty()) object[key] = to_utf8(value);
}

json::object endpoint(const Address& address) {
    json::object object;
    put(object, "ip", address.address());
    put(object, "hostname", address.name());
    if (address.port() != 0) object["port"] = address.port();
    return object;
}

json::object process(const Process& process) {
    json::object object{{"pid", process.pid()}};
    put(object, "name", process.comm());
    object["user"] = json::object{{"uid", std::to_string(process.uid())}};
    return object;
}

json::object actor(const SessionStart* session, const Entry& entry) {
    json::object object;
    if (session != nullptr) {
        json::object user;
        put(user, "name", session->identity().subject());
        json::array groups;
        for (const auto& group : session->identity().groups())
            groups.push_back(json::object{{"name", to_utf8(group)}});
        if (!groups.empty()) user["groups"] = std::move(groups);
        object["user"] = std::move(user);
        object["process"] = process(session->process());
        put(object, "app_name", session->workload());
    } else if (entry.has_event()) {
        object["process"] = process(entry.event().process());
        put(object, "app_name", entry.event().workload());
    } else if (entry.has_admin()) {
        json::object user{{"uid", std::to_string(entry.admin().by_uid())}};
        put(user, "name", entry.admin().by());
        object["user"] = std::move(user);
    } else {
        object["app_name"] = "chaperone";
    }
    return object;
}

void put_status(json::object& event, const Entry& entry) {
    if (!entry.has_result()) return;
    const ResultEntry& result = entry.result();
    event["status_id"] = result.status() == "ok" ? 1 : 2;
    put(event, "status_code", result.code());
    put(event, "status_detail", result.status());
    event["duration"] = result.duration() / 1'000'000;
}

// What a class demands beyond the base.
void put_class_fields(json::object& event, int uid, const Stored& stored, const Summary& summary) {
    const RequestEntry& request = stored.entry.request();
    if (uid == kDatastore) {
        json::object query;
        put(query, "query_string", request.statement());
        if (!query.empty()) event["query_info"] = std::move(query);
        if (!request.database().empty())
            event["database"] = json::object{{"name", to_utf8(request.database())}, {"type_id", 1}};
    } else if (uid == kApi) {
        event["api"] =
            json::object{{"operation", stored.entry.has_request() ? to_utf8(request.statement())
                                                                  : std::string{summary.name}}};
    } else if (uid == kHttp) {
        json::object http;
        put(http, "http_method", fact(request, "method"));
        json::object url;
        put(url, "path", fact(request, "path"));
        if (!url.empty()) http["url"] = std::move(url);
        event["http_request"] = std::move(http);
    } else if (uid == kDetection) {
        event["finding_info"] = json::object{{"uid", "journal-" + std::to_string(stored.index)},
                                             {"title", "The journal was recovered"}};
    }
}

}  // namespace

std::string to_ocsf(const Stored& stored, const SessionStart* session, const Summary& summary,
                    const std::string& host, const std::string& version) {
    const Entry& entry = stored.entry;
    const Class kind = class_of(entry, session);
    const Control control = control_of(entry);
    json::object event{
        {"activity_id", kind.activity},
        {"category_uid", kind.uid / 1000},
        {"class_uid", kind.uid},
        {"type_uid", kind.uid * 100 + kind.activity},
        {"severity_id", severity_of(summary.severity)},
        {"time", entry.time() / 1'000'000},
        {"message", summary.name},
        {"action_id", control.action},
        {"disposition_id", control.disposition},
    };
    if (kind.activity == 99) event["activity_name"] = summary.name;
    json::array profiles{"security_control", "host"};
    event["metadata"] = json::object{
        {"version", "1.8.0"},
        {"uid", std::to_string(stored.index)},
        {"event_code", summary.code},
        {"profiles", std::move(profiles)},
        {"product",
         json::object{{"name", "chaperone"}, {"vendor_name", "Chaperone"}, {"version", version}}}};
    if (!session_of(entry).empty())
        event["metadata"].as_object()["correlation_uid"] = to_utf8(session_of(entry));
    event["device"] = json::object{{"hostname", to_utf8(host)}, {"type_id", 1}};
    event["actor"] = actor(session, entry);
    if (session != nullptr) {
        event["src_endpoint"] = endpoint(session->client());
        event["dst_endpoint"] = endpoint(session->destination());
    } else {
        event["src_endpoint"] = json::object{{"hostname", to_utf8(host)}};
        if (entry.has_event()) event["dst_endpoint"] = endpoint(entry.event().destination());
    }
    put_status(event, entry);
    put_class_fields(event, kind.uid, stored, summary);
    if (const std::string& rule = entry.request().decision().rule(); !rule.empty())
        event["firewall_rule"] = json::object{{"uid", to_utf8(rule)}, {"name", to_utf8(rule)}};
    json::object rest;
    for (const auto& [key, value] : summary.fields) rest[key] = to_utf8(value);
    event["unmapped"] = std::move(rest);
    return json::serialize(event);
}

}  // namespace chaperone::record

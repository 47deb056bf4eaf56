// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/router.h"

#include "userspace/control/errors.h"
#include "userspace/control/json.h"

#include <array>
#include <optional>
#include <string_view>

namespace chaperone::control {
namespace {

struct Call {
    const HttpRequest& http;
    const Caller& caller;
    Service& service;
    std::string name{};  // what stands in place of {} in the path
};

Reply refuse(const Error& error) {
    return {.status = http_status(error.code), .body = error_json(error)};
}

// The request message: the body as JSON, then the query, then the object's name from the path, so
// that none of the former can say another object.
template <class Message>
Result<Message> read_message(const Call& call, std::string_view name_field) {
    Message message;
    if (!call.http.body.empty())
        if (auto read = from_json(call.http.body, message); !read) return fail(read.error());
    for (const auto& [key, value] : call.http.query)
        if (auto set = set_field(message, key, value); !set) return fail(set.error());
    if (!name_field.empty())
        if (auto set = set_field(message, name_field, call.name); !set) return fail(set.error());
    return message;
}

template <class Answer>
Reply answer(const Result<Answer>& result) {
    if (!result) return refuse(result.error());
    return {.status = 200, .body = to_json(*result)};
}

template <class Answer>
using Plain = Result<Answer> (Service::*)(const Caller&);
template <class Request, class Answer>
using WithRequest = Result<Answer> (Service::*)(const Request&, const Caller&);
template <class Request>
using Streaming = Result<> (Service::*)(const Request&, const Caller&, Stream&);

template <class Answer>
Reply call_with(const Call& call, std::string_view, Plain<Answer> method) {
    if (!call.http.body.empty() || !call.http.query.empty())
        if (const auto none = read_message<v1::Empty>(call, {}); !none)
            return refuse({Errc::Invalid, "this call takes no parameters"});
    return answer((call.service.*method)(call.caller));
}

template <class Request, class Answer>
Reply call_with(const Call& call, std::string_view name_field,
                WithRequest<Request, Answer> method) {
    const auto request = read_message<Request>(call, name_field);
    if (!request) return refuse(request.error());
    return answer((call.service.*method)(*request, call.caller));
}

template <class Request>
Reply call_with(const Call& call, std::string_view name_field, Streaming<Request> method) {
    auto request = read_message<Request>(call, name_field);
    if (!request) return refuse(request.error());
    return {.status = 200,
            .type = "application/x-ndjson",
            .stream = [request = *std::move(request), caller = call.caller, service = &call.service,
                       method](Stream& out) { return (service->*method)(request, caller, out); }};
}

struct Route {
    std::string_view method;
    std::string_view path;  // one {} stands for a name
    Access access;
    Reply (*run)(const Call&);
};

template <auto Method, char... NameField>
Reply run(const Call& call) {
    static constexpr std::array<char, sizeof...(NameField)> kName{NameField...};
    return call_with(call, {kName.data(), kName.size()}, Method);
}

template <auto Method>
Reply by_id(const Call& call) {
    return run<Method, 'i', 'd'>(call);
}

template <auto Method>
Reply by_name(const Call& call) {
    return run<Method, 'n', 'a', 'm', 'e'>(call);
}

Reply metrics(const Call& call) {
    return {.status = 200,
            .type = "text/plain; version=0.0.4; charset=utf-8",
            .body = call.service.metrics()};
}

using enum Access;
// clang-format off
constexpr Route kRoutes[] = {
    {"GET",    "/v1/status",                Everybody, run<&Service::status>},
    {"GET",    "/v1/doctor",                Operator,  run<&Service::doctor>},
    {"GET",    "/metrics",                  Operator,  metrics},
    {"GET",    "/v1/sessions",              Operator,  run<&Service::list_sessions>},
    {"GET",    "/v1/sessions/{}",           Operator,  by_id<&Service::get_session>},
    {"POST",   "/v1/sessions/{}:kill",      Operator,  by_id<&Service::kill_session>},
    {"GET",    "/v1/sessions/{}/entries",   Operator,  by_id<&Service::replay_session>},
    {"GET",    "/v1/sessions/{}/transcript", Operator, by_id<&Service::transcript>},
    {"GET",    "/v1/events",                Operator,  run<&Service::follow>},
    {"GET",    "/v1/approvals",             Approver,  run<&Service::list_approvals>},
    {"GET",    "/v1/approvals/{}",          Approver,  by_id<&Service::get_approval>},
    {"POST",   "/v1/approvals/{}:grant",    Approver,  by_id<&Service::grant_approval>},
    {"POST",   "/v1/approvals/{}:refuse",   Approver,  by_id<&Service::refuse_approval>},
    {"GET",    "/v1/approvals/{}:wait",     Approver,  by_id<&Service::wait_approval>},
    {"GET",    "/v1/workloads",             Operator,  run<&Service::list_workloads>},
    {"POST",   "/v1/workloads",             Operator,  run<&Service::add_workload>},
    {"GET",    "/v1/workloads/{}",          Operator,  by_name<&Service::get_workload>},
    {"DELETE", "/v1/workloads/{}",          Operator,  by_name<&Service::remove_workload>},
    {"POST",   "/v1/workloads/{}:bind",     Operator,  by_name<&Service::bind_workload>},
    {"POST",   "/v1/workloads/{}:report",   Operator,  by_name<&Service::report_attempts>},
    {"GET",    "/v1/bundle",                Operator,  run<&Service::bundle_status>},
    {"PUT",    "/v1/bundle",                Operator,  run<&Service::apply_bundle>},
    {"POST",   "/v1/bundle:rollback",       Operator,  run<&Service::roll_back_bundle>},
    {"GET",    "/v1/secrets",               Operator,  run<&Service::list_secrets>},
    {"PUT",    "/v1/secrets/{}",            Operator,  by_name<&Service::set_secret>},
    {"DELETE", "/v1/secrets/{}",            Operator,  by_name<&Service::remove_secret>},
    {"GET",    "/v1/ca",                    Operator,  run<&Service::show_ca>},
    {"POST",   "/v1/ca:rotate",             Operator,  run<&Service::rotate_ca>},
    {"POST",   "/v1/journal:prune",         Operator,  run<&Service::prune_journal>},
};
// clang-format on

// The name in place of {}; nullopt: another path. Segments are compared decoded, so "{}" may be
// any text but never spans a slash.
std::optional<std::string> match(std::string_view pattern, const std::vector<std::string>& path) {
    std::string name;
    std::size_t at = 0;
    pattern.remove_prefix(1);
    while (!pattern.empty()) {
        const auto end = std::min(pattern.find('/'), pattern.size());
        const std::string_view part = pattern.substr(0, end);
        pattern.remove_prefix(std::min(end + 1, pattern.size()));
        if (at == path.size()) return std::nullopt;
        const std::string_view segment = path[at++];
        if (!part.starts_with("{}")) {
            if (segment != part) return std::nullopt;
            continue;
        }
        const std::string_view verb = part.substr(2);
        if (!segment.ends_with(verb) || segment.size() == verb.size()) return std::nullopt;
        if (verb.empty() && segment.find(':') != std::string_view::npos) return std::nullopt;
        name = segment.substr(0, segment.size() - verb.size());
    }
    if (at != path.size()) return std::nullopt;
    return name;
}

}  // namespace

Result<> check_access(Access access, const Caller& caller) {
    if (access == Access::Everybody) return {};
    if (caller.governed)
        return fail(Errc::Denied, "a governed process may not do this, whatever its user is");
    if (access == Access::Operator && !caller.operates)
        return fail(Errc::Denied, "user " + caller.user +
                                      " does not operate this instance; be root or a "
                                      "member of its operators' group");
    return {};
}

Reply route(const HttpRequest& request, const Caller& caller, Service& service) {
    bool path_known = false;
    for (const Route& known : kRoutes) {
        auto name = match(known.path, request.path);
        if (!name) continue;
        path_known = true;
        if (known.method != request.method) continue;
        if (auto allowed = check_access(known.access, caller); !allowed)
            return refuse(allowed.error());
        return known.run({request, caller, service, *std::move(name)});
    }
    if (!path_known) return refuse({Errc::NotFound, "there is no such path in this API"});
    Reply reply = refuse({Errc::Invalid, "this path does not know the method " + request.method});
    reply.status = 405;
    return reply;
}

}  // namespace chaperone::control

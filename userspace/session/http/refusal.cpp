// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/refusal.h"

#include "policy/decision.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace chaperone::session {
namespace {

namespace json = boost::json;
using policy::http::Body;

// How soon an agent may come again for what a person has to decide.
constexpr unsigned kComeAgain = 15;

// A structured field's string (RFC 9651, 3.3.3) holds printable ASCII only.
std::string quoted(std::string_view text) {
    std::string made = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') made += '\\';
        made += c >= 0x20 && c < 0x7f ? c : '?';
    }
    return made + "\"";
}

std::string sentence(const Refusal& refusal) {
    return refusal.detail.empty() ? refusal.title : refusal.detail;
}

void explain(Refusal& made, const Answer& answer) {
    const policy::Decision* decision = answer.decision.get();
    if (decision == nullptr) return;
    made.rule = decision->rule;
    made.hint = decision->hint;
    const std::string why = answer.reason.empty() ? decision->reason : answer.reason;
    made.detail = made.rule.empty()
                      ? "chaperone: " + why
                      : "chaperone: denied by policy rule \"" + made.rule + "\": " + why;
}

}  // namespace

Refusal refusal_of(const Answer& answer, const policy::http::Facts& facts,
                   std::string_view session) {
    Refusal made;
    explain(made, answer);
    made.decision = std::string{session} + "-" + std::to_string(answer.request);
    made.approval = answer.approval;
    switch (answer.verdict) {
    case Verdict::Denied:
        if (facts.body.state == Body::State::TooLarge) {
            made.status = 413;
            made.type = "body-too-large";
            made.title = "The body is too large to be examined";
        } else if (made.rule == policy::kFrontedRule) {
            made.status = 421;
            made.type = "misdirected";
            made.title = "The connection was opened to another host";
            made.proxy_error = "blocked-by-host-mismatch";
        }
        break;
    case Verdict::Refused:
        made.type = "approval-refused";
        made.title = "Refused by an approver";
        break;
    case Verdict::Expired:
        made.type = "approval-expired";
        made.title = "Nobody approved it in time";
        break;
    case Verdict::Cancelled:
        made.type = "approval-cancelled";
        made.title = "The request for approval was withdrawn";
        break;
    case Verdict::Allowed:
    case Verdict::NeedsBody:
    case Verdict::Unavailable:
        // No Retry-After: a write must not be sent again by itself.
        made.status = 503;
        made.type = "unavailable";
        made.title = "It cannot be decided now";
        made.proxy_status = "proxy_internal_error";
        made.proxy_error = "policy-unavailable";
        if (made.detail.empty()) made.detail = "chaperone: " + answer.reason;
        break;
    }
    return made;
}

Refusal pending(std::string_view approval, const policy::Decision* decision, bool async) {
    Refusal made;
    made.status = async ? 202 : 403;
    made.type = "approval-pending";
    made.title = "Waiting for approval";
    made.detail = "chaperone: waiting for approval " + std::string{approval};
    made.hint = "send the same request again after it has been granted";
    made.proxy_error = "approval-pending";
    made.approval = approval;
    made.retry_after = kComeAgain;
    if (decision != nullptr) made.rule = decision->rule;
    return made;
}

Refusal malformed(int status, std::string_view what) {
    Refusal made;
    made.status = status;
    made.type = "malformed";
    made.title = "The request is not understood";
    made.detail = "chaperone: " + std::string{what};
    made.proxy_status = "http_request_error";
    made.proxy_error = "malformed-request";
    made.close = true;
    return made;
}

Refusal upstream_failed(int status, std::string_view proxy_status, std::string_view what) {
    Refusal made;
    made.status = status;
    made.type = "upstream";
    made.title = "The server cannot be reached";
    made.detail = "chaperone: " + std::string{what};
    made.proxy_status = proxy_status;
    made.proxy_error = "upstream-failed";
    made.close = true;
    return made;
}

Refusal not_reached(const Error& why) {
    int status = 502;
    std::string_view token = "destination_unavailable";
    if (why.code == Errc::NotFound) token = "dns_error";
    if (why.code == Errc::Denied) token = "connection_refused";
    if (why.code == Errc::Expired) {
        token = "connection_timeout";
        status = 504;
    }
    return upstream_failed(status, token, "the server cannot be reached: " + why.detail);
}

Refusal no_tls(const Error& why) {
    const bool trust = why.code == Errc::Invalid || why.code == Errc::Denied;
    return upstream_failed(502, trust ? "tls_certificate_error" : "tls_protocol_error",
                           "TLS with the server failed: " + why.detail);
}

LocalResponse render(const Refusal& refusal) {
    LocalResponse made{.status = refusal.status, .close = refusal.close};
    const std::string detail = sentence(refusal);
    json::object body{{"type", "https://chaperone.dev/problems/" + refusal.type},
                      {"title", refusal.title},
                      {"status", refusal.status},
                      {"detail", detail}};
    if (!refusal.decision.empty()) {
        body["instance"] = "/v1/denials/" + refusal.decision;
        body["decision_id"] = refusal.decision;
    }
    if (!refusal.rule.empty()) body["rule"] = refusal.rule;
    if (!refusal.approval.empty()) body["approval"] = refusal.approval;
    const bool waits = refusal.type == "approval-pending";
    body["agent_guidance"] =
        waits ? "A person was asked. Do not change the request; send it again later."
        : refusal.status >= 500
            ? "This is not about the request's content. Tell the user if it persists."
            : "Do not retry this request unchanged: the answer will be the same.";
    json::array steps;
    if (!refusal.hint.empty()) steps.emplace_back(refusal.hint);
    if (waits)
        steps.emplace_back("an approver decides with: chaperone approval grant " +
                           refusal.approval);
    body["next_steps"] = std::move(steps);
    made.body = json::serialize(body) + "\n";

    made.fields.emplace_back("Content-Type", "application/problem+json");
    made.fields.emplace_back("Cache-Control", "no-store");
    if (refusal.status != 202) {
        std::string status = "chaperone; error=" + refusal.proxy_status;
        status += "; details=" + quoted(refusal.rule.empty() ? detail : refusal.rule);
        made.fields.emplace_back("Proxy-Status", std::move(status));
        made.fields.emplace_back("x-proxy-error", refusal.proxy_error);
    } else {
        made.fields.emplace_back("Location",
                                 "http://chaperone.internal/v1/approvals/" + refusal.approval);
        made.fields.emplace_back("Preference-Applied", "respond-async");
    }
    if (refusal.retry_after != 0)
        made.fields.emplace_back("Retry-After", std::to_string(refusal.retry_after));
    return made;
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/pg_refusal.h"

#include "userspace/wire/pg/encoder.h"

#include <array>
#include <utility>

namespace chaperone::session {
namespace {

using Text = std::pair<char, std::string_view>;

std::string rule_of(const Answer& answer) {
    return answer.decision ? answer.decision->rule : std::string{};
}

std::string denied_message(const Answer& answer) {
    const std::string rule = rule_of(answer);
    const std::string reason =
        answer.reason.empty() && answer.decision ? answer.decision->reason : answer.reason;
    // What no rule decided has its reason elsewhere: no resource, no identity, no rule at all.
    if (rule.empty())
        return "chaperone: denied: " + (reason.empty() ? "no policy rule allows this" : reason);
    std::string text = "chaperone: denied by policy rule \"" + rule + "\"";
    if (!reason.empty()) text += ": " + reason;
    return text;
}

std::string with_reason(std::string text, const std::string& reason) {
    return reason.empty() ? text : text + ": " + reason;
}

std::string approval_named(const Answer& answer) {
    return answer.approval.empty() ? "approval" : "approval " + answer.approval;
}

void encode_error(Buffer& out, std::string_view severity, const PgRefusal& refusal) {
    const std::array<Text, 7> fields{{{'S', severity},
                                      {'V', severity},
                                      {'C', refusal.sqlstate},
                                      {'M', refusal.message},
                                      {'D', refusal.detail},
                                      {'H', refusal.hint},
                                      {'R', "chaperone_policy"}}};
    wire::pg::encode_diagnostic(out, 'E', fields);
}

}  // namespace

PgRefusal refusal_of(const Answer& answer, std::string_view session) {
    PgRefusal refusal{.sqlstate = "42501", .detail = "session " + std::string{session}};
    if (const std::string rule = rule_of(answer); !rule.empty())
        refusal.detail = "rule " + rule + ", " + refusal.detail;
    if (answer.decision) refusal.hint = answer.decision->hint;
    switch (answer.verdict) {
    case Verdict::Allowed:  // not a refusal: a caller that asks gets one that says so
    case Verdict::NeedsBody:
    case Verdict::Unavailable:
        refusal.sqlstate = "58000";
        refusal.message =
            "chaperone: the request could not be decided or recorded, so it was "
            "refused";
        refusal.hint = "try again later";
        break;
    case Verdict::Denied: refusal.message = denied_message(answer); break;
    case Verdict::Refused:
        refusal.message =
            with_reason("chaperone: " + approval_named(answer) + " was refused", answer.reason);
        break;
    case Verdict::Expired:
        refusal.message =
            "chaperone: " + approval_named(answer) + " expired before anybody decided";
        refusal.hint = "retry after " + approval_named(answer);
        break;
    case Verdict::Cancelled:
        refusal.sqlstate = "57014";
        refusal.message = "canceling statement due to user request";
        refusal.detail = approval_named(answer) + " was withdrawn, " + refusal.detail;
        break;
    }
    return refusal;
}

void encode_refusal(Buffer& out, const PgRefusal& refusal) {
    encode_error(out, "ERROR", refusal);
}

void encode_fatal(Buffer& out, const PgRefusal& refusal) {
    encode_error(out, "FATAL", refusal);
}

void encode_waiting(Buffer& out, std::string_view approval, Time expires,
                    std::string_view session) {
    const std::string message = "waiting for approval " + std::string{approval};
    const std::string detail = "session " + std::string{session} +
                               "; an approver decides with: " + "chaperone approval grant " +
                               std::string{approval};
    const std::string hint = "expires at " + to_rfc3339(expires);
    const std::array<Text, 7> fields{{{'S', "NOTICE"},
                                      {'V', "NOTICE"},
                                      {'C', "01000"},
                                      {'M', message},
                                      {'D', detail},
                                      {'H', hint},
                                      {'R', "chaperone_policy"}}};
    wire::pg::encode_diagnostic(out, 'N', fields);
}

}  // namespace chaperone::session

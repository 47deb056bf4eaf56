// SPDX-License-Identifier: Apache-2.0
#include "policy/http/meaning.h"

#include <algorithm>
#include <array>
#include <utility>

namespace chaperone::policy::http {

namespace {

using chaperone::http::lower;
using chaperone::http::same;
using chaperone::http::trim;

// Sorted, for the search.
constexpr auto kWithoutMeaning = std::to_array<std::string_view>({
    // clang-format off
    "accept", "accept-charset", "accept-encoding", "accept-language",
    "amz-sdk-invocation-id", "amz-sdk-request",
    "authorization", "b3", "baggage", "cache-control", "client-request-id", "connection",
    "content-length", "cookie", "correlation-id", "date", "dnt", "dpop", "elastic-apm-traceparent",
    "expect", "grpc-accept-encoding", "grpc-timeout", "host", "http2-settings", "idempotency-key",
    "if-modified-since", "keep-alive", "last-event-id", "mcp-session-id", "newrelic", "origin",
    "pragma", "priority", "proxy-authorization", "proxy-connection", "referer", "request-id",
    "save-data", "sec-gpc", "sec-websocket-key", "sentry-trace", "signature", "signature-input",
    "te", "trace-id", "traceparent", "tracestate", "trailer", "transfer-encoding", "uber-trace-id",
    "upgrade-insecure-requests", "user-agent",
    "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent",
    "x-amzn-trace-id", "x-client-request-id", "x-cloud-trace-context", "x-correlation-id",
    "x-csrf-token", "x-goog-api-client", "x-idempotency-key", "x-ms-client-request-id", "x-ms-date",
    "x-request-id", "x-trace", "x-trace-id", "x-xsrf-token",
    // clang-format on
});
static_assert(std::ranges::is_sorted(kWithoutMeaning));

constexpr auto kFamiliesWithoutMeaning = std::to_array<std::string_view>(
    {"sec-ch-", "sec-fetch-", "x-b3-", "x-datadog-", "x-stainless-"});

constexpr auto kSecretWords =
    std::to_array<std::string_view>({"auth", "token", "key", "secret", "passw", "credential",
                                     "signature", "session", "cookie", "otp", "jwt"});

bool counts(std::string_view name) noexcept {
    return !std::ranges::binary_search(kWithoutMeaning, name) &&
           std::ranges::none_of(kFamiliesWithoutMeaning,
                                [&](std::string_view family) { return name.starts_with(family); });
}

// How long a client waits, and whether it comes back for the answer, is no part of what it asks for
// (RFC 7240, 4.1 and 4.3).
std::string without_waiting(std::string_view prefer) {
    std::string kept;
    while (const auto next = chaperone::http::next_element(prefer)) {
        const std::string_view name = trim(next->substr(0, next->find_first_of("=;")));
        if (same(name, "respond-async") || same(name, "wait")) continue;
        if (!kept.empty()) kept += ", ";
        kept += *next;
    }
    return kept;
}

}  // namespace

std::multimap<std::string, std::string> meaningful(const chaperone::http::Fields& fields) {
    std::multimap<std::string, std::string> made;
    for (const chaperone::http::Field& field : fields) {
        std::string name = lower(field.name);
        if (!counts(name)) continue;
        std::string value =
            name == "prefer" ? without_waiting(field.value) : std::string{field.value};
        if (name == "prefer" && value.empty()) continue;
        made.emplace(std::move(name), std::move(value));
    }
    return made;
}

bool may_be_secret(std::string_view lower_name) noexcept {
    return std::ranges::any_of(kSecretWords, [&](std::string_view word) {
        return lower_name.find(word) != std::string_view::npos;
    });
}

}  // namespace chaperone::policy::http

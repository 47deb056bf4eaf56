// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/grpc.h"

#include <algorithm>
#include <charconv>

namespace chaperone::session {

std::optional<Duration> parse_grpc_timeout(std::string_view text) {
    if (text.size() < 2 || text.size() > 9) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, value);
    if (error != std::errc{} || end != text.data() + text.size() - 1 || value < 0)
        return std::nullopt;
    constexpr std::int64_t kLong = 1'000'000'000;  // seconds; more would overflow nanoseconds
    switch (text.back()) {
    case 'H': return std::chrono::seconds{std::min(value * 3600, kLong)};
    case 'M': return std::chrono::seconds{std::min(value * 60, kLong)};
    case 'S': return std::chrono::seconds{value};
    case 'm': return std::chrono::milliseconds{value};
    case 'u': return std::chrono::microseconds{value};
    case 'n': return std::chrono::nanoseconds{value};
    default: return std::nullopt;
    }
}

int grpc_status(const Refusal& refusal) {
    if (refusal.type == "approval-pending") return 9;
    switch (refusal.status) {
    case 403:
    case 421: return 7;
    case 408:
    case 504: return 4;
    case 413:
    case 431: return 8;
    case 405:
    case 501: return 12;
    case 502: return 14;
    default: return 13;  // ours to mend; clients do not retry it
    }
}

std::string encode_grpc_message(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte <= 0x7e && c != '%') {
            out += c;
            continue;
        }
        out += '%';
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
    return out;
}

void reshape_grpc(const Refusal& refusal, std::string_view type, LocalResponse& response) {
    std::string message = refusal.detail.empty() ? refusal.title : refusal.detail;
    if (!refusal.hint.empty()) message += " (" + refusal.hint + ")";
    response.status = 200;
    response.body.clear();
    std::erase_if(response.fields, [](const auto& field) {
        return field.first == "Content-Type" || field.first == "Retry-After" ||
               field.first == "Location";
    });
    response.fields.emplace_back("content-type", type);
    response.fields.emplace_back("grpc-status", std::to_string(grpc_status(refusal)));
    response.fields.emplace_back("grpc-message", encode_grpc_message(message));
}

}  // namespace chaperone::session

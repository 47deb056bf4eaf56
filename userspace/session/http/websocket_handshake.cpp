// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/websocket_handshake.h"

namespace chaperone::session {

namespace {

constexpr std::string_view kExtensions = "sec-websocket-extensions";

std::string joined(const http::Fields& fields) {
    std::string all;
    for (const http::Field& field : fields) {
        if (!http::same(field.name, kExtensions)) continue;
        if (!all.empty()) all += ", ";
        all += field.value;
    }
    return all;
}

}  // namespace

bool is_websocket(const policy::http::Facts& facts) {
    return http::same(facts.upgrade(), "websocket");
}

bool names_mcp(const http::Fields& fields) {
    return http::lists(fields, "sec-websocket-protocol", "mcp");
}

void edit_offers(const policy::http::Facts& facts, HeadEdits& edits) {
    const std::string offers = joined(facts.head().fields);
    if (offers.empty()) return;
    const auto kept = wire::websocket::filter_offers(offers);
    if (kept && *kept == offers) return;
    if (kept && !kept->empty())
        edits.set(kExtensions, *kept);
    else
        edits.remove(kExtensions);
}

Result<std::optional<wire::websocket::DeflateParameters>> agreed_deflate(
    const http::ResponseHead& head) {
    return wire::websocket::decode_agreed(joined(head.fields));
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// Negotiation of permessage-deflate (RFC 7692, 7) in Sec-WebSocket-Extensions (RFC 6455, 9.1), as
// one between client and server needs it: which offers may pass, and what was agreed on.
#pragma once

#include "userspace/base/error.h"

#include <optional>
#include <string>
#include <string_view>

namespace chaperone::wire::websocket {

struct DeflateParameters {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    int server_max_window_bits = 15;  // 8 to 15
    int client_max_window_bits = 15;

    bool operator==(const DeflateParameters&) const = default;
};

// The offers that are well-formed permessage-deflate, as they stood, joined by ", ". Others are
// left out, as if the server did not know them: what they did to frames could not be read.
// Malformed: the field is none (nothing should be passed on).
Result<std::string> filter_offers(std::string_view field);

// What the server chose; nullopt: nothing. Unsupported: another extension, or permessage-deflate
// twice; Malformed: parameters that no answer may have (7.1).
Result<std::optional<DeflateParameters>> decode_agreed(std::string_view field);

}  // namespace chaperone::wire::websocket

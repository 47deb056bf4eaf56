// SPDX-License-Identifier: Apache-2.0
// What one in the middle of a WebSocket handshake must see to (RFC 6455, 4 and 9): that no
// extension is agreed on which changes frames in a way that cannot be read here.
#pragma once

#include "policy/http/facts.h"
#include "userspace/session/http/head_edits.h"
#include "userspace/wire/websocket/extensions.h"

#include <optional>

namespace chaperone::session {

bool is_websocket(const policy::http::Facts& facts);

// Of a request or its answer: messages of MCP are to come (subprotocol "mcp", of the transport that
// its libraries have beside those of the specification), which nobody here reads.
bool names_mcp(const http::Fields& fields);

// Offers of extensions other than permessage-deflate do not go up.
void edit_offers(const policy::http::Facts& facts, HeadEdits& edits);

// What the server's answer agrees on. An error: the connection must not be opened.
Result<std::optional<wire::websocket::DeflateParameters>> agreed_deflate(
    const http::ResponseHead& head);

}  // namespace chaperone::session

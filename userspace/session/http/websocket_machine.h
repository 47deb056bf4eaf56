// SPDX-License-Identifier: Apache-2.0
// What becomes of an HTTP/1.1 connection after 101 (Switching Protocols): a WebSocket over both
// legs. The rules of the relay are in websocket_relay.h.
#pragma once

#include "userspace/session/http/config.h"

namespace chaperone::session {

// Upgrades to websocket are taken over by it; without this, or another, they are refused.
void enable_websockets(HttpConfig& config);

}  // namespace chaperone::session

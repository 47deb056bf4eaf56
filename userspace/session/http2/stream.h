// SPDX-License-Identifier: Apache-2.0
// One stream of the agent and the one that it became towards the server: its Exchange, what waits
// until that is decided, and the accounts of flow control. Data of http2/machine; no logic.
#pragma once

#include "userspace/session/http/exchange.h"
#include "userspace/session/http/websocket_relay.h"
#include "userspace/wire/http2/message.h"

#include <cstdint>
#include <memory>

namespace chaperone::session::http2 {

// Questions about a stream, and about messages of a WebSocket in it.
constexpr Tag kUpTag = Tag{1} << 32, kDownTag = Tag{2} << 32;
constexpr wire::http2::StreamId stream_of(Tag tag) noexcept {
    return static_cast<wire::http2::StreamId>(tag & 0x7fffffff);
}

// All of a stream but its exchange, as it is when the stream opens.
struct StreamState {
    wire::http2::StreamId front = 0;
    wire::http2::StreamId back = 0;  // 0: nothing went up yet
    bool back_open = false;
    http::RequestHead head{};  // views of `fields`
    wire::http2::Fields fields{};
    wire::http2::Fields trailers{};  // of the request, until they may go
    Buffer early{};                  // of the request's body, until it may go
    std::size_t up_waiting = 0;      // bytes of the request's body that were not given back yet
    std::size_t down_waiting = 0;    // of the response's
    std::size_t dropped = 0;         // of a request that nobody wants any more
    bool request_ended = false;      // all of it has come
    bool request_sent = false;       // its end was given on
    bool continued = false;          // 100 (Continue) was sent by us
    bool responded = false;          // a final head was given to the agent
    bool response_ended = false;
    bool events = false;  // the response is text/event-stream
    wire::http2::Fields response_trailers{};
    wire::http2::Fields held_fields{};  // of a response, until all of it may go
    Buffer held_body{};                 // the same
    bool holds_response = false;
    // Extended CONNECT (RFC 8441): after a 2xx both bodies are a WebSocket. `early` and `late` then
    // hold what the relay has not taken yet.
    bool websocket = false;
    std::unique_ptr<WebSocketRelay> relay{};
    Buffer late{};              // also of a response, while a person decides on a part of it
    bool server_ended = false;  // its bytes have come to their end
};

struct Stream : StreamState {
    Stream(const HttpConfig& config, wire::http2::StreamId id)
        : exchange(config, static_cast<Tag>(id)) {
        front = id;
    }
    // For another request, where nobody holds the facts of the last one any more; else false.
    bool restart(wire::http2::StreamId id) {
        if (!exchange.restart(static_cast<Tag>(id))) return false;
        static_cast<StreamState&>(*this) = StreamState{};
        front = id;
        return true;
    }

    Exchange exchange;
};

}  // namespace chaperone::session::http2

// SPDX-License-Identifier: Apache-2.0
// A WebSocket in a stream (RFC 8441): DATA of both sides is its bytes, the end of one its close.
#include "userspace/session/http/websocket_handshake.h"
#include "userspace/session/http2/machine.h"

namespace chaperone::session::http2 {

namespace {

class StreamPort final : public WebSocketRelay::Port {
public:
    StreamPort(wire::http2::Connection& front, wire::http2::Connection& back, Stream& stream)
        : front_(front), back_(back), stream_(stream) {}
    void pass(Side to, Bytes range) override { write(to, range); }
    void write(Side to, Bytes bytes) override {
        if (to == Side::Client) {
            front_.data(stream_.front, bytes);
            stream_.exchange.count_down(bytes.size());
        } else if (stream_.back_open) {
            back_.data(stream_.back, bytes);
            stream_.exchange.count_up(bytes.size());
        }
    }

private:
    wire::http2::Connection& front_;
    wire::http2::Connection& back_;
    Stream& stream_;
};

constexpr std::uint32_t kTunnelWindow = 256 * 1024;
// What waits for a side that reads slowly; then nothing more is taken that could add to it. Pings
// are answered here, so that a side can fill its own queue.
constexpr std::size_t kMaxWaiting = 256 * 1024;

}  // namespace

void Http2Machine::begin_relay(Stream& stream, const http::ResponseHead& head) {
    const auto deflate = agreed_deflate(head);
    const bool mcp = stream.exchange.answer().decision->mcp && names_mcp(head.fields);
    if (!deflate || mcp) return break_off(stream, Code::ProtocolError);
    WebSocketRelay::Opening opening;
    opening.request = stream.exchange.shared_facts();
    opening.decision = stream.exchange.answer().decision;
    opening.deflate = *deflate;
    opening.up = kUpTag | stream.exchange.tag();
    opening.down = kDownTag | stream.exchange.tag();
    stream.relay = std::make_unique<WebSocketRelay>(config_, std::move(opening));
    front_->widen(stream.front, kTunnelWindow);
    relay(stream, Side::Client, {});
    if (stream.request_ended) relay_end(stream, Side::Client);
}

bool Http2Machine::takes(const Stream& stream, Side from) const {
    return stream.relay->wants(from) && front_->queued(stream.front) <= kMaxWaiting &&
           (!stream.back_open || back_->queued(stream.back) <= kMaxWaiting);
}

void Http2Machine::relay(Stream& stream, Side from, Bytes data) {
    StreamPort port{*front_, *back_, stream};
    Buffer& waiting = from == Side::Client ? stream.early : stream.late;
    append(waiting, data);
    while (takes(stream, from) && !waiting.empty()) {
        const std::size_t used = stream.relay->on_received(from, waiting, now_, *out_, port);
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(used));
        if (used == 0) break;
    }
    if (stream.relay->over()) return relay_over(stream);
    credit_up(stream);
    credit_down(stream);
}

void Http2Machine::relay_decided(Stream& stream, const Answer& answer) {
    StreamPort port{*front_, *back_, stream};
    if (stream.relay->on_decided(answer, *out_, port)) touch(stream);
}

// What came behind a message that was asked about, or the end that did.
void Http2Machine::relay_on(Stream& stream) {
    for (const Side side : {Side::Client, Side::Server}) {
        if (stream.request_sent && stream.response_ended) return;
        relay(stream, side, {});
        if (side == Side::Client ? stream.request_ended : stream.server_ended)
            relay_end(stream, side);
    }
}

// The end of one side's bytes, once all of them have gone on.
void Http2Machine::relay_end(Stream& stream, Side from) {
    if (from == Side::Server) stream.server_ended = true;
    const Buffer& waiting = from == Side::Client ? stream.early : stream.late;
    // What is left of a frame that never became whole is nobody's.
    if (stream.relay->over() || (!waiting.empty() && !takes(stream, from))) return;
    if (from == Side::Client && !stream.request_sent) {
        stream.request_sent = true;
        back_->finish(stream.back);
    } else if (from == Side::Server && !stream.response_ended) {
        stream.response_ended = true;
        front_->finish(stream.front);
    }
}

void Http2Machine::relay_over(Stream& stream) {
    stream.early = {};
    stream.late = {};
    stream.request_sent = stream.response_ended = true;
    front_->finish(stream.front);
    if (stream.back_open) back_->finish(stream.back);
    credit_up(stream);
    credit_down(stream);
}

}  // namespace chaperone::session::http2

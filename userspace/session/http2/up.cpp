// SPDX-License-Identifier: Apache-2.0
// From the agent towards the server: heads are asked about, bodies wait for the answer.
#include "userspace/session/http2/heads.h"
#include "userspace/session/http2/machine.h"

namespace chaperone::session::http2 {

namespace {

// Of an allowed request's body, before the server has taken it.
constexpr std::uint32_t kOpenWindow = 512 * 1024;
// Of a refused request's body, that its sender may finish; then it is told to stop.
constexpr std::size_t kMaxDropped = 16 * 1024 * 1024;

bool is_tunnel(const http::RequestHead& head) {
    return head.method == "CONNECT";
}

}  // namespace

void Http2Machine::FrontEvents::on_head(StreamId id, Kind kind, Fields&& fields, bool end,
                                        bool too_large) {
    Http2Machine& m = machine;
    if (kind == Kind::Trailers) {
        Stream* stream = m.find(id);
        if (stream != nullptr && !too_large) stream->trailers = safe_trailers(std::move(fields));
        return;
    }
    Stream& stream = m.add_stream(id);
    stream.fields = std::move(fields);
    m.touch(stream);
    auto head = request_head(stream.fields);
    if (head) stream.head = *std::move(head);
    if (too_large)
        return stream.exchange.reject(malformed(431, "the request's fields are too large"),
                                      *m.out_);
    if (!head) return stream.exchange.reject(malformed(400, head.error().detail), *m.out_);
    if (stream.head.protocol.empty() && !is_tunnel(stream.head)) {
        // A server that believes it may take the request for one that came another way.
        if (!http::same(stream.head.scheme, m.config_.scheme))
            return stream.exchange.reject(malformed(400, "the scheme is not the connection's"),
                                          *m.out_);
        if (stream.head.target.contains('#'))
            return stream.exchange.reject(malformed(400, "the target has a fragment"), *m.out_);
    }
    if (is_tunnel(stream.head) && stream.head.protocol.empty())
        return stream.exchange.reject(malformed(405, "there are no tunnels here"), *m.out_);
    stream.websocket = is_tunnel(stream.head);
    if (stream.websocket && stream.head.protocol != "websocket")
        return stream.exchange.reject(malformed(501, "a protocol that nobody here can read"),
                                      *m.out_);
    if (!m.back_usable_ && !m.answers_itself()) return m.break_off(stream, Code::RefusedStream);
    stream.exchange.begin(stream.head, !end, m.now_, *m.out_);
}

void Http2Machine::FrontEvents::on_data(StreamId id, Bytes data) {
    Http2Machine& m = machine;
    Stream* stream = m.find(id);
    if (stream == nullptr) return m.front_->taken(id, data.size());
    stream->up_waiting += data.size();
    switch (stream->exchange.state()) {
    case Exchange::State::Asking:
    case Exchange::State::Preparing: return append(stream->early, data);
    case Exchange::State::NeedsBody: append(stream->early, data); return m.feed_policy(*stream);
    case Exchange::State::Go:
        if (stream->relay != nullptr) return m.relay(*stream, Side::Client, data);
        if (stream->back == 0 || (stream->websocket && !stream->responded))
            return append(stream->early, data);
        if (stream->back_open && !stream->websocket) return m.push_up(*stream, data, false);
        break;
    case Exchange::State::Refused: break;
    }
    m.drop(*stream, data.size());
}

void Http2Machine::FrontEvents::on_end(StreamId id) {
    Stream* stream = machine.find(id);
    if (stream == nullptr) return;
    stream->request_ended = true;
    if (stream->exchange.state() == Exchange::State::NeedsBody) machine.feed_policy(*stream);
    if (stream->relay != nullptr) return machine.relay_end(*stream, Side::Client);
    if (stream->websocket) return;
    if (stream->back_open && !stream->request_sent) machine.push_up(*stream, {}, true);
}

void Http2Machine::FrontEvents::on_closed(StreamId id, Code code) {
    Stream* stream = machine.find(id);
    if (stream == nullptr) return;
    machine.close_back(*stream, code == Code::NoError ? Code::Cancel : code);
    machine.forget(*stream, code == Code::NoError && stream->response_ended);
}

void Http2Machine::FrontEvents::on_sent(StreamId id) {
    Stream* stream = machine.find(id);
    if (stream == nullptr) return;
    machine.credit_down(*stream);
    if (stream->relay != nullptr) machine.touch(*stream);  // room for what waits
}

// The body goes to whoever wants to see it before anything is decided.
void Http2Machine::feed_policy(Stream& stream) {
    Exchange& exchange = stream.exchange;
    if (!stream.continued && !stream.request_ended && stream.early.empty() &&
        http::lists(stream.head.fields, "expect", "100-continue")) {
        stream.continued = true;
        front_->informational(stream.front, {{":status", "100"}});
    }
    if (!stream.early.empty()) {
        const bool taken = exchange.state() == Exchange::State::NeedsBody;
        exchange.buffer(stream.early, false, now_, *out_);
        // What is too long to be seen stays, and goes behind what was seen.
        if (taken) stream.early.clear();
    }
    if (stream.request_ended && exchange.state() == Exchange::State::NeedsBody)
        exchange.buffer({}, true, now_, *out_);
    credit_up(stream);
    if (exchange.state() != Exchange::State::NeedsBody) touch(stream);
}

void Http2Machine::send_up(Stream& stream) {
    if (!back_usable_) return break_off(stream, Code::RefusedStream);
    Exchange& exchange = stream.exchange;
    const bool whole = stream.request_ended && !stream.websocket && stream.early.empty() &&
                       exchange.body().empty() && stream.trailers.empty() &&
                       exchange.request_filter() == nullptr;
    const HeadEdits& edits = exchange.request_edits();
    const auto id = edits.empty()
                        ? back_->request(stream.fields, whole)
                        : back_->request(edited_request(stream.head, stream.fields, edits), whole);
    if (!id) return break_off(stream, Code::RefusedStream);
    stream.back = *id;
    stream.back_open = true;
    stream.request_sent = whole;
    by_back_[*id] = stream.front;
    if (whole || stream.websocket) return;
    front_->widen(stream.front, kOpenWindow);
    if (!exchange.body().empty()) push_up(stream, as_bytes(exchange.body()), false);
    if (!stream.back_open) return;
    const Buffer early = std::move(stream.early);
    stream.early = {};
    push_up(stream, early, stream.request_ended);
}

void Http2Machine::push_up(Stream& stream, Bytes data, bool last) {
    if (BodyFilter* filter = stream.exchange.request_filter()) {
        scratch_.clear();
        const auto pushed = filter->push(data, last, scratch_);
        if (!pushed) {
            if (stream.responded) return break_off(stream, Code::InternalError);
            stream.exchange.refuse(
                malformed(403, "the request's body cannot be masked: " + pushed.error().message()));
            return touch(stream);
        }
        data = scratch_;
    }
    stream.exchange.count_up(data.size());
    back_->data(stream.back, data);
    if (last) {
        stream.request_sent = true;
        back_->finish(stream.back,
                      filtered_trailers(stream.trailers, stream.exchange.request_filter()));
    }
    credit_up(stream);
}

// Of what came of the request's body, that is given back to the agent's window which waits nowhere.
void Http2Machine::credit_up(Stream& stream) {
    std::size_t waits = stream.early.size();
    if (stream.back_open) waits += back_->queued(stream.back);
    if (stream.up_waiting <= waits) return;
    front_->taken(stream.front, stream.up_waiting - waits);
    stream.up_waiting = waits;
}

void Http2Machine::drop(Stream& stream, std::size_t bytes) {
    stream.dropped += bytes;
    credit_up(stream);
    if (stream.dropped < kMaxDropped || !stream.response_ended) return;
    if (front_->queued(stream.front) != 0) return;
    front_->reset(stream.front, Code::NoError);  // RFC 9113, 8.1: the answer stands without it
    forget(stream, true);
}

}  // namespace chaperone::session::http2

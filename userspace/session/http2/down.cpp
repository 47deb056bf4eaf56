// SPDX-License-Identifier: Apache-2.0
// From the server towards the agent, and answers of our own.
#include "userspace/session/http2/heads.h"
#include "userspace/session/http2/machine.h"

#include <span>

namespace chaperone::session::http2 {

namespace {

// A stream that ends with one of these was not understood; others are the server's own word.
bool is_fault(wire::http2::Code code) {
    using wire::http2::Code;
    return code == Code::ProtocolError || code == Code::FlowControlError ||
           code == Code::FrameSizeError || code == Code::CompressionError ||
           code == Code::StreamClosed;
}

bool ends_an_event(std::string_view text) {
    return text.ends_with("\n\n") || text.ends_with("\r\n\r\n") || text.ends_with("\r\r");
}

constexpr std::string_view kBrokenOff =
    "\n\nevent: error\ndata: {\"type\":\"https://chaperone.dev/problems/response-broken-off\","
    "\"title\":\"The rest cannot be shown\"}\n\n";

}  // namespace

void Http2Machine::BackEvents::on_head(StreamId id, Kind kind, Fields&& fields, bool end,
                                       bool too_large) {
    Stream* stream = machine.find_back(id);
    if (stream == nullptr) return;
    if (kind == Kind::Trailers) {
        if (!too_large) stream->response_trailers = safe_trailers(std::move(fields));
    } else if (kind == Kind::Informational) {
        if (stream->responded) return;
        if (stream->exchange.masks_answer()) {  // only what no mask need see
            if (wire::http2::find(fields, ":status") != "100") return;
            fields = {{":status", "100"}};
        }
        if (const auto& credential = machine.config_.credential)
            for (auto& field : fields)
                credential->scrub(std::as_writable_bytes(std::span{field.value}));
        machine.front_->informational(stream->front, fields);
    } else {
        machine.response_head(*stream, std::move(fields), end, too_large);
    }
}

void Http2Machine::response_head(Stream& stream, Fields&& fields, bool end, bool too_large) {
    Exchange& exchange = stream.exchange;
    if (too_large) {
        exchange.refuse(upstream_failed(502, "http_response_header_section_size",
                                        "the response's fields are too large"));
        return touch(stream);
    }
    const http::ResponseHead head = session::http2::response_head(fields);
    // What a WebSocket says is the relay's to mask, not the response's body.
    const bool opens = stream.websocket && !end && head.status / 100 == 2;
    if (opens)
        exchange.on_opened(head);
    else if (!exchange.on_response(head, *out_))
        return touch(stream);
    const auto type = http::find(head.fields, "content-type").value_or("");
    stream.events = http::lower(type.substr(0, 17)) == "text/event-stream";
    stream.responded = true;
    stream.holds_response = exchange.holds_answer() && !end;
    if (stream.holds_response)
        stream.held_fields = std::move(fields);
    else
        pass_response_head(stream, fields, end);
    stream.response_ended = end;
    if (opens) begin_relay(stream, head);
}

void Http2Machine::pass_response_head(Stream& stream, const Fields& fields, bool end) {
    const HeadEdits& edits = stream.exchange.response_edits();
    if (edits.empty())
        front_->respond(stream.front, fields, end);
    else
        front_->respond(stream.front, edited_response(fields, edits), end);
}

void Http2Machine::BackEvents::on_data(StreamId id, Bytes data) {
    Stream* stream = machine.find_back(id);
    if (stream == nullptr) return machine.back_->taken(id, data.size());
    stream->down_waiting += data.size();
    if (stream->relay != nullptr) return machine.relay(*stream, Side::Server, data);
    if (stream->responded && !stream->response_ended)
        machine.push_down(*stream, data, false);
    else
        machine.credit_down(*stream);
}

void Http2Machine::BackEvents::on_end(StreamId id) {
    Stream* stream = machine.find_back(id);
    if (stream == nullptr || !stream->responded || stream->response_ended) return;
    if (stream->relay != nullptr) return machine.relay_end(*stream, Side::Server);
    machine.push_down(*stream, {}, true);
}

void Http2Machine::push_down(Stream& stream, Bytes data, bool last) {
    Exchange& exchange = stream.exchange;
    if (exchange.answer_waits()) {
        append(stream.late, data);
        stream.server_ended = stream.server_ended || last;
        return credit_down(stream);
    }
    if (BodyFilter* filter = exchange.response_filter()) {
        scratch_.clear();
        auto pushed = filter->push(data, last && !exchange.decides_calls(), scratch_);
        if (pushed && last && exchange.decides_calls() && !exchange.answer_waits()) {
            exchange.settle_calls();
            if (!exchange.answer_waits()) pushed = filter->push({}, true, scratch_);
        }
        if (pushed && exchange.answer_waits()) {
            stream.server_ended = last;
            if (stream.holds_response) return push_held(stream, true, false);
            return send_down(stream, scratch_, false);
        }
        // Whatever comes next may come much later: what is known of an event goes now.
        if (pushed && !last && stream.events && ends_an_event(as_text(data)))
            pushed = filter->flush(scratch_);
        const bool over = pushed && !last && filter->over();
        if (over) pushed = filter->push({}, true, scratch_);
        if (stream.holds_response) return push_held(stream, pushed.has_value(), last);
        if (!pushed) {
            if (!stream.events) return break_off(stream, Code::InternalError);
            front_->data(stream.front, as_bytes(kBrokenOff));
            front_->finish(stream.front);
            stream.response_ended = true;
            close_back(stream, Code::Cancel);
            return credit_down(stream);
        }
        data = scratch_;
        if (over) {
            close_back(stream, Code::Cancel);
            last = true;
        }
    }
    send_down(stream, data, last);
}

void Http2Machine::send_down(Stream& stream, Bytes data, bool last) {
    stream.exchange.count_down(data.size());
    front_->data(stream.front, data);
    if (last) {
        front_->finish(stream.front, filtered_trailers(std::move(stream.response_trailers),
                                                       stream.exchange.response_filter()));
        stream.response_ended = true;
    }
    credit_down(stream);
}

// A person has decided on a part of the response, or is still waited for: what can be said of it.
void Http2Machine::resume_down(Stream& stream) {
    if (stream.response_ended) return;
    if (stream.exchange.answer_waits()) {
        scratch_.clear();
        if (!stream.exchange.response_filter()->push({}, false, scratch_))
            return break_off(stream, Code::InternalError);
        return send_down(stream, scratch_, false);
    }
    const Buffer late = std::exchange(stream.late, {});
    push_down(stream, late, std::exchange(stream.server_ended, false));
}

// All of the response has come, and some of it waits here.
bool Http2Machine::ends_later(const Stream& stream) {
    return stream.relay == nullptr && stream.server_ended;
}

// Of a response that the agent has heard nothing of.
void Http2Machine::push_held(Stream& stream, bool passed, bool last) {
    if (!passed) {
        stream.holds_response = stream.responded = false;
        stream.held_body = {};
        stream.exchange.refuse_answer();
        return answer(stream);
    }
    append(stream.held_body, scratch_);
    if (!last) return credit_down(stream);
    stream.holds_response = false;
    pass_response_head(stream, stream.held_fields, false);
    send_down(stream, stream.held_body, true);
    stream.held_body = {};
}

void Http2Machine::credit_down(Stream& stream) {
    const std::size_t waits = front_->queued(stream.front) + stream.late.size();
    if (stream.down_waiting <= waits) return;
    back_->taken(stream.back, stream.down_waiting - waits);
    stream.down_waiting = waits;
}

void Http2Machine::BackEvents::on_closed(StreamId id, Code code) {
    Stream* stream = machine.find_back(id);
    machine.by_back_.erase(id);
    if (stream == nullptr) return;
    stream->back_open = false;
    machine.credit_up(*stream);
    // The answer is whole; what is left of the request nobody wants any more.
    if (stream->response_ended || ends_later(*stream)) return;
    // All that a WebSocket's server has said is here, and is decided about message by message.
    if (code == Code::NoError && stream->relay != nullptr && stream->server_ended) return;
    if (stream->responded || !is_fault(code))
        return machine.break_off(*stream, code == Code::NoError ? Code::InternalError : code);
    stream->exchange.refuse(
        upstream_failed(502, "http_protocol_error", "the server's answer is malformed"));
    machine.touch(*stream);
}

void Http2Machine::BackEvents::on_sent(StreamId id) {
    Stream* stream = machine.find_back(id);
    if (stream == nullptr) return;
    machine.credit_up(*stream);
    if (stream->relay != nullptr) machine.touch(*stream);
}

void Http2Machine::BackEvents::on_settings() {
    if (!machine.begun_)
        machine.begin_front();
    else
        machine.front_->begin(machine.back_->peer_allows_extended_connect(),
                              machine.back_->peer_streams());
}

// The server takes no more. Those that it did not look at are closed one by one behind this.
void Http2Machine::BackEvents::on_goaway(StreamId, Code) {
    machine.back_usable_ = false;
    machine.leave();
    for (const auto& [id, stream] : machine.streams_)
        if (stream->back == 0) machine.touch(*stream);
}

void Http2Machine::answer(Stream& stream) {
    const LocalResponse& response = stream.exchange.response();
    const bool body = stream.head.method != "HEAD" && !response.body.empty();
    Fields fields = local_response(response);
    if (body) fields.push_back({"content-length", std::to_string(response.body.size())});
    stream.responded = stream.response_ended = true;
    close_back(stream, Code::Cancel);
    front_->respond(stream.front, fields, !body);
    if (body) {
        front_->data(stream.front, as_bytes(response.body));
        front_->finish(stream.front);
    }
    stream.early = {};
    credit_up(stream);
    credit_down(stream);
}

}  // namespace chaperone::session::http2

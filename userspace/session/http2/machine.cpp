// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http2/machine.h"

#include "policy/http/grpc.h"
#include "userspace/session/http/grpc.h"

#include <utility>

namespace chaperone::session::http2 {

using wire::http2::Connection;

namespace {

// Streams that the agent may have open at once; a server that allows fewer has its way.
constexpr std::uint32_t kStreams = 128;
// Of a response's body, before the agent has taken it.
constexpr std::uint32_t kBackWindow = 512 * 1024;
// A server that says nothing for so long gets no say in what we offer.
constexpr unsigned kTicksForSettings = 2;
// Between the notice that no new streams should come, and the word which was the last: longer than
// any agent's line to us.
constexpr auto kNotice = std::chrono::seconds{1};
// Behind our last words, for the agent to close.
constexpr auto kLinger = std::chrono::seconds{2};
// Streams that are kept for others to come.
constexpr std::size_t kSpare = 16;

wire::http2::Limits limits(const HttpConfig& config, bool front) {
    wire::http2::Limits made;
    made.streams = kStreams;
    made.header_list = config.limits.head;
    made.head_time = config.limits.head_time;
    if (!front) made.stream_window = kBackWindow;
    return made;
}

HttpConfig with_grpc(HttpConfig config) {
    config.reshape = [inner = std::move(config.reshape)](const policy::http::Facts& facts,
                                                         const Refusal& refusal,
                                                         LocalResponse& response) {
        if (policy::http::is_grpc(facts))
            reshape_grpc(refusal, facts.content_type(), response);
        else if (inner)
            inner(facts, refusal, response);
    };
    return config;
}

}  // namespace

Http2Machine::Http2Machine(HttpConfig config) : config_(with_grpc(std::move(config))) {
    auto front = Connection::make(Connection::Role::Server, limits(config_, true), front_events_);
    auto back = Connection::make(Connection::Role::Client, limits(config_, false), back_events_);
    if (!front || !back) throw std::bad_alloc{};
    front_ = *std::move(front);
    back_ = *std::move(back);
    back_usable_ = !answers_itself();
    if (back_usable_)
        back_->begin(false, 0);
    else
        begin_front();
}

template <class Work>
void Http2Machine::event(Actions& out, Work&& work) {
    if (ended_ || linger_until_) return;
    const bool inner = out_ != nullptr;  // an answer may be given from within ask()
    if (!inner) out_ = &out;
    work();
    if (inner) return;
    settle();
    out_ = nullptr;
}

void Http2Machine::settle() {
    for (bool more = true; more && !ended_ && !linger_until_;) {
        while (!touched_.empty()) {
            const StreamId id = touched_.back();
            touched_.pop_back();
            if (Stream* stream = find(id)) advance(*stream);
        }
        more = flush(Side::Server);
        more = flush(Side::Client) || more || !touched_.empty();
    }
    if (!ended_ && begun_ && front_->finished())
        linger(drain_reason_.empty() ? "the connection came to its end" : drain_reason_);
}

bool Http2Machine::flush(Side side) {
    if (side == Side::Server && answers_itself()) return false;
    bool any = false;
    Connection& leg = side == Side::Client ? *front_ : *back_;
    for (Bytes bytes = leg.next(); !bytes.empty(); bytes = leg.next()) {
        out_->send(side, bytes);
        any = true;
    }
    return any;
}

void Http2Machine::begin_front() {
    const bool known = !answers_itself();
    front_->begin(known && back_->peer_allows_extended_connect(),
                  known ? back_->peer_streams() : kStreams);
    begun_ = true;
}

void Http2Machine::end(std::string_view reason) {
    if (ended_) return;
    say_last();
    ended_ = true;
    out_->end(reason);
}

void Http2Machine::say_last() {
    while (!streams_.empty()) forget(*streams_.begin()->second, false);
    flush(Side::Server);
    flush(Side::Client);
}

// Nothing more is said. To an agent that still sends when its connection is closed that is reset,
// and our last words, or its own reading of them, may be lost; so it is let close first.
void Http2Machine::linger(std::string_view reason) {
    if (linger_until_) return;
    say_last();
    linger_reason_ = reason;
    linger_until_ = now_ + kLinger;
    out_->close_write(Side::Client);
    if (!answers_itself()) out_->close_write(Side::Server);
}

void Http2Machine::end_linger(Actions& out) {
    if (std::exchange(ended_, true)) return;
    out.end(linger_reason_);
}

std::size_t Http2Machine::on_received(Side from, Bytes data, Actions& out) {
    // The first frame of a server is SETTINGS. It waits for what the server behind allows, and the
    // agent's bytes wait for it.
    if (from == Side::Client && !begun_) {
        event(out, [] {});
        return 0;
    }
    if (from == Side::Server && config_.refuse_all) return data.size();
    if (linger_until_) return data.size();
    event(out, [&] {
        const auto received = from == Side::Client ? front_->receive(data) : back_->receive(data);
        if (received) {
            if (from == Side::Server && back_->finished()) server_gone("it closed the connection");
        } else if (from == Side::Client) {
            linger(received.error().message());
        } else {
            server_gone("it does not speak HTTP/2 as it should");
        }
    });
    return data.size();
}

void Http2Machine::on_closed(Side by, Actions& out) {
    if (linger_until_ && by == Side::Client) return end_linger(out);
    event(out, [&] {
        if (by == Side::Server)
            return server_gone(server_alert_.empty() ? "it closed the connection" : server_alert_);
        if (back_usable_) back_->go_away(Code::NoError);
        end("the agent closed the connection");
    });
}

// What went up without an answer gets one of ours; what did not go up may be tried again.
void Http2Machine::server_gone(std::string_view why) {
    back_usable_ = false;
    if (config_.refuse_all) return;
    const std::string_view kind =
        server_alert_.empty() ? "connection_terminated" : "tls_alert_received";
    // It has not said a word of HTTP/2. Agents that are sent away would come again and again.
    if (!begun_) {
        if (server_alert_.empty()) why = "it ended without a word of HTTP/2";
        config_.refuse_all = upstream_failed(502, kind, "the server failed: " + std::string{why});
        return begin_front();
    }
    std::vector<StreamId> all;
    for (const auto& [id, stream] : streams_) all.push_back(id);
    for (const StreamId id : all) {
        Stream& stream = *find(id);
        stream.back_open = false;
        if (stream.response_ended || ends_later(stream)) continue;
        if (stream.back == 0 && stream.exchange.state() != Exchange::State::Refused) {
            break_off(stream, Code::RefusedStream);
        } else if (stream.responded) {
            break_off(stream, Code::InternalError);
        } else if (stream.back != 0) {
            stream.exchange.refuse(
                upstream_failed(502, kind, "the server failed: " + std::string{why}));
            touch(stream);
        }
    }
    by_back_.clear();
    leave();
}

// No new streams: those that the agent sends now are told to come again, elsewhere.
void Http2Machine::leave() {
    if (!begun_) begin_front();
    if (!std::exchange(leaving_, true)) front_->go_away(Code::NoError);
}

void Http2Machine::on_connected(Result<>, Actions&) {}
void Http2Machine::on_tls_started(Side, Result<TlsInfo>, Actions&) {}
void Http2Machine::on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) {}
void Http2Machine::on_cancel(Actions&) {}

void Http2Machine::on_held(Tag tag, std::string_view approval, Time, Actions& out) {
    event(out, [&] {
        Stream* stream = find(stream_of(tag));
        if (stream == nullptr || stream->relay != nullptr) return;
        stream->exchange.on_held(approval, now_, out);
        touch(*stream);
    });
}

void Http2Machine::on_decided(const Answer& answer, Actions& out) {
    event(out, [&] {
        Stream* stream = find(stream_of(answer.tag));
        if (stream == nullptr) return;
        if (stream->relay != nullptr) return relay_decided(*stream, answer);
        stream->exchange.on_decided(answer, now_, out);
        touch(*stream);
    });
}

void Http2Machine::on_terminate(std::string_view reason, Actions& out) {
    if (linger_until_) return end_linger(out);
    event(out, [&] {
        for (const auto& [id, stream] : streams_) {
            if (stream->responded) continue;
            stream->exchange.refuse(
                upstream_failed(503, "proxy_internal_response", std::string{reason}));
            answer(*stream);
        }
        leave();
        if (back_usable_) back_->go_away(Code::NoError);
        flush(Side::Client);
        end(reason);
    });
}

// In two steps (RFC 9113, 6.8): what the agent has sent before it read the first is served, too.
void Http2Machine::on_drain(std::string_view reason, Actions& out) {
    if (!begun_) return on_terminate(reason, out);
    event(out, [&] {
        begin_drain(reason);
        for (const auto& [id, stream] : streams_)
            if (stream->exchange.hurry(out)) touch(*stream);
    });
}

void Http2Machine::begin_drain(std::string_view reason) {
    if (!drain_reason_.empty()) return;
    drain_reason_ = reason;
    drained_ = now_;
    if (!leaving_) front_->go_away(Code::NoError, true);
}

void Http2Machine::on_quiet(Time now, Actions& out) {
    event(out, [&] {
        if (!quiet_since_ || !begun_ || !streams_.empty() || streams_begun_ != quiet_at_) {
            quiet_at_ = streams_begun_;
            quiet_since_ = now;
        } else if (now - *quiet_since_ >= config_.limits.idle) {
            begin_drain("no request came for long");
        }
    });
}

void Http2Machine::on_tick(Time now, Actions& out) {
    now_ = now;
    if (linger_until_ && now >= *linger_until_) return end_linger(out);
    event(out, [&] {
        if (!drain_reason_.empty() && now - drained_ >= kNotice) leave();
        front_->tick(now);
        back_->tick(now);
        if (!begun_ && ++ticks_ > kTicksForSettings) begin_front();
        for (const auto& [id, stream] : streams_)
            if (stream->exchange.on_tick(now, out)) touch(*stream);
    });
}

void Http2Machine::on_wake(Actions& out) {
    event(out, [&] {
        for (const auto& [id, stream] : streams_)
            if (stream->exchange.on_tick(now_, out)) touch(*stream);
    });
}

bool Http2Machine::wants(Side from) const {
    return !ended_ && (begun_ || from == Side::Server);
}

Stream& Http2Machine::add_stream(StreamId front) {
    std::unique_ptr<Stream> made;
    if (!spare_.empty()) {
        made = std::move(spare_.back());
        spare_.pop_back();
    }
    if (!made || !made->restart(front)) made = std::make_unique<Stream>(config_, front);
    ++streams_begun_;
    return *(streams_[front] = std::move(made));
}

Stream* Http2Machine::find(StreamId front) {
    const auto found = streams_.find(front);
    return found == streams_.end() ? nullptr : found->second.get();
}

Stream* Http2Machine::find_back(StreamId back) {
    const auto found = by_back_.find(back);
    return found == by_back_.end() ? nullptr : find(found->second);
}

void Http2Machine::advance(Stream& stream) {
    switch (stream.exchange.state()) {
    case Exchange::State::Asking:
    case Exchange::State::Preparing: return;
    case Exchange::State::NeedsBody: return feed_policy(stream);
    case Exchange::State::Go:
        if (stream.relay != nullptr) return relay_on(stream);
        if (stream.exchange.resumes()) return resume_down(stream);
        if (stream.back == 0) send_up(stream);
        return;
    case Exchange::State::Refused:
        if (!stream.responded) answer(stream);
        return;
    }
}

void Http2Machine::close_back(Stream& stream, Code code) {
    if (!stream.back_open) return;
    stream.back_open = false;
    by_back_.erase(stream.back);
    back_->reset(stream.back, code);
}

void Http2Machine::break_off(Stream& stream, Code code) {
    front_->reset(stream.front, code);
    forget(stream, false);
}

void Http2Machine::forget(Stream& stream, bool ok) {
    close_back(stream, Code::Cancel);
    front_->taken(stream.front, stream.up_waiting);
    back_->taken(stream.back, stream.down_waiting);
    if (stream.relay != nullptr) stream.relay->finish(*out_);
    stream.exchange.finish(ok, *out_);
    const auto gone = streams_.find(stream.front);
    // One that has held a body would keep its room.
    if (spare_.size() < kSpare && stream.relay == nullptr && stream.exchange.body().empty())
        spare_.push_back(std::move(gone->second));
    streams_.erase(gone);
}

}  // namespace chaperone::session::http2

namespace chaperone::session {

std::unique_ptr<Machine> make_http2_machine(HttpConfig config) {
    return std::make_unique<http2::Http2Machine>(std::move(config));
}

}  // namespace chaperone::session

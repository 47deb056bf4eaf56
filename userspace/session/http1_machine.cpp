// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http1_machine.h"

#include "userspace/session/http/websocket_machine.h"

namespace chaperone::session {

using wire::http1::BodyKind;
using wire::http1::ChunkReader;

namespace {

// How long a client may go on sending what nobody reads, before the connection is cut under it and
// the answer lost with it.
constexpr auto kLinger = std::chrono::seconds{2};

}  // namespace

std::unique_ptr<Machine> make_http1_machine(HttpConfig config) {
    enable_websockets(config);
    return std::make_unique<Http1Machine>(std::move(config));
}

void Http1Machine::Reader::begin(const wire::http1::Framing& how) {
    framing = how;
    left = how.length;
    chunks = {};
}

ChunkReader::Step Http1Machine::Reader::next(Bytes data) {
    switch (framing.body) {
    case BodyKind::None: return {.done = true};
    case BodyKind::Chunked: return chunks.next(data);
    case BodyKind::UntilClose: return {.used = data.size(), .data = data};
    case BodyKind::Length: {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, data.size()));
        left -= n;
        return {.used = n, .data = data.first(n), .done = left == 0};
    }
    }
    return {};
}

bool Http1Machine::wants(Side from) const {
    if (ended_) return false;
    if (tunnel_) return tunnel_->wants(from);
    if (from == Side::Server) return !answer_waits() && server_ != Server::Renewing;
    if (lingering_) return true;
    if (client_closed_) return false;
    if (reading_ == nullptr) {
        if (turns_.empty()) return true;
        // Behind a last request there is nothing but the client's end, behind an upgrade perhaps
        // another protocol.
        const Turn& last = *turns_.back();
        return last.close ||
               (turns_.size() < config_.limits.pipelined && !last.request.framing.upgrade);
    }
    switch (reading_->exchange.state()) {
    case Exchange::State::Asking:
    case Exchange::State::Preparing: return false;
    case Exchange::State::Go: return !waits_for_server();
    case Exchange::State::NeedsBody:
    case Exchange::State::Refused: return true;
    }
    return false;
}

std::size_t Http1Machine::on_received(Side from, Bytes data, Actions& out) {
    if (tunnel_) return tunnel_->on_received(from, data, out);
    if (!wants(from) || data.empty()) return 0;
    return from == Side::Client ? on_client(data, out) : on_server(data, out);
}

Http1Machine::Turn& Http1Machine::add_turn() {
    const Tag tag = next_tag_++;
    if (spare_ && spare_->exchange.restart(tag)) {
        Turn& turn = *spare_;
        turn.raw_head.clear();
        turn.hop.clear();
        turn.held_head.clear();
        turn.held_body.clear();
        turn.request = {};
        turn.response = {};
        turn.head_size = 0;
        turn.old_client = turn.gone_up = turn.rechunk_up = turn.rechunk_down = false;
        turn.read = turn.response_begun = turn.answered = turn.close = turn.endless = false;
        turn.body_ended = turn.until_close = false;
        turn.hidden_close = turn.binds = false;
        turns_.push_back(std::move(spare_));
    } else {
        turns_.push_back(std::make_unique<Turn>(config_, tag));
    }
    return *turns_.back();
}

// What can be said now, in order; what is over goes.
void Http1Machine::settle(Actions& out) {
    while (!turns_.empty() && !ended_ && !lingering_) {
        Turn& first = *turns_.front();
        if (first.exchange.state() == Exchange::State::Refused && !first.answered)
            answer_ourselves(first, out);
        if (!first.answered) return;
        if (first.close) {
            first.exchange.finish(true, out);
            return linger(out);
        }
        if (!first.read) return;
        first.exchange.finish(true, out);
        spare_ = std::move(turns_.front());
        turns_.erase(turns_.begin());
        ++turns_done_;
    }
    if (client_closed_ && turns_.empty()) finish("the client closed the connection", out);
}

void Http1Machine::answer_ourselves(Turn& turn, Actions& out) {
    const LocalResponse& local = turn.exchange.response();
    spoiled_ = spoiled_ || turn.gone_up;  // the server may still be at it
    // Whether the body still comes, after an answer that was not 100, only the client knows.
    const bool unsure = turn.request.framing.continue_100 && !turn.read;
    turn.close = turn.close || local.close || unsure || !turn.request.framing.keep_alive;
    http::Fields fields;
    for (const auto& [name, value] : local.fields) fields.push_back({name, value});
    const std::string length = std::to_string(local.body.size());
    fields.push_back({"Content-Length", length});
    if (turn.close)
        fields.push_back({"Connection", "close"});
    else if (turn.old_client)
        fields.push_back({"Connection", "keep-alive"});
    scratch_.clear();
    wire::http1::write_response_head(scratch_, local.status, "1.1",
                                     wire::http1::reason_of(local.status), fields);
    if (turn.method != "HEAD") append(scratch_, local.body);
    out.send(Side::Client, scratch_);
    turn.exchange.count_down(scratch_.size());
    turn.answered = true;
}

// Nothing more is said. The client is let finish, so that it reads what was.
void Http1Machine::linger(Actions& out) {
    if (client_closed_ || turns_.front()->read) {
        offer_server(out);
        return finish("the connection was closed behind an answer", out);
    }
    lingering_ = true;
    out.close_write(Side::Client);  // who reads to the end has it
    reading_ = nullptr;
    linger_until_ = now_ + kLinger;
}

void Http1Machine::finish(std::string_view reason, Actions& out) {
    if (ended_) return;
    ended_ = true;
    for (const auto& turn : turns_) turn->exchange.finish(false, out);
    reading_ = nullptr;
    // Where its answer is not whole, the client must not take it for such: as the server ended.
    const Turn* first = turns_.empty() ? nullptr : turns_.front().get();
    const bool part = first != nullptr && first->gone_up && !first->answered;
    if (server_cut_ == Cut::Untold) return out.end_untold(reason);
    if (part && (first->until_close || server_cut_ == Cut::Reset)) return out.drop(reason);
    out.end(reason);
}

void Http1Machine::emit(Side to, bool chunked, Bytes data, Actions& out) {
    if (data.empty()) return;
    if (!chunked) return out.send(to, data);
    Buffer head;
    wire::http1::write_chunk_head(head, data.size());
    out.send(to, head);
    out.send(to, data);
    out.send(to, as_bytes("\r\n"));
}

// The last chunk, and behind it what the filter lets go on.
void Http1Machine::emit_end(Side to, const Reader& body, BodyFilter* filter, Actions& out) {
    Buffer last;
    if (filter == nullptr) {
        wire::http1::write_last_chunk(last, body.chunks.trailers());
    } else {
        std::vector<std::pair<std::string, std::string>> kept;
        for (const auto& [name, value] : body.chunks.trailers())
            if (auto passed = filter->trailer(name, value))
                kept.emplace_back(name, *std::move(passed));
        wire::http1::write_last_chunk(last, kept);
    }
    out.send(to, last);
}

void Http1Machine::on_closed(Side by, Actions& out) {
    if (ended_) return;
    if (tunnel_) return tunnel_->on_closed(by, out);
    if (by == Side::Client) {
        client_closed_ = true;
        const bool waits = (reading_ != nullptr && !lingering_) || answer_waits();
        if (waits || lingering_ || turns_.empty()) {
            if (!answer_waits()) offer_server(out);
            return finish("the client closed the connection", out);
        }
        if (server_ == Server::Renewing) return;
        // It may have closed its half only, or have gone: the server is told as much as we are, and
        // does what it would without us.
        return out.close_write(Side::Server);
    }
    if (server_is_left(out)) return;
    // It never was of use (a server that wanted a certificate says so this way): whoever asks is
    // told, instead of finding a connection that is gone.
    if (turns_.empty() && turns_done_ == 0 && !server_alert_.empty() && !lingering_ &&
        !client_closed_) {
        config_.refuse_all = upstream_failed(502, "tls_alert_received", server_alert_);
        return;
    }
    if (turns_.empty() || lingering_) return finish("the server closed the connection", out);
    Turn& turn = *turns_.front();
    if (turn.exchange.answer_waits()) {
        turn.close = true;
        turn.body_ended = turn.body_ended || turn.response.framing.body == BodyKind::UntilClose;
        if (turn.body_ended) return;
    }
    if (client_closed_ && !turn.response_begun)
        return finish("the client closed the connection, and the server did so too", out);
    if (turn.response_begun && turn.response.framing.body == BodyKind::UntilClose) {
        if (server_cut_ && (turn.rechunk_down || server_cut_ == Cut::Reset))
            return finish("the server broke off", out);
        if (turn.exchange.response_filter() != nullptr && !filter_response(turn, {}, true, out))
            return;
        if (turn.exchange.answer_waits()) {
            turn.close = true;
            return;
        }
        turn.exchange.finish(!server_cut_, out);
        turn.answered = !server_cut_;
        return finish("the server closed the connection", out);
    }
    // A server may close at any time, and clients know what to do then: an answer of ours would
    // keep them from asking again. What it says of TLS they would not learn.
    if (!turn.response_begun && turns_done_ == 0 && !server_alert_.empty() && !turn.answered) {
        turn.close = true;
        turn.exchange.refuse(upstream_failed(502, "tls_alert_received", server_alert_));
        settle(out);
    }
    if (half_head_) return on_bad_response(turn, "the server broke off in its answer's head", out);
    finish("the server closed the connection", out);
}

void Http1Machine::on_held(Tag tag, std::string_view approval, Time expires, Actions& out) {
    if (tunnel_) return tunnel_->on_held(tag, approval, expires, out);
    Turn* turn = asking(tag);
    if (turn == nullptr) return;
    turn->exchange.on_held(approval, now_, out);
    progress(*turn, out);
}

void Http1Machine::on_decided(const Answer& answer, Actions& out) {
    if (tunnel_) return tunnel_->on_decided(answer, out);
    Turn* turn = asking(answer.tag);
    if (turn == nullptr) return;
    turn->exchange.on_decided(answer, now_, out);
    progress(*turn, out);
}

// Whose question it is: of the request that is read, or about the answer that is.
Http1Machine::Turn* Http1Machine::asking(Tag tag) {
    if (ended_) return nullptr;
    if (reading_ != nullptr && reading_->exchange.tag() == tag) return reading_;
    if (!turns_.empty() && turns_.front()->exchange.tag() == tag) return turns_.front().get();
    return nullptr;
}

void Http1Machine::progress(Turn& turn, Actions& out) {
    if (turn.exchange.resumes())
        resume_response(turn, out);
    else if (&turn == reading_)
        advance(out);
}

bool Http1Machine::answer_waits() const {
    return !turns_.empty() && turns_.front()->exchange.answer_waits();
}

void Http1Machine::on_terminate(std::string_view reason, Actions& out) {
    if (tunnel_) return tunnel_->on_terminate(reason, out);
    finish(reason, out);
}

// Between requests it ends at once; else behind the answer to the last one that has begun.
void Http1Machine::on_drain(std::string_view reason, Actions& out) {
    if (tunnel_) return tunnel_->on_drain(reason, out);
    if (turns_.empty() && !head_open_) return finish(reason, out);
    draining_ = true;
    if (!turns_.empty()) turns_.back()->close = true;
    if (reading_ != nullptr && reading_->exchange.hurry(out)) progress(*reading_, out);
    if (!ended_ && answer_waits() && turns_.front()->exchange.hurry(out))
        progress(*turns_.front(), out);
}

void Http1Machine::on_tick(Time now, Actions& out) {
    now_ = now;
    if (tunnel_) return tunnel_->on_tick(now, out);
    if (ended_) return;
    if (lingering_ && now_ >= linger_until_)
        return finish("the connection was closed behind an answer", out);
    if (head_open_ && reading_ == nullptr && now_ - head_since_ > config_.limits.head_time)
        return on_bad_request({408, "the head took too long"}, out);
    on_wake(out);
}

void Http1Machine::on_quiet(Time now, Actions& out) {
    if (tunnel_) return tunnel_->on_quiet(now, out);
    if (ended_ || lingering_) return;
    const bool idle = turns_.empty() && !head_open_;
    const bool rest = !turns_.empty() && turns_.front()->answered && !turns_.front()->read;
    const std::uint64_t at =
        (turns_done_ << 1 | (rest ? 1U : 0U)) ^ (rest ? turns_.front()->exchange.up() << 8 : 0U);
    if (!quiet_since_ || at != quiet_at_ || !(idle || rest)) {
        quiet_at_ = at;
        quiet_since_ = now;
    } else if (idle && now - *quiet_since_ >= config_.limits.idle) {
        finish("no request came for long", out);
    } else if (rest && now - *quiet_since_ >= config_.limits.rest_time) {
        finish("the rest of a request that was answered did not come", out);
    }
}

void Http1Machine::on_wake(Actions& out) {
    if (tunnel_) return tunnel_->on_wake(out);
    if (ended_) return;
    if (reading_ != nullptr && reading_->exchange.on_tick(now_, out)) progress(*reading_, out);
    if (ended_ || turns_.empty() || turns_.front().get() == reading_) return;
    if (turns_.front()->exchange.on_tick(now_, out)) progress(*turns_.front(), out);
}

}  // namespace chaperone::session

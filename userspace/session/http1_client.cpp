// SPDX-License-Identifier: Apache-2.0
// What the agent sends.
#include "userspace/session/http1_machine.h"

#include "userspace/session/http/reuse.h"

#include <array>

namespace chaperone::session {

using wire::http1::BodyKind;
using wire::http1::ChunkReader;
using wire::http1::Fault;

namespace {

// Of Connection, what both hops of one conversation share; the rest is for the first hop alone.
bool is_shared(std::string_view option) {
    constexpr std::array<std::string_view, 4> kShared{"close", "keep-alive", "upgrade", "te"};
    return std::ranges::any_of(kShared, [&](auto one) { return http::same(one, option); });
}

// What a Connection field must not name: the hop would lose what frames, routes or guards.
bool is_needed(std::string_view option) {
    constexpr std::array<std::string_view, 6> kNeeded{
        "host", "content-length", "transfer-encoding", "cookie", "authorization", "content-type"};
    return std::ranges::any_of(kNeeded, [&](auto one) { return http::same(one, option); });
}

// Fields for the next hop only (RFC 9110, 7.6.1). False: the request must not be read so.
bool strip_hop(const http::RequestHead& head, bool drop_upgrade, bool drop_close,
               HeadEdits& edits) {
    std::string kept;
    bool changed = false;
    for (const http::Field& field : head.fields) {
        if (http::same(field.name, "proxy-connection") || http::same(field.name, "keep-alive"))
            edits.remove(field.name);
        if (!http::same(field.name, "connection")) continue;
        std::string_view rest = field.value;
        while (const auto option = http::next_element(rest)) {
            if (is_needed(*option)) return false;
            const bool close = http::same(*option, "close");
            const bool dropped =
                (drop_upgrade && http::same(*option, "upgrade")) || (drop_close && close);
            if (is_shared(*option) && !dropped) {
                kept += (kept.empty() ? "" : ", ") + std::string{*option};
                continue;
            }
            if (!close) edits.remove(*option);
            changed = true;
        }
    }
    if (!changed) return true;
    edits.remove("connection");
    if (!kept.empty()) edits.add("Connection", kept);
    return true;
}

}  // namespace

std::size_t Http1Machine::on_client(Bytes data, Actions& out) {
    std::size_t used = 0;
    while (!ended_ && used != data.size()) {
        if (lingering_) return data.size();
        if (!wants(Side::Client)) return used;
        const Bytes rest = data.subspan(used);
        if (reading_ != nullptr) {
            Turn& turn = *reading_;
            const std::size_t n = read_request(turn, rest, out);
            used += n;
            if (n == 0 && reading_ == &turn) return used;
            continue;
        }
        // Nobody reads what stands behind a last request, and we do not either.
        if (!turns_.empty() && turns_.back()->close) return data.size();
        // An empty line before a request is skipped, as servers do (RFC 9112, 2.2).
        const std::string_view text = as_text(rest);
        if (text.starts_with("\r\n")) {
            used += 2;
            continue;
        }
        const std::size_t before = turns_.size() + turns_done_;
        (void)begin_turn(rest, out);
        if (turns_.size() + turns_done_ == before) return used;
    }
    return used;
}

std::size_t Http1Machine::begin_turn(Bytes data, Actions& out) {
    http::RequestHead head;
    wire::http1::Framing framing;
    const wire::http1::Limits limits{config_.limits.head, config_.limits.target,
                                     config_.limits.fields};
    const auto parsed = wire::http1::parse_request(data, config_.scheme, limits, head, framing);
    if (parsed.fault.status != 0) {
        on_bad_request(parsed.fault, out);
        return 0;
    }
    if (parsed.size == 0) {
        if (!head_open_) head_since_ = now_;
        head_open_ = true;
        return 0;
    }
    head_open_ = false;
    // Over HTTP/1.1 a server may ignore the wish for HTTP/2; then so do we, for it. Other wishes
    // are the server's to ignore: most do, and where one agrees that is the end (switch_protocols).
    const bool ignored = framing.upgrade && http::same(head.protocol, "h2c");
    // That the agent wants no other answer is between it and us.
    const bool hidden =
        config_.reuse && !framing.keep_alive && head.version == "1.1" && !framing.upgrade;
    HeadEdits hop;
    if (!strip_hop(head, ignored, hidden, hop)) {
        on_bad_request({400, "Connection names a field that the request needs"}, out);
        return 0;
    }
    if (ignored) {
        hop.remove("upgrade");
        framing.upgrade = false;
        head.protocol = {};
    }
    Turn& turn = add_turn();
    reading_ = &turn;
    turn.hop = std::move(hop);
    turn.method = head.method;
    turn.old_client = head.version == "1.0";
    turn.hidden_close = hidden;
    turn.binds = config_.reuse && binds_connection(head.fields);
    turn.head_size = parsed.size;
    turn.request.begin(framing);
    std::string_view refused;
    if (head.method == "CONNECT")
        refused = "CONNECT is not offered here: connections are made directly";
    if (!refused.empty() || draining_) turn.close = true;
    // What does not go on is nothing that a rule may rely on.
    if (!turn.hop.empty()) head.fields = turn.hop.apply(std::move(head.fields));
    turn.exchange.begin(head, framing.body != BodyKind::None, now_, out, refused);
    settle(out);
    return 0;
}

std::size_t Http1Machine::read_request(Turn& turn, Bytes data, Actions& out) {
    if (turn.endless) return data.size();
    const auto state = turn.exchange.state();
    if (turn.head_size != 0) {
        if (state == Exchange::State::Go && !may_go_up(turn, out)) return 0;
        const Bytes raw = data.first(turn.head_size);
        turn.head_size = 0;
        if (state == Exchange::State::Go) {
            send_head(turn, raw, out);
        } else if (state == Exchange::State::NeedsBody) {
            turn.raw_head.assign(raw.begin(), raw.end());
            // It waits for this word; the server will not be asked for it again.
            if (turn.request.framing.continue_100 && turns_.front().get() == &turn) {
                out.send(Side::Client, as_bytes("HTTP/1.1 100 Continue\r\n\r\n"));
                turn.hop.remove("expect");
            }
        }
        if (turn.request.framing.body == BodyKind::None) was_read(turn, out);
        return raw.size();
    }
    const auto step = turn.request.next(data);
    if (step.fault.status != 0) {
        // Nothing can tell where it ends; and the server must not be left to guess.
        if (turn.gone_up)
            finish("the request's body is malformed", out);
        else
            on_bad_request(step.fault, out);
        return 0;
    }
    switch (state) {
    case Exchange::State::NeedsBody: turn.exchange.buffer(step.data, step.done, now_, out); break;
    case Exchange::State::Go:
        if (!send_body(turn, data.first(step.used), step, out)) return step.used;
        break;
    case Exchange::State::Refused: break;  // dropped, so that the connection can go on
    case Exchange::State::Asking:
    case Exchange::State::Preparing: return 0;
    }
    if (state == Exchange::State::NeedsBody)
        advance(out);
    else if (step.done)
        was_read(turn, out);
    return step.used;
}

// What was read before it was decided goes up, or is done with, as soon as it is.
void Http1Machine::advance(Actions& out) {
    if (reading_ != nullptr && reading_->head_size == 0 && !reading_->gone_up &&
        !reading_->endless) {
        Turn& turn = *reading_;
        const auto state = turn.exchange.state();
        if (state == Exchange::State::Go) {
            if (!may_go_up(turn, out)) return settle(out);
            send_buffered(turn, out);
        }
        const bool over = state == Exchange::State::Go || state == Exchange::State::Refused;
        if (over && !ended_ && turn.exchange.body_complete()) return was_read(turn, out);
    }
    settle(out);
}

void Http1Machine::was_read(Turn& turn, Actions& out) {
    turn.read = true;
    if (!turn.request.framing.keep_alive) turn.close = true;
    if (reading_ == &turn) reading_ = nullptr;
    settle(out);
}

void Http1Machine::send_head(Turn& turn, Bytes raw, Actions& out) {
    turn.gone_up = true;
    spoiled_ = spoiled_ || turn.binds || turn.request.framing.upgrade ||
               (!turn.request.framing.keep_alive && !turn.hidden_close);
    const HeadEdits& edits = turn.exchange.request_edits();
    const BodyFilter* filter = turn.exchange.request_filter();
    const BodyKind body = turn.request.framing.body;
    const bool reframed = filter != nullptr && body != BodyKind::None && !filter->keeps_length();
    turn.rechunk_up = reframed || (filter != nullptr && body == BodyKind::Chunked);
    const bool as_it_is = edits.empty() && turn.hop.empty() && !reframed;
    if (as_it_is && !turn.request.framing.odd_space) {
        turn.exchange.count_up(raw.size());
        if (server_ == Server::Reused) repeat_ = copy(raw);
        if (turn.raw_head.empty()) return out.forward(Side::Server, raw);
        return out.send(Side::Server, raw);
    }
    // Once more, for the names in the case in which they came.
    http::RequestHead head;
    wire::http1::Framing framing;
    const wire::http1::Limits limits{config_.limits.head, config_.limits.target,
                                     config_.limits.fields};
    (void)wire::http1::parse_request(raw, config_.scheme, limits, head, framing);
    http::Fields fields = turn.hop.apply(std::move(head.fields));
    if (!edits.empty()) fields = edits.apply(std::move(fields));
    if (reframed) {
        std::erase_if(fields, [](const http::Field& field) {
            return http::same(field.name, "content-length") ||
                   http::same(field.name, "transfer-encoding");
        });
        fields.push_back({"Transfer-Encoding", "chunked"});
        if (turn.old_client) head.version = "1.1";
    }
    scratch_.clear();
    wire::http1::write_request_head(scratch_, head, edits.target(head.target), fields);
    turn.exchange.count_up(scratch_.size());
    if (server_ == Server::Reused) repeat_ = scratch_;
    out.send(Side::Server, scratch_);
}

// The head and what was read of the body before it was decided.
void Http1Machine::send_buffered(Turn& turn, Actions& out) {
    send_head(turn, turn.raw_head, out);
    turn.raw_head = {};
    const bool chunked = turn.request.framing.body == BodyKind::Chunked;
    turn.rechunk_up = turn.rechunk_up || chunked;
    const std::string& body = turn.exchange.body();
    const bool whole = turn.exchange.body_complete();
    turn.exchange.count_up(body.size());
    if (BodyFilter* filter = turn.exchange.request_filter()) {
        Buffer masked;
        if (!filter->push(as_bytes(body), whole, masked))
            return finish("the request's body cannot go on", out);
        emit(Side::Server, turn.rechunk_up, masked, out);
    } else {
        emit(Side::Server, turn.rechunk_up, as_bytes(body), out);
    }
    if (whole && turn.rechunk_up)
        emit_end(Side::Server, turn.request, turn.exchange.request_filter(), out);
}

// False: the session is over.
bool Http1Machine::send_body(Turn& turn, Bytes raw, const ChunkReader::Step& step, Actions& out) {
    turn.exchange.count_up(raw.size());
    BodyFilter* filter = turn.exchange.request_filter();
    if (!turn.rechunk_up && filter == nullptr) {
        out.forward(Side::Server, raw);
        return true;
    }
    if (filter != nullptr) {
        scratch_.clear();
        if (!filter->push(step.data, step.done, scratch_)) {
            finish("the request's body cannot go on", out);
            return false;
        }
        emit(Side::Server, turn.rechunk_up, scratch_, out);
    } else {
        emit(Side::Server, true, step.data, out);
    }
    if (step.done && turn.rechunk_up)
        emit_end(Side::Server, turn.request, turn.exchange.request_filter(), out);
    return true;
}

// Answered in its turn, and the last thing that is read of this connection.
void Http1Machine::on_bad_request(const Fault& fault, Actions& out) {
    head_open_ = false;
    Turn& turn = reading_ != nullptr ? *reading_ : add_turn();
    if (reading_ == nullptr) turn.method = "GET";
    turn.head_size = 0;
    turn.request.framing.keep_alive = false;
    turn.close = turn.endless = true;
    reading_ = &turn;
    turn.exchange.reject(malformed(fault.status, fault.what), out);
    settle(out);
}

}  // namespace chaperone::session

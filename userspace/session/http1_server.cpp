// SPDX-License-Identifier: Apache-2.0
// What the server answers.
#include "userspace/session/http1_machine.h"

namespace chaperone::session {

using wire::http1::BodyKind;

namespace {

bool is_folded(std::string_view text, std::size_t line_end) {
    const std::size_t next = line_end + 2;
    return next < text.size() && (text[next] == ' ' || text[next] == '\t');
}

// A response's head with spaces for its folded lines, as a gateway may read it (RFC 9112, 5.2).
// Empty: nothing is folded. Nullopt: the head is not whole yet. What follows the status line is no
// field's value, and stays.
std::optional<Buffer> unfolded(Bytes data) {
    const std::string_view text = as_text(data);
    const std::size_t end = text.find("\r\n\r\n");
    Buffer made = copy(data.first(end == std::string_view::npos ? data.size() : end + 4));
    bool any = false;
    for (std::size_t at = text.find("\r\n", text.find("\r\n") + 2); at < end;
         at = text.find("\r\n", at + 2)) {
        if (!is_folded(text, at)) continue;
        made[at] = made[at + 1] = std::byte{' '};
        any = true;
    }
    if (!any) return Buffer{};
    if (end == std::string_view::npos) return std::nullopt;
    return made;
}

}  // namespace

std::size_t Http1Machine::on_server(Bytes data, Actions& out) {
    if (lingering_) return data.size();
    if (server_ == Server::Renewing) return data.size();
    if (server_ == Server::Reused && repeat_.empty()) {
        // Said to nobody, on a connection that was idle: it is of no use.
        server_gone_ = true;
        return data.size();
    }
    const bool waited = server_ == Server::Reused;
    if (!waited && gave_up_waiting()) return data.size();  // a 408, most likely
    server_ = Server::Proven;
    if (waited) advance(out);  // what was read meanwhile
    std::size_t used = 0;
    while (!ended_ && used != data.size() && !answer_waits()) {
        if (server_ == Server::Renewing) return data.size();
        Turn* turn = turns_.empty() ? nullptr : turns_.front().get();
        // Bytes that answer nothing would be taken for the answer to what is asked next.
        if (turn == nullptr || !turn->gone_up || turn->answered) {
            finish("the server spoke unasked", out);
            return used;
        }
        const Bytes rest = data.subspan(used);
        const std::size_t n = turn->response_begun ? read_response(*turn, rest, out)
                                                   : begin_response(*turn, rest, out);
        if (n == 0) return used;
        used += n;
        if (tunnel_) return used;
    }
    return used;
}

std::size_t Http1Machine::begin_response(Turn& turn, Bytes data, Actions& out) {
    http::ResponseHead head;
    wire::http1::Framing framing;
    const wire::http1::Limits limits{config_.limits.head, config_.limits.target,
                                     config_.limits.fields};
    auto parsed = wire::http1::parse_response(data, turn.method, turn.request.framing.upgrade,
                                              limits, head, framing);
    std::optional<Buffer> plain{std::in_place};
    if (parsed.fault.status != 0) plain = unfolded(data);
    if (!plain && data.size() <= limits.head) parsed = {};  // more of it is to come
    if (plain && !plain->empty()) {
        parsed = wire::http1::parse_response(*plain, turn.method, turn.request.framing.upgrade,
                                             limits, head, framing);
        framing.odd_space = true;
        if (head.status < 200) parsed.fault = {502, "a folded line before the final answer"};
    }
    if (parsed.fault.status != 0) {
        on_bad_response(turn, parsed.fault.what, out);
        return 0;
    }
    half_head_ = parsed.size == 0;
    if (half_head_) return 0;
    const Bytes raw = plain->empty() ? data.first(parsed.size) : Bytes{*plain};
    if (answers_stale(turn, head.status, framing.keep_alive)) {
        renew(false, out);
        return raw.size();
    }
    if (head.status == 101) return switch_protocols(turn, head, raw, out);
    if (head.status < 200) {  // interim: HTTP/1.0 clients know none
        if (!turn.old_client) pass_interim(turn, head.status, raw, out);
        return raw.size();
    }
    turn.response.begin(framing);
    note_response(turn, head.status);
    if (!framing.keep_alive) turn.close = true;
    if (!turn.exchange.on_response(head, out)) {
        turn.close = true;
        settle(out);
        return 0;
    }
    turn.response_begun = true;
    if (turn.exchange.holds_answer())
        turn.held_head = copy(raw);
    else
        pass_response_head(turn, head, raw, out);
    if (framing.body == BodyKind::None) was_answered(turn, out);
    return raw.size();
}

void Http1Machine::pass_response_head(Turn& turn, const http::ResponseHead& head, Bytes raw,
                                      Actions& out) {
    const HeadEdits& edits = turn.exchange.response_edits();
    const BodyFilter* filter = turn.exchange.response_filter();
    const bool filtered = filter != nullptr && turn.response.framing.body != BodyKind::None;
    const bool reframed = filtered && !filter->keeps_length();
    turn.rechunk_down = filtered && turn.response.framing.body == BodyKind::Chunked;
    // The server's own word, if it has one, is another's connection.
    const bool last =
        turn.response.framing.keep_alive && ((draining_ && turn.close) || turn.hidden_close);
    const bool masked = turn.exchange.masks_answer();
    turn.until_close =
        reframed ? turn.old_client : turn.response.framing.body == BodyKind::UntilClose;
    const bool as_it_is = edits.empty() && !reframed && !last && !masked;
    if (as_it_is && !turn.response.framing.odd_space) {
        turn.exchange.count_down(raw.size());
        return out.forward(Side::Client, raw);
    }
    http::Fields fields = edits.apply(head.fields);
    if (last) {
        std::erase_if(fields, [](const http::Field& field) {
            return http::same(field.name, "connection") || http::same(field.name, "keep-alive");
        });
        fields.push_back({"Connection", "close"});
    }
    if (reframed) {
        std::erase_if(fields, [](const http::Field& field) {
            return http::same(field.name, "content-length") ||
                   http::same(field.name, "transfer-encoding");
        });
        if (turn.old_client) {
            turn.close = true;
            turn.rechunk_down = false;
            std::erase_if(fields, [](const http::Field& field) {
                return http::same(field.name, "connection");
            });
            fields.push_back({"Connection", "close"});
        } else {
            turn.rechunk_down = true;
            fields.push_back({"Transfer-Encoding", "chunked"});
        }
    }
    scratch_.clear();
    wire::http1::write_response_head(
        scratch_, head.status, reframed && !turn.old_client ? "1.1" : head.version,
        masked ? wire::http1::reason_of(head.status) : head.reason, fields);
    turn.exchange.count_down(scratch_.size());
    out.send(Side::Client, scratch_);
}

// Nothing of our own comes back in it either, and nothing that no mask has seen.
void Http1Machine::pass_interim(const Turn& turn, int status, Bytes raw, Actions& out) {
    if (turn.exchange.masks_answer()) {
        if (status == 100) out.send(Side::Client, as_bytes("HTTP/1.1 100 Continue\r\n\r\n"));
        return;
    }
    if (!config_.credential) return out.forward(Side::Client, raw);
    Buffer text = copy(raw);
    config_.credential->scrub(text);
    out.send(Side::Client, text);
}

std::size_t Http1Machine::switch_protocols(Turn& turn, const http::ResponseHead& head, Bytes raw,
                                           Actions& out) {
    auto tunnel = turn.read ? config_.upgraded(config_, turn.exchange.shared_facts(), head,
                                               turn.exchange.answer())
                            : nullptr;
    if (!tunnel) {
        on_bad_response(turn, "the server switches to a protocol that is not spoken here", out);
        return 0;
    }
    turn.exchange.on_opened(head);
    turn.response.framing = {};
    pass_response_head(turn, head, raw, out);
    turn.exchange.finish(true, out);
    turns_.clear();
    reading_ = nullptr;
    tunnel_ = std::move(tunnel);
    tunnel_->on_tick(now_, out);
    return raw.size();
}

std::size_t Http1Machine::read_response(Turn& turn, Bytes data, Actions& out) {
    const auto step = turn.response.next(data);
    if (step.fault.status != 0) {
        // Its beginning is with the client: only an end shows that it is not whole.
        finish("the response's body is malformed", out);
        return 0;
    }
    turn.exchange.count_down(step.used);
    if (turn.exchange.response_filter() == nullptr) {
        out.forward(Side::Client, data.first(step.used));
    } else if (!filter_response(turn, step.data, step.done, out)) {
        return ended_ || lingering_ ? 0 : step.used;
    }
    if (step.done && !turn.exchange.answer_waits()) was_answered(turn, out);
    return step.used;
}

// A person has decided on a part of the answer, or is still waited for.
void Http1Machine::resume_response(Turn& turn, Actions& out) {
    const bool last = turn.body_ended;
    if (!filter_response(turn, {}, last, out) || !last || turn.exchange.answer_waits()) return;
    was_answered(turn, out);
}

// False: the answer is at its end, by the filter's word.
bool Http1Machine::filter_response(Turn& turn, Bytes data, bool last, Actions& out) {
    BodyFilter& filter = *turn.exchange.response_filter();
    scratch_.clear();
    Exchange& exchange = turn.exchange;
    bool passed = filter.push(data, last && !exchange.decides_calls(), scratch_).has_value();
    if (passed && last && exchange.decides_calls() && !exchange.answer_waits()) {
        exchange.settle_calls();
        if (!exchange.answer_waits()) passed = filter.push({}, true, scratch_).has_value();
    }
    if (passed && exchange.answer_waits()) {
        turn.body_ended = last;
        if (turn.held_head.empty())
            emit(Side::Client, turn.rechunk_down, scratch_, out);
        else
            append(turn.held_body, scratch_);
        return true;
    }
    const bool over = passed && !last && filter.over();
    if (over) passed = filter.push({}, true, scratch_).has_value();
    if (!turn.held_head.empty()) {
        // The client has heard nothing yet.
        if (!passed) {
            turn.exchange.refuse_answer();
            turn.close = turn.close || !last;
            spoiled_ = true;
            settle(out);
            return false;
        }
        append(turn.held_body, scratch_);
        if (!last) return true;
        http::ResponseHead head;
        wire::http1::Framing framing;
        const wire::http1::Limits limits{config_.limits.head, config_.limits.target,
                                         config_.limits.fields};
        (void)wire::http1::parse_response(turn.held_head, turn.method, turn.request.framing.upgrade,
                                          limits, head, framing);
        pass_response_head(turn, head, turn.held_head, out);
        emit(Side::Client, turn.rechunk_down, turn.held_body, out);
    } else if (!passed) {
        finish("the response cannot be masked", out);
        return false;
    } else {
        emit(Side::Client, turn.rechunk_down, scratch_, out);
    }
    if (!last && !over) return true;
    if (turn.rechunk_down) emit_end(Side::Client, turn.response, &filter, out);
    if (!over) return true;
    turn.close = spoiled_ = true;  // the server goes on with what nobody reads
    was_answered(turn, out);
    return false;
}

void Http1Machine::was_answered(Turn& turn, Actions& out) {
    turn.answered = true;
    settle(out);
}

// The server cannot be understood. The client is told so if it has heard nothing of this answer.
void Http1Machine::on_bad_response(Turn& turn, std::string_view what, Actions& out) {
    if (turn.response_begun || turn.answered) return finish(what, out);
    turn.close = true;
    turn.exchange.refuse(upstream_failed(502, "http_protocol_error", what));
    settle(out);
    finish(what, out);
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// A server's connection that another session has used before this one, or may use behind it.
//
// Such a connection may be at its end without our knowing: until it has answered here, one request
// goes over it that may be sent twice, and is sent again over a fresh one if the server closes
// without a word. Whatever else is asked takes a fresh one from the beginning.
#include "userspace/session/http/reuse.h"

#include "userspace/session/http1_machine.h"

#include <algorithm>

namespace chaperone::session {

using wire::http1::BodyKind;

// False: it waits, for the first answer or for another connection.
bool Http1Machine::may_go_up(const Turn& turn, Actions& out) {
    if (server_ == Server::Renewing) return false;
    if (server_ != Server::Reused) return true;
    if (!repeat_.empty()) return false;
    const bool repeatable = is_safe_method(turn.method) && !turn.request.framing.upgrade &&
                            turn.request.framing.body == BodyKind::None;
    if (repeatable && !server_gone_) return true;
    renew(!server_gone_, out);
    return false;
}

// A request that is decided is not read on before it can go up.
bool Http1Machine::waits_for_server() const {
    if (reading_->gone_up) return false;
    return server_ == Server::Renewing || (server_ == Server::Reused && !repeat_.empty());
}

// What a server says to a connection that was idle for too long, on its way as we asked (RFC 9110,
// 15.5.9).
bool Http1Machine::answers_stale(const Turn& turn, int status, bool keep_alive) const {
    return !repeat_.empty() && status == 408 && !keep_alive && turns_.front().get() == &turn &&
           (turns_.size() == 1 || !turns_[1]->gone_up);
}

// True: a reused connection is at its end, which is nobody's concern but ours.
bool Http1Machine::server_is_left(Actions& out) {
    if (server_ == Server::Renewing) return true;
    if (lingering_) return false;
    if (server_ != Server::Reused) return gave_up_waiting();
    if (repeat_.empty())
        server_gone_ = true;
    else
        renew(false, out);
    return true;
}

// True: it had nothing to do while a request was decided about, perhaps by a person, and its
// patience is over. That request takes another connection.
bool Http1Machine::gave_up_waiting() {
    if (reading_ == nullptr || !server_alert_.empty()) return false;
    if (std::ranges::any_of(turns_, [](const auto& turn) { return turn->gone_up; })) return false;
    server_ = Server::Reused;
    server_gone_ = true;
    spoiled_ = false;
    return true;
}

void Http1Machine::renew(bool unused, Actions& out) {
    server_ = Server::Renewing;
    server_gone_ = false;
    server_alert_.clear();
    server_cut_.reset();
    half_head_ = false;
    out.reconnect(unused);
}

void Http1Machine::on_connected(Result<> connected, Actions& out) {
    if (ended_ || server_ != Server::Renewing) return;
    if (!connected) return not_renewed(not_reached(connected.error()), out);
    renewed(out);
}

void Http1Machine::on_tls_started(Side side, Result<TlsInfo> started, Actions& out) {
    if (ended_ || side != Side::Server || server_ != Server::Renewing) return;
    if (!started) return not_renewed(no_tls(started.error()), out);
    renewed(out);
}

void Http1Machine::renewed(Actions& out) {
    server_ = Server::Fresh;
    if (!repeat_.empty()) {
        out.send(Side::Server, repeat_);
        repeat_.clear();
        if (client_closed_) out.close_write(Side::Server);
    }
    advance(out);
}

// As where a session's first dial fails: all that is asked is answered so.
void Http1Machine::not_renewed(const Refusal& refusal, Actions& out) {
    server_ = Server::Fresh;
    spoiled_ = true;
    repeat_.clear();
    config_.refuse_all = refusal;
    for (const auto& turn : turns_) {
        if (turn->answered || turn->exchange.state() != Exchange::State::Go) continue;
        turn->close = true;
        turn->exchange.refuse(refusal);
    }
    advance(out);
}

void Http1Machine::note_response(const Turn& turn, int status) {
    repeat_.clear();
    // One that answers before it has heard all may take the rest for another request.
    spoiled_ = spoiled_ || !turn.read || !turn.response.framing.keep_alive ||
               turn.response.framing.body == BodyKind::UntilClose || spoils_connection(status);
}

// Where nothing is under way and the server has agreed to go on.
void Http1Machine::offer_server(Actions& out) {
    if (!config_.reuse || spoiled_ || draining_ || tunnel_) return;
    const bool good = server_ == Server::Proven ||
                      (server_ == Server::Reused && repeat_.empty() && !server_gone_);
    const bool over = std::ranges::all_of(turns_, [](const auto& turn) {
        return !turn->endless && (!turn->gone_up || (turn->read && turn->answered));
    });
    if (good && over) out.keep_server();
}

}  // namespace chaperone::session

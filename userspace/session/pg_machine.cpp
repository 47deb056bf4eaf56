// SPDX-License-Identifier: Apache-2.0
// Events and ends of a session.
#include "userspace/session/pg_machine.h"

namespace chaperone::session {

namespace {

std::shared_ptr<const detect::Detector> builtin_detector(const policy::DetectMask& mask) {
    auto made = detect::Detector::make(mask.kinds);
    if (!made) return nullptr;
    return std::make_shared<const detect::Detector>(*std::move(made));
}

}  // namespace

PgMachine::PgMachine(PgSessionConfig config)
    : config_(std::move(config)),
      facts_(std::make_shared<policy::SessionFacts>(config_.facts)),
      detectors_(config_.detectors ? config_.detectors : DetectorSource{builtin_detector}),
      masker_(std::make_shared<const detect::Masker>(Bytes{config_.mask_key}, config_.mask_scope)) {
    if (config_.analyzer == nullptr) config_.analyzer = &policy::sql::postgresql();
    if (config_.cache == nullptr) config_.cache = &own_cache_;
}

std::unique_ptr<Machine> make_pg_session(PgSessionConfig config) {
    return std::make_unique<PgMachine>(std::move(config));
}

bool PgMachine::wants(Side from) const {
    if (from == Side::Server) return phase_ != Phase::Ended;
    switch (phase_) {
    case Phase::Startup: return true;
    case Phase::RelayLogin: return !relayed_ok_;
    case Phase::Ready:
        return !question_.open && !awaiting_catalog_ && !(stalled_ && windows_ != 0) &&
               owed_.size() < config_.limits.replies;
    case Phase::ClientTls:
    case Phase::ConnectAsked:
    case Phase::Connecting:
    case Phase::Login:
    case Phase::Learning:
    case Phase::Cataloguing:
    case Phase::Ended: return false;
    }
    return false;
}

std::size_t PgMachine::on_received(Side from, Bytes data, Actions& out) {
    if (!wants(from) || data.empty()) return 0;
    run_ = {from == Side::Client ? Side::Server : Side::Client, data, 0, 0};
    if (from == Side::Client) {
        if (phase_ == Phase::Startup) return on_startup(data, out);
        if (phase_ == Phase::RelayLogin) return relay_from_client(data, out);
        return on_client(data, out);
    }
    switch (phase_) {
    case Phase::Login: return on_login_bytes(data, out);
    case Phase::RelayLogin: return relay_from_server(data, out);
    case Phase::Learning: return on_learning(data, out);
    case Phase::Cataloguing:
    case Phase::Ready: return on_server(data, out);
    case Phase::Startup:
    case Phase::ClientTls:
    case Phase::ConnectAsked:
    case Phase::Connecting:
    case Phase::Ended: break;
    }
    fatal(out, "08006", "chaperone: the server spoke before its turn");
    return 0;
}

// What was collected to be passed on goes out now, so that it stands before what follows.
void PgMachine::flush(Actions& out) {
    if (run_.begin != run_.end)
        out.forward(run_.to, run_.data.subspan(run_.begin, run_.end - run_.begin));
    run_.begin = run_.end;
}

void PgMachine::skip(Actions& out, std::size_t size) {
    flush(out);
    run_.begin = run_.end = run_.end + size;
}

// A message of ours for the client; if a message of the server is under way, after its end.
void PgMachine::send_client(Actions& out, Bytes message) {
    if (server_pass_ != 0) {
        append(held_back_, message);
        return;
    }
    if (run_.to == Side::Client) flush(out);
    out.send(Side::Client, message);
}

void PgMachine::withdraw(Actions& out) {
    if (question_.open) out.withdraw();
    // Allowed, and then overtaken by an error or the end: it never goes to the server.
    if (question_.answered && question_.answer.verdict == Verdict::Allowed) {
        Account account{.request = question_.answer.request};
        report(account, false, "", "", out);
    }
    question_ = {};
}

// Portals that were bound and are gone: what came of them so far is all that comes.
void PgMachine::report_portals(bool ok, Actions& out) {
    for (const auto& [name, portal] : portals_.things()) report(portal->account, ok, "", "", out);
    portals_.clear();
}

// Ends the session with an error that the agent can read, unless it is in the middle of a message.
void PgMachine::fatal(Actions& out, std::string_view sqlstate, std::string_view message,
                      std::string_view hint) {
    if (phase_ == Phase::Ended) return;
    if (run_.to == Side::Client || server_pass_ == 0) flush(out);
    if (server_pass_ == 0 && phase_ != Phase::ClientTls) {
        Buffer error;
        encode_fatal(error, {.sqlstate = std::string{sqlstate},
                             .message = std::string{message},
                             .detail = "session " + facts_->id,
                             .hint = std::string{hint}});
        out.send(Side::Client, error);
    }
    finish(out, message);
}

void PgMachine::finish(Actions& out, std::string_view reason) {
    if (phase_ == Phase::Ended) return;
    withdraw(out);
    while (!owed_.empty()) {
        Owed& head = owed_.front();
        if (head.portal) report(head.portal->account, false, "", "", out);
        report(head.account, false, "", "", out);
        owed_.pop();
    }
    report_portals(true, out);
    phase_ = Phase::Ended;
    out.end(reason);
}

void PgMachine::report(Account& account, bool ok, std::string_view sqlstate, std::string_view tag,
                       Actions& out) {
    if (account.request == 0 || account.recorded) return;
    account.recorded = true;
    out.record({.request = account.request,
                .ok = ok,
                .sqlstate = std::string{sqlstate},
                .tag = std::string{tag},
                .rows = account.rows,
                .bytes_up = account.up,
                .bytes_down = account.down});
}

void PgMachine::on_closed(Side by, Actions& out) {
    if (phase_ == Phase::Ended) return;
    run_ = {};
    if (by == Side::Client) {
        withdraw(out);
        if (phase_ == Phase::Ready && client_pass_ == 0) {
            Buffer goodbye;
            wire::pg::encode_terminate(goodbye);
            out.send(Side::Server, goodbye);
        }
        return finish(out, "the client closed the connection");
    }
    if (terminating_) return finish(out, "the server closed the connection");
    fatal(out, "08006", "chaperone: the server closed the connection");
}

void PgMachine::on_held(Tag, std::string_view approval, Time expires, Actions& out) {
    if (phase_ != Phase::Ready || !question_.open) return;
    run_ = {};
    Buffer notice;
    encode_waiting(notice, approval, expires, facts_->id);
    send_client(out, notice);
}

void PgMachine::on_decided(const Answer& answer, Actions& out) {
    if (phase_ == Phase::Ended || !question_.open) return;
    question_.open = false;
    if (phase_ == Phase::ConnectAsked) {
        question_ = {};
        return on_connect_decided(answer, out);
    }
    question_.answered = true;
    question_.answer = answer;
    // A decision that is missing allows nothing.
    if (!question_.answer.decision && question_.answer.verdict == Verdict::Allowed)
        question_.answer.verdict = Verdict::Unavailable;
}

void PgMachine::on_cancel(Actions& out) {
    if (phase_ != Phase::Ready) return;
    if (!question_.open) return out.cancel_server();
    out.withdraw();
    question_.open = false;
    question_.answered = true;
    question_.answer = {.verdict = Verdict::Cancelled};
}

void PgMachine::on_terminate(std::string_view reason, Actions& out) {
    if (phase_ == Phase::Ended) return;
    run_ = {};
    fatal(out, "57P01", "chaperone: session ended by an administrator: " + std::string{reason});
}

void PgMachine::on_tick(Time now, Actions&) {
    now_ = now;
}

}  // namespace chaperone::session

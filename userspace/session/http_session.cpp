// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http_session.h"

#include "userspace/base/steady.h"
#include "userspace/session/http/reuse.h"
#include "userspace/wire/tls/client_hello.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace chaperone::session {
namespace {

// RFC 9113, 3.4.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kH2 = "h2", kHttp1 = "http/1.1";

class HttpSession final : public Machine {
public:
    explicit HttpSession(HttpSessionConfig config) : config_(std::move(config)) {}

    std::size_t on_received(Side from, Bytes data, Actions& out) override;
    void on_closed(Side by, Actions& out) override;
    void on_alert(Side by, std::string_view why) override {
        if (inner_) inner_->on_alert(by, why);
    }
    void on_cut(Side by, Cut how) override {
        if (inner_) inner_->on_cut(by, how);
    }
    void on_connected(Result<> connected, Actions& out) override;
    void on_tls_started(Side side, Result<TlsInfo> started, Actions& out) override;
    void on_held(Tag tag, std::string_view approval, Time expires, Actions& out) override;
    void on_decided(const Answer& answer, Actions& out) override;
    void on_terminate(std::string_view reason, Actions& out) override;
    void on_drain(std::string_view reason, Actions& out) override {
        if (inner_) return inner_->on_drain(reason, out);
        on_terminate(reason, out);
    }
    void on_tick(Time now, Actions& out) override;
    bool wants(Side from) const override;

    void on_quiet(Time now, Actions& out) override {
        if (inner_) inner_->on_quiet(now, out);
    }
    void on_wake(Actions& out) override {
        if (inner_) inner_->on_wake(out);
    }
    void on_cancel(Actions& out) override {
        if (inner_) inner_->on_cancel(out);
    }
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) override {}

private:
    enum class State { Sniffing, Asking, Dialling, ServerTls, ClientTls, Open, Ended };

    std::optional<Bytes> sniff(Bytes data, Actions& out);
    bool reuse(Actions& out);
    void ask(Actions& out);
    void dial(Actions& out);
    void reached(Actions& out);
    void refuse(Refusal refusal, Actions& out);
    void choose_alone();
    void answer_client(Actions& out);
    void open(std::string_view alpn, Actions& out);
    void end(std::string_view reason, Actions& out);
    bool server_speaks_tls() const;

    HttpSessionConfig config_;
    State state_ = State::Sniffing;
    bool tls_ = false;                 // the agent speaks it
    bool preface_ = false;             // HTTP/2 in clear text
    std::vector<std::string> offers_;  // of the agent's protocols those that we speak
    std::string chosen_;               // by the server; empty: none
    bool may_reuse_ = false;           // its first request may go over a used connection
    bool refused_ = false;             // all that it asks
    std::string approval_;
    Time now_{};
    Time hold_until_{};
    std::unique_ptr<Machine> inner_;
};

std::size_t HttpSession::on_received(Side from, Bytes data, Actions& out) {
    if (state_ == State::Open) {
        // Of a server that was dialled before it was refused, nothing is taken.
        if (from == Side::Server && refused_) return data.size();
        return inner_->on_received(from, data, out);
    }
    if (state_ != State::Sniffing || from != Side::Client || data.empty()) return 0;
    if (sniff(data, out)) ask(out);
    // All of it belongs to what comes now; at our own desk that is there already.
    return state_ == State::Open ? inner_->on_received(from, data, out) : 0;
}

// Nothing: not enough is there, or it is the end.
std::optional<Bytes> HttpSession::sniff(Bytes data, Actions& out) {
    if (wire::tls::may_be_tls(data)) {
        auto hello = wire::tls::decode_client_hello(data);
        if (!hello) {
            end("the client's TLS cannot be read: " + hello.error().message(), out);
            return std::nullopt;
        }
        const auto& whole = *hello;
        if (!whole) return std::nullopt;
        tls_ = may_reuse_ = true;
        for (const std::string& name : whole->alpn)
            if ((name == kH2 && config_.http2) || name == kHttp1) offers_.push_back(name);
        return data;
    }
    const std::string_view begin = as_text(data).substr(0, kPreface.size());
    if (kPreface.starts_with(begin)) {
        if (begin.size() != kPreface.size()) return std::nullopt;
        preface_ = true;
        if (!config_.http2) {
            end("HTTP/2 in clear text is not spoken here", out);
            return std::nullopt;
        }
    }
    offers_.emplace_back(preface_ ? kH2 : kHttp1);
    may_reuse_ = !preface_ && is_safe_method(as_text(data).substr(0, as_text(data).find(' ')));
    return data;
}

void HttpSession::ask(Actions& out) {
    if (config_.http.desk) {  // nobody is dialled, and there is nothing to be decided
        config_.http.scheme = tls_ ? "https" : "http";
        choose_alone();
        return tls_ ? answer_client(out) : open(offers_.front(), out);
    }
    if (tls_ != config_.http.facts->tls) {
        auto facts = std::make_shared<policy::SessionFacts>(*config_.http.facts);
        facts->tls = tls_;
        config_.http.facts = std::move(facts);
    }
    config_.http.scheme = tls_ ? "https" : "http";
    state_ = State::Asking;
    policy::Request request;
    request.session = config_.http.facts;
    request.stage = policy::Stage::Connect;
    request.now = to_wall(now_);
    out.ask(request);
}

void HttpSession::on_held(Tag tag, std::string_view approval, Time expires, Actions& out) {
    if (inner_) return inner_->on_held(tag, approval, expires, out);
    approval_ = approval;
    hold_until_ = now_ + config_.http.limits.hold;
}

void HttpSession::on_decided(const Answer& answer, Actions& out) {
    if (inner_) return inner_->on_decided(answer, out);
    if (state_ != State::Asking) return;
    if (answer.verdict == Verdict::Allowed && answer.decision) return dial(out);
    refuse(refusal_of(answer, policy::http::Facts{}, config_.http.facts->id), out);
}

bool HttpSession::server_speaks_tls() const {
    switch (config_.server_tls) {
    case ServerTls::AsClient: return tls_;
    case ServerTls::Always: return true;
    case ServerTls::Never: return false;
    }
    return true;
}

void HttpSession::dial(Actions& out) {
    if (!config_.only_with_tls.empty() && !server_speaks_tls())
        return refuse(upstream_failed(502, "proxy_configuration_error", config_.only_with_tls),
                      out);
    if (reuse(out)) return;
    state_ = State::Dialling;
    out.connect();
}

// A connection that another session has left, where HTTP/1.1 is spoken on it.
bool HttpSession::reuse(Actions& out) {
    if (!config_.http.reuse || !may_reuse_) return false;
    TlsWants wants;
    if (server_speaks_tls()) wants.alpn = offers_;
    const auto found = out.reuse(server_speaks_tls(), wants);
    if (!found) return false;
    config_.http.reused = true;
    chosen_ = found->alpn;
    reached(out);
    return true;
}

void HttpSession::on_connected(Result<> connected, Actions& out) {
    if (state_ == State::Open) {  // for one that was reused
        if (!connected || !server_speaks_tls())
            return inner_->on_connected(std::move(connected), out);
        return out.start_tls(Side::Server, {.alpn = offers_});
    }
    if (state_ != State::Dialling) return;
    if (!connected) return refuse(not_reached(connected.error()), out);
    if (!server_speaks_tls()) return reached(out);
    state_ = State::ServerTls;
    out.start_tls(Side::Server, {.alpn = offers_});
}

void HttpSession::on_tls_started(Side side, Result<TlsInfo> started, Actions& out) {
    if (side == Side::Server && state_ == State::Open) {
        if (started && started->alpn != chosen_)
            started = fail(Errc::Unsupported, "the server chose another protocol than before");
        return inner_->on_tls_started(side, std::move(started), out);
    }
    if (side == Side::Server && state_ == State::ServerTls) {
        if (!started) return refuse(no_tls(started.error()), out);
        chosen_ = started->alpn;
        // One that was not offered is none that we would know to speak.
        if (!chosen_.empty() && std::ranges::find(offers_, chosen_) == offers_.end())
            return refuse(upstream_failed(502, "tls_protocol_error",
                                          "the server chose a protocol that was not offered"),
                          out);
        return reached(out);
    }
    if (side != Side::Client || state_ != State::ClientTls) return;
    if (!started) {
        if (started.error().code == Errc::Denied && config_.distrusted)
            config_.distrusted(started.error().detail);
        return end("TLS with the client failed: " + started.error().detail, out);
    }
    open(started->alpn, out);
}

// The server is there, in TLS where it is to be.
void HttpSession::reached(Actions& out) {
    if (!tls_) {
        if (preface_ && server_speaks_tls() && chosen_ != kH2)
            return refuse(
                upstream_failed(502, "tls_protocol_error", "the server does not speak HTTP/2"),
                out);
        return open(offers_.front(), out);
    }
    // In clear text a server speaks what its configuration says; nobody can ask it.
    if (!server_speaks_tls() && std::ranges::find(offers_, kHttp1) != offers_.end())
        chosen_ = kHttp1;
    answer_client(out);
}

void HttpSession::refuse(Refusal refusal, Actions& out) {
    config_.http.refuse_all = std::move(refusal);
    refused_ = true;
    if (!tls_) return open(offers_.empty() ? kHttp1 : std::string_view{offers_.front()}, out);
    choose_alone();
    answer_client(out);
}

// Where no server does.
void HttpSession::choose_alone() {
    const bool http1 = offers_.empty() || std::ranges::find(offers_, kHttp1) != offers_.end();
    chosen_ = offers_.empty() ? std::string{} : std::string{http1 ? kHttp1 : kH2};
}

void HttpSession::answer_client(Actions& out) {
    state_ = State::ClientTls;
    TlsWants wants;
    if (!chosen_.empty()) wants.alpn = {chosen_};
    out.start_tls(Side::Client, wants);
}

void HttpSession::open(std::string_view alpn, Actions& out) {
    state_ = State::Open;
    out.opened();
    const auto& make = alpn == kH2 ? config_.http2 : config_.http1;
    inner_ = make(std::move(config_.http));  // which is of no more use here
    inner_->on_tick(now_, out);
}

void HttpSession::end(std::string_view reason, Actions& out) {
    state_ = State::Ended;
    out.end(reason);
}

void HttpSession::on_closed(Side by, Actions& out) {
    if (state_ == State::Open) {
        if (by == Side::Server && refused_) return;
        return inner_->on_closed(by, out);
    }
    if (by == Side::Server) return;  // its handshake tells
    // A client that was held comes again: what a person decides meanwhile is for it.
    if (state_ == State::Asking && !approval_.empty()) out.leave();
    if (state_ == State::Asking && approval_.empty()) out.withdraw();
    end("the client closed the connection", out);
}

void HttpSession::on_terminate(std::string_view reason, Actions& out) {
    if (inner_) return inner_->on_terminate(reason, out);
    if (state_ == State::Asking) out.withdraw();
    end(reason, out);
}

void HttpSession::on_tick(Time now, Actions& out) {
    now_ = now;
    if (inner_) return inner_->on_tick(now, out);
    if (state_ != State::Asking || approval_.empty() || now < hold_until_) return;
    out.leave();
    refuse(pending(approval_, nullptr, false), out);
}

bool HttpSession::wants(Side from) const {
    switch (state_) {
    case State::Sniffing: return from == Side::Client;
    case State::Open:
        if (from == Side::Server && refused_) return true;
        return inner_->wants(from);
    case State::Asking:
    case State::Dialling:
    case State::ServerTls:
    case State::ClientTls:
    case State::Ended: return false;
    }
    return false;
}

}  // namespace

std::unique_ptr<Machine> make_http_session(HttpSessionConfig config) {
    return std::make_unique<HttpSession>(std::move(config));
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/tcp_session.h"

#include <array>
#include <utility>

namespace chaperone::session {
namespace {

class TcpSession final : public Machine {
public:
    explicit TcpSession(std::shared_ptr<const policy::SessionFacts> facts)
        : facts_(std::move(facts)) {}

    void on_opened(Actions& out) override {
        policy::Request request;
        request.session = facts_;
        request.stage = policy::Stage::Connect;
        request.now = facts_->start;
        state_ = State::Asking;
        out.ask(request);
    }

    std::size_t on_received(Side from, Bytes data, Actions& out) override {
        if (!wants(from)) return 0;
        on_passed(from, data.size());
        out.forward(other(from), data);
        return data.size();
    }

    void on_closed(Side by, Actions& out) override {
        if (state_ == State::Asking) out.withdraw();
        if (state_ != State::Open) return end(by == Side::Client ? "client closed" : "closed", out);
        closed_[static_cast<std::size_t>(by)] = true;
        if (closed_[0] && closed_[1]) return end("closed", out);
        out.close_write(other(by));
    }

    void on_decided(const Answer& answer, Actions& out) override {
        if (state_ != State::Asking) return;
        request_ = answer.request;
        asked_ = true;
        if (answer.verdict == Verdict::Allowed) {
            state_ = State::Dialling;
            out.connect();
            return;
        }
        const bool said = answer.reason.empty() && answer.decision;
        end(said ? answer.decision->reason : answer.reason, out);
    }

    void on_connected(Result<> connected, Actions& out) override {
        if (state_ != State::Dialling) return;
        if (!connected) return end(connected.error().detail, out);
        state_ = State::Open;
        connected_ = true;
        out.opened();
    }

    void on_terminate(std::string_view reason, Actions& out) override {
        if (state_ == State::Asking) out.withdraw();
        end(reason, out);
    }

    bool wants(Side from) const override {
        return state_ == State::Open && !closed_[static_cast<std::size_t>(from)];
    }

    bool opaque() const override { return state_ == State::Open; }

    void on_passed(Side from, std::size_t bytes) override {
        (from == Side::Client ? up_ : down_) += bytes;
    }

    void on_tls_started(Side, Result<TlsInfo>, Actions&) override {}
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) override {}
    void on_held(Tag, std::string_view, Time, Actions&) override {}  // waits, as the client does
    void on_cancel(Actions&) override {}
    void on_tick(Time, Actions&) override {}

private:
    enum class State { New, Asking, Dialling, Open, Ended };

    static Side other(Side side) { return side == Side::Client ? Side::Server : Side::Client; }

    void end(std::string_view reason, Actions& out) {
        if (state_ == State::Ended) return;
        state_ = State::Ended;
        if (asked_) {
            Outcome outcome;
            outcome.request = request_;
            outcome.ok = connected_;
            outcome.bytes_up = up_;
            outcome.bytes_down = down_;
            out.record(outcome);
        }
        if (connected_)
            out.end(reason);
        else
            out.drop(reason);
    }

    std::shared_ptr<const policy::SessionFacts> facts_;
    State state_ = State::New;
    std::array<bool, 2> closed_{};
    bool asked_ = false;
    bool connected_ = false;
    std::uint64_t request_ = 0;
    std::uint64_t up_ = 0;
    std::uint64_t down_ = 0;
};

}  // namespace

std::unique_ptr<Machine> make_tcp_session(std::shared_ptr<const policy::SessionFacts> facts) {
    return std::make_unique<TcpSession>(std::move(facts));
}

}  // namespace chaperone::session

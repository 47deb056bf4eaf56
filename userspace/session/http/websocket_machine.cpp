// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/websocket_machine.h"

#include "userspace/session/http/websocket_handshake.h"
#include "userspace/session/http/websocket_relay.h"

#include <chrono>
#include <string>
#include <utility>

namespace chaperone::session {
namespace {

constexpr Tag kUp = 1, kDown = 2;
// How long both sides may take to read the last words and to leave. A connection that is closed
// while its peer still sends is reset, and what the peer has not read is lost with it.
constexpr auto kLinger = std::chrono::seconds{2};

class WebSocketMachine final : public Machine {
public:
    WebSocketMachine(const HttpConfig& config, WebSocketRelay::Opening opening)
        : config_(config), relay_(config_, std::move(opening)) {}

    std::size_t on_received(Side from, Bytes data, Actions& out) override {
        if (ended_ || leaving_) return data.size();
        Legs legs{out};
        const std::size_t used = relay_.on_received(from, data, now_, out, legs);
        if (relay_.over()) leave(relay_.why(), out);
        return used;
    }
    void on_closed(Side by, Actions& out) override {
        if (by == Side::Server) {
            server_closed_ = true;
            leave("the server closed the WebSocket", out);
        } else {
            client_closed_ = true;
            if (!leaving_) return end("the agent closed the WebSocket", out);
        }
        if (client_closed_ && server_closed_) end(why_, out);
    }
    void on_connected(Result<>, Actions&) override {}
    void on_tls_started(Side, Result<TlsInfo>, Actions&) override {}
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) override {}
    void on_held(Tag, std::string_view, Time, Actions&) override {}
    void on_decided(const Answer& answer, Actions& out) override {
        if (ended_ || leaving_) return;
        Legs legs{out};
        relay_.on_decided(answer, out, legs);
        if (relay_.over()) leave(relay_.why(), out);
    }
    void on_cancel(Actions&) override {}
    void on_terminate(std::string_view reason, Actions& out) override {
        if (ended_) return;
        Legs legs{out};
        if (!leaving_) relay_.close(wire::websocket::kGoingAway, reason, legs);
        end(reason, out);
    }
    void on_tick(Time now, Actions& out) override {
        now_ = now;
        if (leaving_ && now_ >= leave_until_) end(why_, out);
    }
    bool wants(Side from) const override { return !ended_ && (leaving_ || relay_.wants(from)); }

private:
    struct Legs final : WebSocketRelay::Port {
        explicit Legs(Actions& to) : out(to) {}
        void pass(Side to, Bytes range) override { out.forward(to, range); }
        void write(Side to, Bytes bytes) override { out.send(to, bytes); }
        Actions& out;
    };

    // All is said: what still comes is dropped until both have gone.
    void leave(std::string_view why, Actions& out) {
        if (ended_ || std::exchange(leaving_, true)) return;
        relay_.finish(out);
        why_ = why;
        leave_until_ = now_ + kLinger;
        if (!client_closed_) out.close_write(Side::Client);
    }

    void end(std::string_view reason, Actions& out) {
        if (std::exchange(ended_, true)) return;
        relay_.finish(out);
        out.end(reason);
    }

    HttpConfig config_;
    WebSocketRelay relay_;
    Time now_{};
    Time leave_until_{};
    std::string why_{};
    bool leaving_ = false;
    bool client_closed_ = false;
    bool server_closed_ = false;
    bool ended_ = false;
};

}  // namespace

void enable_websockets(HttpConfig& config) {
    if (config.upgraded) return;
    config.upgraded =
        [](const HttpConfig& inner, std::shared_ptr<const policy::http::Facts> request,
           const http::ResponseHead& response, const Answer& answer) -> std::unique_ptr<Machine> {
        const auto deflate = agreed_deflate(response);
        if (!deflate || answer.decision == nullptr || !is_websocket(*request)) return nullptr;
        if (answer.decision->mcp && names_mcp(response.fields)) return nullptr;
        return std::make_unique<WebSocketMachine>(
            inner,
            WebSocketRelay::Opening{std::move(request), answer.decision, *deflate, kUp, kDown});
    };
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// An open WebSocket between agent and server, whatever version of HTTP carries it. Where no rule
// looks at messages and none is masked, frames pass untouched and only their heads are read. Else
// each message is put together, asked about, masked, and goes on as one frame; pings are answered
// here, for what they carry nobody looks at. A refused message closes both sides with 1008.
//
// One direction waits while its message is asked about, the other goes on. One thread.
#pragma once

#include "policy/http/message.h"
#include "userspace/session/http/config.h"
#include "userspace/wire/websocket/close.h"
#include "userspace/wire/websocket/message.h"

#include <array>
#include <memory>
#include <optional>

namespace chaperone::session {

class WebSocketRelay {
public:
    // Where the bytes go. `range` is a part of what was just given, `bytes` are our own.
    class Port {
    public:
        virtual ~Port() = default;
        virtual void pass(Side to, Bytes range) = 0;
        virtual void write(Side to, Bytes bytes) = 0;
    };
    struct Opening {
        std::shared_ptr<const policy::http::Facts> request{};  // the handshake
        policy::DecisionPtr decision{};                        // what allowed it
        std::optional<wire::websocket::DeflateParameters> deflate{};
        Tag up = 0;  // of questions about messages of the agent, and of the server
        Tag down = 0;
    };

    WebSocketRelay(const HttpConfig& config, Opening opening);

    // How much of `data` is consumed; the rest is to be given again, longer.
    std::size_t on_received(Side from, Bytes data, Time now, Actions& out, Port& port);
    // Whether the tag is one of this relay's; then the direction goes on, or all is over.
    bool on_decided(const Answer& answer, Actions& out, Port& port);
    // Says goodbye to both: the server is gone, or an operator ends the session.
    void close(std::uint16_t code, std::string_view reason, Port& port);

    bool wants(Side from) const noexcept { return !over_ && !direction(from).waiting; }
    // A close was sent both ways: nothing more is read or written.
    bool over() const noexcept { return over_; }
    std::string_view why() const noexcept { return why_; }
    void finish(Actions& out);  // open questions are withdrawn

private:
    struct Direction {
        explicit Direction(const wire::websocket::MessageReader::Options& options, bool keep,
                           int bits)
            : reader(options), deflater(keep, bits) {}
        wire::websocket::MessageReader reader;
        wire::websocket::Deflater deflater;
        bool waiting = false;  // for an answer
        bool closed = false;   // its sender said Close
        // The message that is asked about.
        wire::websocket::FrameHead head{};
        Buffer payload{};
        Buffer content{};
        bool recodes = false;  // messages are written anew, compressed by us
    };

    Direction& direction(Side from) noexcept { return *directions_[from == Side::Server]; }
    const Direction& direction(Side from) const noexcept {
        return *directions_[from == Side::Server];
    }
    void control(Side from, const wire::websocket::MessageReader::Piece& piece, Port& port);
    void message(Side from, const wire::websocket::MessageReader::Piece& piece, Time now,
                 Actions& out, Port& port);
    void deliver(Side from, const policy::MaskSet& masks, Port& port);
    bool mask(Side from, const policy::MaskSet& masks, Buffer& content);
    bool mask_as(std::string_view type, Side from, const policy::MaskSet& masks, Buffer& content);
    void broken(const Error& error, Port& port);
    void send_frame(Side to, wire::websocket::FrameHead head, Bytes payload, Port& port);

    const HttpConfig& config_;
    Opening opening_;
    bool asks_;
    bool watches_;
    std::array<std::unique_ptr<Direction>, 2> directions_;
    bool over_ = false;
    std::string why_;
};

}  // namespace chaperone::session

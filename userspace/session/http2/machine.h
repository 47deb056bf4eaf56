// SPDX-License-Identifier: Apache-2.0
// The front of HTTP/2: the agent's connection and ours to the server, stream by stream. Each stream
// is an Exchange of its own, decided and held by itself; what is read of one is given back to its
// sender when the other side has taken it, so that nothing piles up and no stream stalls another.
//
// What a server or an agent does to a stream or the connection is done to the other side likewise:
// resets with their code, GOAWAY, trailers. A connection whose server is gone takes no new streams.
#pragma once

#include "userspace/session/http2/stream.h"
#include "userspace/wire/http2/connection.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::session::http2 {

class Http2Machine final : public Machine {
public:
    explicit Http2Machine(HttpConfig config);

    std::size_t on_received(Side from, Bytes data, Actions& out) override;
    void on_closed(Side by, Actions& out) override;
    void on_alert(Side by, std::string_view why) override {
        if (by == Side::Server) server_alert_ = why;
    }
    void on_connected(Result<> connected, Actions& out) override;
    void on_tls_started(Side side, Result<TlsInfo> started, Actions& out) override;
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>> catalog,
                    Actions& out) override;
    void on_held(Tag tag, std::string_view approval, Time expires, Actions& out) override;
    void on_decided(const Answer& answer, Actions& out) override;
    void on_cancel(Actions& out) override;
    void on_terminate(std::string_view reason, Actions& out) override;
    void on_drain(std::string_view reason, Actions& out) override;
    void on_tick(Time now, Actions& out) override;
    void on_quiet(Time now, Actions& out) override;
    void on_wake(Actions& out) override;
    bool wants(Side from) const override;

private:
    using StreamId = wire::http2::StreamId;
    using Fields = wire::http2::Fields;
    using Code = wire::http2::Code;

    // What happens on one leg, told to the machine by names of its own.
    struct FrontEvents final : wire::http2::Events {
        explicit FrontEvents(Http2Machine& to) : machine(to) {}
        void on_head(StreamId, Kind kind, Fields&& fields, bool end, bool too_large) override;
        void on_data(StreamId stream, Bytes data) override;
        void on_end(StreamId stream) override;
        void on_closed(StreamId stream, Code code) override;
        void on_sent(StreamId stream) override;
        void on_settings() override {}
        void on_goaway(StreamId, Code) override {}
        Http2Machine& machine;
    };
    struct BackEvents final : wire::http2::Events {
        explicit BackEvents(Http2Machine& to) : machine(to) {}
        void on_head(StreamId, Kind kind, Fields&& fields, bool end, bool too_large) override;
        void on_data(StreamId stream, Bytes data) override;
        void on_end(StreamId stream) override;
        void on_closed(StreamId stream, Code code) override;
        void on_sent(StreamId stream) override;
        void on_settings() override;
        void on_goaway(StreamId last, Code code) override;
        Http2Machine& machine;
    };

    // Runs what an event does, then all that follows from it.
    template <class Work>
    void event(Actions& out, Work&& work);
    void settle();
    bool flush(Side side);
    // There is no server: all is refused, or answered at our own desk.
    bool answers_itself() const { return config_.refuse_all || config_.desk; }
    void begin_front();
    void end(std::string_view reason);
    void linger(std::string_view reason);
    void end_linger(Actions& out);
    void say_last();
    void begin_drain(std::string_view reason);
    void server_gone(std::string_view why);
    void leave();

    Stream& add_stream(StreamId front);
    Stream* find(StreamId front);
    Stream* find_back(StreamId back);
    void touch(const Stream& stream) { touched_.push_back(stream.front); }
    void advance(Stream& stream);

    // --- up
    void feed_policy(Stream& stream);
    void send_up(Stream& stream);
    void push_up(Stream& stream, Bytes data, bool last);
    void drop(Stream& stream, std::size_t bytes);
    void credit_up(Stream& stream);
    // --- down
    void answer(Stream& stream);
    void push_down(Stream& stream, Bytes data, bool last);
    void push_held(Stream& stream, bool passed, bool last);
    void resume_down(Stream& stream);
    static bool ends_later(const Stream& stream);
    void send_down(Stream& stream, Bytes data, bool last);
    void pass_response_head(Stream& stream, const Fields& fields, bool end);
    void credit_down(Stream& stream);
    void response_head(Stream& stream, Fields&& fields, bool end, bool too_large);
    // --- both, of a WebSocket
    void begin_relay(Stream& stream, const http::ResponseHead& head);
    bool takes(const Stream& stream, Side from) const;
    void relay(Stream& stream, Side from, Bytes data);
    void relay_end(Stream& stream, Side from);
    void relay_decided(Stream& stream, const Answer& answer);
    void relay_on(Stream& stream);
    void relay_over(Stream& stream);
    // What was begun cannot go on.
    void break_off(Stream& stream, Code code);
    void close_back(Stream& stream, Code code);
    void forget(Stream& stream, bool ok);  // the stream is gone afterwards

    HttpConfig config_;
    FrontEvents front_events_{*this};
    BackEvents back_events_{*this};
    std::unique_ptr<wire::http2::Connection> front_;
    std::unique_ptr<wire::http2::Connection> back_;
    std::unordered_map<StreamId, std::unique_ptr<Stream>> streams_;  // by the agent's id
    std::vector<std::unique_ptr<Stream>> spare_;                     // of streams that are over
    std::unordered_map<StreamId, StreamId> by_back_;                 // those that are open there
    std::vector<StreamId> touched_;
    Actions* out_ = nullptr;  // of the event that is under way
    Buffer scratch_;
    Time now_{};
    unsigned ticks_ = 0;
    bool begun_ = false;       // our SETTINGS went to the agent
    bool back_usable_ = true;  // new streams may go up
    bool leaving_ = false;
    std::string drain_reason_{};  // not empty: the agent was told that no new streams should come
    Time drained_{};              // since then
    std::uint64_t streams_begun_ = 0;
    std::uint64_t quiet_at_ = 0;          // of them, when it was last looked at,
    std::optional<Time> quiet_since_{};   // and since when there is none
    std::optional<Time> linger_until_{};  // nothing is said any more
    std::string linger_reason_{};
    bool ended_ = false;
    std::string server_alert_{};  // what it said of TLS as it ended it
};

}  // namespace chaperone::session::http2

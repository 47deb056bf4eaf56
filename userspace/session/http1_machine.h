// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x between two open legs: framing, order and persistence of RFC 9112. What a request is
// worth is the Exchange's. Its parts: http1_client.cpp (what the agent sends), http1_server.cpp
// (what the server answers), http1_reuse.cpp (a server's connection that serves several sessions),
// http1_machine.cpp (order, answers of our own, ends).
//
// A head stays in the caller's buffer until it is decided, and goes on as the bytes that came,
// unless something of it is changed; so do bodies. Requests may be pipelined: each is asked about
// once the one before it has been read, and answers keep their order.
#pragma once

#include "userspace/session/http/config.h"
#include "userspace/session/http/exchange.h"
#include "userspace/wire/http1/chunks.h"
#include "userspace/wire/http1/parser.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::session {

class Http1Machine final : public Machine {
public:
    explicit Http1Machine(HttpConfig config)
        : config_(std::move(config)), server_(config_.reused ? Server::Reused : Server::Fresh) {}

    std::size_t on_received(Side from, Bytes data, Actions& out) override;
    void on_closed(Side by, Actions& out) override;
    void on_alert(Side by, std::string_view why) override {
        if (by == Side::Server) server_alert_ = why;
    }
    void on_cut(Side by, Cut how) override {
        if (by == Side::Server) server_cut_ = how;
    }
    void on_connected(Result<> connected, Actions& out) override;
    void on_tls_started(Side side, Result<TlsInfo> started, Actions& out) override;
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>, Actions&) override {}
    void on_held(Tag tag, std::string_view approval, Time expires, Actions& out) override;
    void on_decided(const Answer& answer, Actions& out) override;
    void on_cancel(Actions&) override {}
    void on_terminate(std::string_view reason, Actions& out) override;
    void on_drain(std::string_view reason, Actions& out) override;
    void on_tick(Time now, Actions& out) override;
    void on_quiet(Time now, Actions& out) override;
    void on_wake(Actions& out) override;
    bool wants(Side from) const override;

private:
    // A body as it is read, off whichever framing.
    struct Reader {
        wire::http1::Framing framing{};
        wire::http1::ChunkReader chunks{};
        std::uint64_t left = 0;

        void begin(const wire::http1::Framing& how);
        // used = 0 and not done: more is needed.
        wire::http1::ChunkReader::Step next(Bytes data);
    };
    // A request and its response.
    struct Turn {
        Turn(const HttpConfig& config, Tag tag) : exchange(config, tag) {}

        Exchange exchange;
        std::string method{};
        Reader request{};
        Reader response{};
        std::size_t head_size = 0;  // of the head, while the caller still has it
        Buffer raw_head{};          // the head, where it was consumed before it was decided
        HeadEdits hop{};            // fields that are for the next hop only
        bool old_client = false;    // HTTP/1.0: knows no chunks
        bool gone_up = false;       // the head is with the server
        bool rechunk_up = false;    // the request's body is framed by us
        bool rechunk_down = false;
        bool until_close = false;     // to the client, the end of the connection is the body's
        bool read = false;            // the whole request was
        bool response_begun = false;  // its final head is with the client
        Buffer held_head{};           // of a response, until all of it may go
        Buffer held_body{};           // the same
        bool body_ended = false;      // while it waits for a person: all of it has come
        bool answered = false;        // the whole response is with the client
        bool close = false;           // the connection ends behind it
        bool hidden_close = false;    // which the client alone has asked for, and the server not
        bool binds = false;           // the server may take the connection for whom it names
        bool endless = false;         // malformed: nobody knows where it ends, all else is dropped
    };

    // --- http1_machine.cpp
    void settle(Actions& out);
    void answer_ourselves(Turn& turn, Actions& out);
    void linger(Actions& out);
    void finish(std::string_view reason, Actions& out);
    Turn& add_turn();
    Turn* asking(Tag tag);
    void progress(Turn& turn, Actions& out);
    bool answer_waits() const;
    void emit(Side to, bool chunked, Bytes data, Actions& out);
    void emit_end(Side to, const Reader& body, BodyFilter* filter, Actions& out);

    // --- http1_client.cpp
    std::size_t on_client(Bytes data, Actions& out);
    std::size_t begin_turn(Bytes data, Actions& out);
    std::size_t read_request(Turn& turn, Bytes data, Actions& out);
    void send_head(Turn& turn, Bytes raw, Actions& out);
    void send_buffered(Turn& turn, Actions& out);
    bool send_body(Turn& turn, Bytes raw, const wire::http1::ChunkReader::Step& step, Actions& out);
    void on_bad_request(const wire::http1::Fault& fault, Actions& out);
    void was_read(Turn& turn, Actions& out);
    void advance(Actions& out);

    // --- http1_server.cpp
    std::size_t on_server(Bytes data, Actions& out);
    std::size_t begin_response(Turn& turn, Bytes data, Actions& out);
    void pass_interim(const Turn& turn, int status, Bytes raw, Actions& out);
    void pass_response_head(Turn& turn, const http::ResponseHead& head, Bytes raw, Actions& out);
    std::size_t switch_protocols(Turn& turn, const http::ResponseHead& head, Bytes raw,
                                 Actions& out);
    std::size_t read_response(Turn& turn, Bytes data, Actions& out);
    bool filter_response(Turn& turn, Bytes data, bool last, Actions& out);
    void resume_response(Turn& turn, Actions& out);
    void on_bad_response(Turn& turn, std::string_view what, Actions& out);
    void was_answered(Turn& turn, Actions& out);

    // --- http1_reuse.cpp
    enum class Server {
        Fresh,     // dialled for this session, and has not answered yet
        Proven,    // has answered
        Reused,    // was another session's, and has not answered in this one
        Renewing,  // such a one is given up, and another is dialled
    };
    bool may_go_up(const Turn& turn, Actions& out);
    bool waits_for_server() const;
    bool answers_stale(const Turn& turn, int status, bool keep_alive) const;
    bool server_is_left(Actions& out);
    bool gave_up_waiting();
    void renew(bool unused, Actions& out);
    void renewed(Actions& out);
    void not_renewed(const Refusal& refusal, Actions& out);
    void note_response(const Turn& turn, int status);
    void offer_server(Actions& out);

    HttpConfig config_;
    Server server_;
    bool server_gone_ = false;  // Reused, or never asked, and not to be used
    bool spoiled_ = false;      // the server's connection must not serve another session
    Buffer repeat_{};           // what went over a reused one, until it is answered
    std::vector<std::unique_ptr<Turn>> turns_;  // in the order of requests; few
    std::unique_ptr<Turn> spare_;
    Turn* reading_ = nullptr;          // the last one, while its request is not read
    std::unique_ptr<Machine> tunnel_;  // after 101: everything is its
    Buffer scratch_;
    Tag next_tag_ = 1;
    Time now_{};
    Time head_since_{};  // when a head began that is not whole yet
    Time linger_until_{};
    std::size_t turns_done_ = 0;
    std::uint64_t quiet_at_ = 0;         // how far all was when it was last looked at,
    std::optional<Time> quiet_since_{};  // and since when it is there
    bool head_open_ = false;
    bool half_head_ = false;  // of an answer
    bool lingering_ = false;  // the last words are said; what still comes is dropped
    bool client_closed_ = false;
    bool draining_ = false;  // the last request that was begun is the last
    bool ended_ = false;
    std::string server_alert_{};       // what it said of TLS as it ended it
    std::optional<Cut> server_cut_{};  // how it ended, if not as it should
};

}  // namespace chaperone::session

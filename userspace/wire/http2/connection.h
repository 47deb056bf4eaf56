// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection as a codec without I/O, over nghttp2: bytes in, events out; messages in,
// bytes out. Either side of it (RFC 9113; extended CONNECT, RFC 8441). Push is off.
//
// Flow control is the owner's: each byte given to on_data must be given back by taken() some time,
// which lets the peer send more. Malformed messages reset their stream before anybody sees them,
// what breaks the connection ends it with GOAWAY. One thread; not to be called from its own events
// but for the methods that submit, and for taken().
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/wire/http2/message.h"

#include <array>
#include <memory>
#include <unordered_map>
#include <utility>

struct nghttp2_session;

namespace chaperone::wire::http2 {

class Events {
public:
    enum class Kind { Request, Informational, Response, Trailers };
    virtual ~Events() = default;

    // `end`: nothing follows. `too_large`: over Limits::header_list, and fields are missing.
    virtual void on_head(StreamId stream, Kind kind, Fields&& fields, bool end, bool too_large) = 0;
    virtual void on_data(StreamId stream, Bytes data) = 0;
    virtual void on_end(StreamId stream) = 0;  // of the peer's message, after data or trailers
    // The stream is gone: both messages ended (NoError), or one side, or the codec, reset it.
    virtual void on_closed(StreamId stream, Code code) = 0;
    // Bytes of data() went out; more may be given.
    virtual void on_sent(StreamId stream) = 0;
    virtual void on_settings() = 0;  // the peer's
    // Streams of ours above `last` were not looked at; on_closed follows for each (RefusedStream).
    virtual void on_goaway(StreamId last, Code code) = 0;
};

class Connection {
public:
    enum class Role { Server, Client };

    // `events` outlives it. The first SETTINGS wait for begin().
    static Result<std::unique_ptr<Connection>> make(Role role, const Limits& limits,
                                                    Events& events);
    ~Connection();

    // The server's preface may wait until it is known what it can offer: extended CONNECT, and at
    // most so many streams. Called again, it says what has changed.
    void begin(bool extended_connect, std::uint32_t streams);

    // An error: the connection cannot go on (bytes that next() still gives should be sent).
    Result<> receive(Bytes in);
    // What is to be sent next, until it is empty; valid until the next call of anything.
    Bytes next();
    // Nothing more will be said or heard: close the transport.
    bool finished() const;
    void tick(Time now);

    // --- as a client. At most the number of streams that the server allows are open; more wait.
    Result<StreamId> request(const Fields& fields, bool end);
    bool peer_allows_extended_connect() const;
    std::uint32_t peer_streams() const;  // how many it allows at once

    // --- as a server
    void informational(StreamId stream, const Fields& fields);
    void respond(StreamId stream, const Fields& fields, bool end);

    // --- both; what names a stream that is gone does nothing
    void data(StreamId stream, Bytes bytes);  // copied; queued until the peer's windows allow it
    void finish(StreamId stream, const Fields& trailers = {});
    void reset(StreamId stream, Code code);     // no on_closed follows
    std::size_t queued(StreamId stream) const;  // bytes of data() that wait
    void taken(StreamId stream, std::size_t bytes);
    void widen(StreamId stream, std::uint32_t window);  // more of its body may come at once
    void ping();
    // Graceful: streams that are open go on. With `notice` the peer learns first that no new ones
    // should come, and those on their way are still served.
    void go_away(Code code, bool notice = false);
    std::size_t streams() const { return streams_.size(); }

private:
    struct Stream {
        Buffer queue{};
        std::size_t at = 0;
        bool ended = false;          // nothing more will be queued
        bool message_begun = false;  // the peer's: a final head was seen
        Fields trailers{};
        Fields incoming{};
        std::size_t incoming_size = 0;
        bool too_large = false;
        std::size_t waiting() const { return queue.size() - at; }
    };
    struct Callbacks;  // nghttp2's, as static functions
    friend struct Callbacks;
    struct End {
        void operator()(nghttp2_session* session) const noexcept;
    };

    Connection(Role role, const Limits& limits, Events& events)
        : role_(role), limits_(limits), events_(events), tokens_(limits.idle_frames) {}
    Stream* stream(StreamId id);
    void head_received(StreamId id, bool end);
    bool spend(std::uint32_t tokens);  // false: too many idle frames; the connection ends
    Result<> feed(Bytes in);
    // Follows frames by their heads. The end of the bytes before the next one that nghttp2 would
    // pass over: DATA on a stream that is not there, or behind a frame that may have ended it.
    std::size_t next_stray(Bytes in);
    void follow_heads();
    void left_by_peer(StreamId id);
    // What RFC 9113, 5.1 and 6.3 say of a frame there, which nghttp2 would pass over in silence.
    Code misplaced(std::uint8_t type, StreamId id);
    int break_off(Code code);  // GOAWAY, and what a callback returns

    Role role_;
    Limits limits_;
    Events& events_;
    std::unique_ptr<nghttp2_session, End> session_;
    std::unordered_map<StreamId, Stream> streams_;
    std::size_t held_ = 0;  // bytes given to on_data and not taken
    std::size_t owed_ = 0;  // of them, what the connection's window has not got back
    // Of a client's streams, the last that it has ended or reset, and must not go on with; the last
    // that it has left out, and can never open.
    std::array<StreamId, 64> left_{};
    std::array<std::pair<StreamId, StreamId>, 4> skipped_{};  // between these
    std::size_t next_left_ = 0, next_skipped_ = 0;
    std::array<std::uint8_t, 9> frame_head_{};  // of it, what has come
    std::size_t frame_head_size_ = 0;
    std::size_t frame_left_ = 24;  // of a frame, or of the preface
    StreamId stray_ = 0;           // where next_stray() stopped
    StreamId highest_ = 0;
    std::uint32_t tokens_;
    Time refilled_{};
    Time ticked_{};
    Time head_since_{};  // when a client's fields began that are not whole yet
    enum class Head : std::uint8_t { None, Open, Last } head_ = Head::None;  // Last: of its frames
    bool ending_ = false;  // a frame that nghttp2 has not read yet may end a stream
    bool begun_ = false;
    bool broken_ = false;
};

}  // namespace chaperone::wire::http2

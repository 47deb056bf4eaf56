// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http2/callbacks.h"

#include <algorithm>
#include <cstring>

namespace chaperone::wire::http2 {
namespace {

constexpr std::size_t kUsualFields = 16;
// Times the limit of a head: who goes on behind it is not told that it was too large, but left.
constexpr std::size_t kMuchTooLarge = 4;

Connection* of(void* self) {
    return static_cast<Connection*>(self);
}

std::string text(nghttp2_rcbuf* buffer) {
    const nghttp2_vec view = nghttp2_rcbuf_get_buf(buffer);
    return {reinterpret_cast<const char*>(view.base), view.len};
}

// RFC 9113, 6.5.2: each field counts 32 bytes more than it has.
std::size_t counted(nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
    return nghttp2_rcbuf_get_buf(name).len + nghttp2_rcbuf_get_buf(value).len + 32;
}

}  // namespace

std::vector<nghttp2_nv> views(const Fields& fields) {
    std::vector<nghttp2_nv> out;
    out.reserve(fields.size());
    for (const Field& field : fields)
        out.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.name.data())),
                       reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.value.data())),
                       field.name.size(), field.value.size(),
                       static_cast<std::uint8_t>(field.never_index ? NGHTTP2_NV_FLAG_NO_INDEX
                                                                   : NGHTTP2_NV_FLAG_NONE)});
    return out;
}

nghttp2_session_callbacks* Connection::Callbacks::table() {
    static nghttp2_session_callbacks* const made = [] {
        nghttp2_session_callbacks* table = nullptr;
        if (nghttp2_session_callbacks_new(&table) != 0) throw std::bad_alloc{};
        nghttp2_session_callbacks_set_on_begin_headers_callback(table, begin_headers);
        nghttp2_session_callbacks_set_on_header_callback2(table, header);
        nghttp2_session_callbacks_set_on_invalid_header_callback2(table, invalid_header);
        nghttp2_session_callbacks_set_on_begin_frame_callback(table, begin_frame);
        nghttp2_session_callbacks_set_on_frame_recv_callback(table, frame);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, invalid_frame);
        nghttp2_session_callbacks_set_on_frame_not_send_callback(table, not_sent);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, chunk);
        nghttp2_session_callbacks_set_on_stream_close_callback(table, closed);
        return table;
    }();
    return made;
}

int Connection::Callbacks::begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    Connection& c = *of(self);
    Stream* stream = nullptr;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        stream = &c.streams_[frame->hd.stream_id];
    else
        stream = c.stream(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->incoming.clear();
    stream->incoming.reserve(kUsualFields);
    stream->incoming_size = 0;
    stream->too_large = false;
    return 0;
}

int Connection::Callbacks::header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                                  nghttp2_rcbuf* value, std::uint8_t flags, void* self) {
    Connection& c = *of(self);
    Stream* stream = c.stream(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->incoming_size += counted(name, value);
    if (stream->incoming_size > c.limits_.header_list) {
        stream->too_large = true;  // the rest is decoded for the tables' sake, and not kept
        // An octet may stand for a field of the table, which is looked through each time.
        if (stream->incoming_size / kMuchTooLarge > c.limits_.header_list)
            return c.break_off(Code::EnhanceYourCalm);
        return 0;
    }
    stream->incoming.push_back({.name = text(name),
                                .value = text(value),
                                .never_index = (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0});
    return 0;
}

// nghttp2 would leave such a field out; a message with one is malformed (RFC 9113, 8.2.1).
int Connection::Callbacks::invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*,
                                          nghttp2_rcbuf*, std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Connection::Callbacks::begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) {
    Connection& c = *of(self);
    if (const Code code = c.misplaced(head->type, head->stream_id); code != Code::NoError)
        return c.break_off(code);
    const bool data = head->type == NGHTTP2_DATA;
    const bool empty = data && head->length == 0 && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    const bool useful = data || head->type == NGHTTP2_HEADERS ||
                        head->type == NGHTTP2_CONTINUATION || head->type == NGHTTP2_WINDOW_UPDATE ||
                        head->type == NGHTTP2_RST_STREAM;
    return (useful && !empty) || c.spend(1) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Connection::Callbacks::frame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    Connection& c = *of(self);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const StreamId id = frame->hd.stream_id;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: c.head_received(id, end); break;
    case NGHTTP2_DATA:
        if (end && c.stream(id) != nullptr) c.events_.on_end(id);
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) c.events_.on_settings();
        break;
    case NGHTTP2_GOAWAY:
        c.events_.on_goaway(frame->goaway.last_stream_id,
                            static_cast<Code>(frame->goaway.error_code));
        break;
    case NGHTTP2_RST_STREAM: c.left_by_peer(id); break;
    default: break;  // acknowledged or accounted for by nghttp2, and of no meaning for messages
    }
    return 0;
}

int Connection::Callbacks::invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* self) {
    return of(self)->spend(10) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

// A request that waited when the server said that it takes no more, or a head that cannot be sent.
int Connection::Callbacks::not_sent(nghttp2_session* session, const nghttp2_frame* frame, int error,
                                    void* self) {
    Connection& c = *of(self);
    const StreamId id = frame->hd.stream_id;
    if (frame->hd.type != NGHTTP2_HEADERS || c.streams_.erase(id) == 0) return 0;
    const bool waited = error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED;
    if (!waited) nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    c.events_.on_closed(id, waited ? Code::RefusedStream : Code::InternalError);
    return 0;
}

int Connection::Callbacks::chunk(nghttp2_session* session, std::uint8_t, StreamId id,
                                 const std::uint8_t* data, std::size_t size, void* self) {
    Connection& c = *of(self);
    if (c.stream(id) == nullptr) {  // we have reset it, and the peer does not know yet
        nghttp2_session_consume(session, id, size);
        return 0;
    }
    c.held_ += size;
    if (c.held_ <= c.limits_.buffered)
        nghttp2_session_consume_connection(session, size);
    else
        c.owed_ += size;
    c.events_.on_data(id, std::as_bytes(std::span{data, size}));
    return 0;
}

int Connection::Callbacks::closed(nghttp2_session*, StreamId id, std::uint32_t code, void* self) {
    Connection& c = *of(self);
    if (c.streams_.erase(id) == 0) return 0;
    // Another code is the peer's own, see above, or the codec's, of which the peer may not know
    // yet.
    if (code == NGHTTP2_NO_ERROR) c.left_by_peer(id);
    c.events_.on_closed(id, static_cast<Code>(code));
    return 0;
}

ssize_t Connection::Callbacks::read(nghttp2_session* session, StreamId id, std::uint8_t* to,
                                    std::size_t room, std::uint32_t* flags, nghttp2_data_source*,
                                    void* self) {
    Connection& c = *of(self);
    Stream* stream = c.stream(id);
    if (stream == nullptr) return NGHTTP2_ERR_DEFERRED;  // it was reset; RST_STREAM goes first
    const std::size_t n = std::min(room, stream->waiting());
    if (n != 0) {
        std::memcpy(to, stream->queue.data() + stream->at, n);
        stream->at += n;
        if (stream->waiting() == 0) {
            stream->queue.clear();
            if (stream->queue.capacity() > 64 * 1024) stream->queue = {};
            stream->at = 0;
        }
        c.events_.on_sent(id);  // may have given more, or reset it
        stream = c.stream(id);
        if (stream == nullptr) return static_cast<ssize_t>(n);
    }
    if (stream->waiting() == 0 && stream->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!stream->trailers.empty()) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            const auto fields = views(stream->trailers);
            nghttp2_submit_trailer(session, id, fields.data(), fields.size());
        }
        return static_cast<ssize_t>(n);
    }
    return n == 0 ? NGHTTP2_ERR_DEFERRED : static_cast<ssize_t>(n);
}

}  // namespace chaperone::wire::http2

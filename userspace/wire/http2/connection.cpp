// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http2/connection.h"

#include "userspace/wire/http2/callbacks.h"

#include <algorithm>
#include <limits>

namespace chaperone::wire::http2 {
namespace {

// Acknowledgements that wait to be sent; a peer that asks for more and reads none is hostile.
constexpr std::size_t kMaxAcknowledgements = 200;

struct OptionEnd {
    void operator()(nghttp2_option* option) const noexcept { nghttp2_option_del(option); }
};

Result<std::unique_ptr<nghttp2_option, OptionEnd>> options(const Limits& limits) {
    nghttp2_option* made = nullptr;
    if (nghttp2_option_new(&made) != 0) return fail(Errc::Unavailable, "HTTP/2: memory");
    std::unique_ptr<nghttp2_option, OptionEnd> option{made};
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_outbound_ack(made, kMaxAcknowledgements);
    nghttp2_option_set_max_continuations(made, limits.continuations);
    nghttp2_option_set_stream_reset_rate_limit(made, limits.resets_at_once, limits.resets_a_second);
    nghttp2_option_set_max_send_header_block_length(made, 4 * limits.header_list);
    return option;
}

std::uint32_t narrow(std::size_t value) {
    return static_cast<std::uint32_t>(
        std::min<std::size_t>(value, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace

void Connection::End::operator()(nghttp2_session* session) const noexcept {
    nghttp2_session_del(session);
}

Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::make(Role role, const Limits& limits,
                                                     Events& events) {
    std::unique_ptr<Connection> connection{new Connection{role, limits, events}};
    auto option = options(limits);
    if (!option) return fail(option.error());
    nghttp2_session* session = nullptr;
    const auto make_session =
        role == Role::Server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
    if (make_session(&session, Callbacks::table(), connection.get(), option->get()) != 0)
        return fail(Errc::Unavailable, "HTTP/2: memory");
    connection->session_.reset(session);
    return connection;
}

void Connection::begin(bool extended_connect, std::uint32_t streams) {
    std::vector<nghttp2_settings_entry> settings;
    if (role_ == Role::Client) {
        settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
    } else {
        settings.push_back(
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, std::min(streams, limits_.streams)});
        if (extended_connect) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
    }
    if (!begun_) {
        settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window});
        settings.push_back({NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, narrow(limits_.header_list)});
        if (role_ == Role::Server) settings.push_back({NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1});
    } else if (role_ == Role::Client) {
        return;
    }
    nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    if (!begun_)
        nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                              static_cast<int>(narrow(limits_.buffered)));
    begun_ = true;
}

std::size_t Connection::next_stray(Bytes in) {
    std::size_t at = 0;
    while (at != in.size()) {
        const std::size_t over = std::min(frame_left_, in.size() - at);
        frame_left_ -= over;
        at += over;
        if (at == in.size()) break;
        frame_head_[frame_head_size_++] = static_cast<std::uint8_t>(in[at++]);
        if (frame_head_size_ != frame_head_.size()) continue;
        frame_head_size_ = 0;
        const auto byte = [this](std::size_t i) { return std::uint32_t{frame_head_[i]}; };
        frame_left_ = byte(0) << 16 | byte(1) << 8 | byte(2);
        const auto id =
            static_cast<StreamId>((byte(5) & 0x7f) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8));
        follow_heads();
        const bool data = frame_head_[3] == NGHTTP2_DATA;
        const bool stray = data && (ending_ || !streams_.contains(id));
        if (stray) ending_ = false;
        ending_ = ending_ || frame_head_[3] == NGHTTP2_RST_STREAM ||
                  ((data || frame_head_[3] == NGHTTP2_HEADERS) &&
                   (frame_head_[4] & NGHTTP2_FLAG_END_STREAM) != 0);
        if (!stray) continue;
        stray_ = id;
        return at;
    }
    ending_ = ending_ && (frame_left_ != 0 || frame_head_size_ != 0);
    stray_ = 0;
    return at;
}

// Fields come in a HEADERS frame and the CONTINUATION frames behind it, the last of which says so.
void Connection::follow_heads() {
    const std::uint8_t type = frame_head_[3], flags = frame_head_[4];
    if (type == NGHTTP2_HEADERS) head_since_ = ticked_;
    head_ = type != NGHTTP2_HEADERS && type != NGHTTP2_CONTINUATION ? Head::None
            : (flags & NGHTTP2_FLAG_END_HEADERS) != 0               ? Head::Last
                                                                    : Head::Open;
}

// What lies before a stray frame is heard first: it may have opened the stream, or ended it.
Result<> Connection::receive(Bytes in) {
    if (role_ == Role::Client) return feed(in);
    while (!in.empty() && !broken_) {
        const std::size_t until = next_stray(in);
        // Its last byte stays out, so that nghttp2 does not take the head before it is looked at.
        const std::size_t before = until - (stray_ != 0 ? 1 : 0);
        if (before != 0)
            if (auto done = feed(in.first(before)); !done) return done;
        if (stray_ != 0) {
            if (const Code code = misplaced(NGHTTP2_DATA, stray_); code != Code::NoError) {
                (void)break_off(code);
                return fail(Errc::Malformed, "HTTP/2: a frame on a stream that was closed");
            }
            if (auto done = feed(in.subspan(before, 1)); !done) return done;
        }
        in = in.subspan(until);
    }
    if (head_ == Head::Last && frame_left_ == 0) head_ = Head::None;
    return {};
}

Result<> Connection::feed(Bytes in) {
    const ssize_t used = nghttp2_session_mem_recv(
        session_.get(), reinterpret_cast<const std::uint8_t*>(in.data()), in.size());
    if (used >= 0) return {};
    if (!broken_) nghttp2_session_terminate_session(session_.get(), NGHTTP2_PROTOCOL_ERROR);
    broken_ = true;
    return fail(Errc::Malformed,
                std::string{"HTTP/2: "} + nghttp2_strerror(static_cast<int>(used)));
}

Bytes Connection::next() {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
    if (size < 0) {
        broken_ = true;
        return {};
    }
    return std::as_bytes(std::span{data, static_cast<std::size_t>(size)});
}

bool Connection::finished() const {
    return broken_ || (nghttp2_session_want_read(session_.get()) == 0 &&
                       nghttp2_session_want_write(session_.get()) == 0);
}

void Connection::tick(Time now) {
    ticked_ = now;
    if (head_ != Head::None && !broken_ && now - head_since_ > limits_.head_time)
        (void)break_off(Code::EnhanceYourCalm);
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(now - refilled_).count();
    if (whole <= 0) return;
    refilled_ = now;
    const auto more = std::min<std::int64_t>(whole, 60) * limits_.idle_frames_a_second;
    tokens_ =
        static_cast<std::uint32_t>(std::min<std::int64_t>(tokens_ + more, limits_.idle_frames));
}

bool Connection::spend(std::uint32_t tokens) {
    if (tokens_ >= tokens) {
        tokens_ -= tokens;
        return true;
    }
    (void)break_off(Code::EnhanceYourCalm);
    return false;
}

int Connection::break_off(Code code) {
    broken_ = true;
    nghttp2_session_terminate_session(session_.get(), static_cast<std::uint32_t>(code));
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

void Connection::left_by_peer(StreamId id) {
    if (role_ == Role::Server) left_[next_left_++ % left_.size()] = id;
}

Code Connection::misplaced(std::uint8_t type, StreamId id) {
    if (type == NGHTTP2_PRIORITY && id == 0) return Code::ProtocolError;
    const bool head = type == NGHTTP2_HEADERS;
    if (role_ != Role::Server || (!head && type != NGHTTP2_DATA)) return Code::NoError;
    if (id > highest_) {
        if (!head) return Code::NoError;  // nghttp2 knows what to say
        if (id > highest_ + 2) skipped_[next_skipped_++ % skipped_.size()] = {highest_, id};
        highest_ = id;
        return Code::NoError;
    }
    if (streams_.contains(id)) return Code::NoError;
    if (std::ranges::find(left_, id) != left_.end()) return Code::StreamClosed;
    const bool never = std::ranges::any_of(
        skipped_, [id](const auto& gap) { return id > gap.first && id < gap.second; });
    return never ? Code::ProtocolError : Code::NoError;
}

Connection::Stream* Connection::stream(StreamId id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : &found->second;
}

void Connection::head_received(StreamId id, bool end) {
    Stream* const found = stream(id);
    if (found == nullptr) return;
    Fields fields = std::move(found->incoming);
    found->incoming = {};
    auto kind = Events::Kind::Trailers;
    if (!found->message_begun) {
        // A status of 1xx that is too large to be read counts as the response: it is refused.
        const bool informational = role_ == Role::Client && !found->too_large && !fields.empty() &&
                                   find(fields, ":status").starts_with('1');
        kind = role_ == Role::Server ? Events::Kind::Request
               : informational       ? Events::Kind::Informational
                                     : Events::Kind::Response;
        found->message_begun = !informational;
    }
    events_.on_head(id, kind, std::move(fields), end, found->too_large);
    if (end && stream(id) != nullptr) events_.on_end(id);
}

Result<StreamId> Connection::request(const Fields& fields, bool end) {
    const auto list = views(fields);
    const nghttp2_data_provider provider{.source = {}, .read_callback = Callbacks::read};
    const StreamId id = nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                                               end ? nullptr : &provider, nullptr);
    if (id < 0) return fail(Errc::Unavailable, std::string{"HTTP/2: "} + nghttp2_strerror(id));
    Stream& made = streams_[id];
    made.ended = end;
    return id;
}

bool Connection::peer_allows_extended_connect() const {
    return nghttp2_session_get_remote_settings(session_.get(),
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

std::uint32_t Connection::peer_streams() const {
    return nghttp2_session_get_remote_settings(session_.get(),
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void Connection::informational(StreamId id, const Fields& fields) {
    if (stream(id) == nullptr) return;
    const auto list = views(fields);
    nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, id, nullptr, list.data(), list.size(),
                           nullptr);
}

void Connection::respond(StreamId id, const Fields& fields, bool end) {
    Stream* const found = stream(id);
    if (found == nullptr) return;
    const auto list = views(fields);
    const nghttp2_data_provider provider{.source = {}, .read_callback = Callbacks::read};
    found->ended = end;
    nghttp2_submit_response(session_.get(), id, list.data(), list.size(),
                            end ? nullptr : &provider);
}

void Connection::data(StreamId id, Bytes bytes) {
    Stream* const found = stream(id);
    if (found == nullptr || found->ended || bytes.empty()) return;
    if (found->at > found->queue.size() / 2) {
        found->queue.erase(found->queue.begin(),
                           found->queue.begin() + static_cast<std::ptrdiff_t>(found->at));
        found->at = 0;
    }
    append(found->queue, bytes);
    nghttp2_session_resume_data(session_.get(), id);  // fails where nothing waits: no matter
}

void Connection::finish(StreamId id, const Fields& trailers) {
    Stream* const found = stream(id);
    if (found == nullptr || found->ended) return;
    found->ended = true;
    found->trailers = trailers;
    nghttp2_session_resume_data(session_.get(), id);
}

void Connection::reset(StreamId id, Code code) {
    if (streams_.erase(id) == 0) return;
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id,
                              static_cast<std::uint32_t>(code));
}

std::size_t Connection::queued(StreamId id) const {
    const auto found = streams_.find(id);
    return found == streams_.end() ? 0 : found->second.waiting();
}

void Connection::taken(StreamId id, std::size_t bytes) {
    if (bytes == 0) return;
    nghttp2_session_consume_stream(session_.get(), id, bytes);
    held_ -= std::min(held_, bytes);
    if (owed_ == 0 || held_ > limits_.buffered) return;
    const std::size_t back = std::min(owed_, limits_.buffered - held_);
    owed_ -= back;
    nghttp2_session_consume_connection(session_.get(), back);
}

void Connection::widen(StreamId id, std::uint32_t window) {
    if (stream(id) != nullptr)
        nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, id,
                                              static_cast<int>(narrow(window)));
}

void Connection::ping() {
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void Connection::go_away(Code code, bool notice) {
    if (notice && role_ == Role::Server)
        nghttp2_submit_shutdown_notice(session_.get());
    else
        nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(session_.get()),
                              static_cast<std::uint32_t>(code), nullptr, 0);
}

}  // namespace chaperone::wire::http2

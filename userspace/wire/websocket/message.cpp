// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/message.h"

#include <algorithm>

namespace chaperone::wire::websocket {
namespace {

bool keeps_context(const MessageReader::Options& options) {
    if (!options.deflate) return false;
    return options.from_client ? !options.deflate->client_no_context_takeover
                               : !options.deflate->server_no_context_takeover;
}

}  // namespace

MessageReader::MessageReader(const Options& options)
    : options_(options),
      rules_{.masked = options.from_client, .compression = options.deflate.has_value()},
      inflater_(keeps_context(options)) {}

Result<std::optional<MessageReader::Piece>> MessageReader::read(Bytes in) {
    if (delivered_) {
        delivered_ = false;
        payload_.clear();
        content_.clear();
    }
    std::size_t head_size = 0;
    if (!in_frame_) {
        const auto decoded = decode_head(in, rules_);
        if (!decoded) return fail(decoded.error());
        const std::optional<DecodedHead>& found = *decoded;
        if (!found) return std::nullopt;
        if (is_control(found->head.opcode)) return read_control(*found, in);
        if (auto begun = begin_frame(found->head); !begun) return fail(begun.error());
        head_size = found->size;
    }
    const Bytes rest = in.subspan(head_size);
    const Bytes payload =
        rest.first(static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), left_)));
    if (head_size == 0 && payload.empty()) return std::nullopt;
    left_ -= payload.size();
    if (left_ == 0) in_frame_ = false;
    auto piece = options_.watch ? gather(head_size, payload) : pass(head_size, payload);
    if (!piece) return fail(piece.error());
    return std::optional{*piece};
}

Result<std::optional<MessageReader::Piece>> MessageReader::read_control(const DecodedHead& decoded,
                                                                        Bytes in) {
    const std::size_t size = decoded.size + static_cast<std::size_t>(decoded.head.length);
    if (in.size() < size) return std::nullopt;
    // A buffer of its own: a message may be half read.
    control_ = copy(in.subspan(decoded.size, size - decoded.size));
    if (decoded.head.mask) websocket::mask(control_, *decoded.head.mask);
    return Piece{.kind = Piece::Kind::Control,
                 .size = size,
                 .opcode = decoded.head.opcode,
                 .content = control_,
                 .payload = control_,
                 .mask = decoded.head.mask};
}

Result<> MessageReader::begin_frame(const FrameHead& head) {
    const bool goes_on = head.opcode == Opcode::Continuation;
    if (goes_on != in_message_)
        return fail(Errc::Malformed, goes_on ? "WebSocket: a continuation of nothing"
                                             : "WebSocket: a message inside another");
    frame_ = head;
    left_ = head.length;
    done_ = 0;
    in_frame_ = true;
    if (goes_on) return {};
    in_message_ = true;
    opcode_ = head.opcode;
    compressed_ = head.rsv1;
    mask_ = head.mask;
    utf8_.reset();
    return {};
}

Result<MessageReader::Piece> MessageReader::pass(std::size_t head_size, Bytes payload) {
    if (!in_frame_ && frame_.fin) in_message_ = false;
    return Piece{
        .kind = Piece::Kind::Payload, .size = head_size + payload.size(), .opcode = opcode_};
}

Result<MessageReader::Piece> MessageReader::gather(std::size_t head_size, Bytes payload) {
    const bool last = !in_frame_ && frame_.fin;
    if (payload_.size() + payload.size() > options_.limit || left_ > options_.limit)
        return fail(Errc::TooLarge, "WebSocket: a message");
    if (auto added = add(payload, last); !added) return fail(added.error());
    Piece piece{.kind = last ? Piece::Kind::Message : Piece::Kind::Part,
                .size = head_size + payload.size(),
                .opcode = opcode_};
    if (!last) return piece;
    in_message_ = false;
    delivered_ = true;
    piece.content = compressed_ ? content_ : payload_;
    piece.payload = payload_;
    piece.compressed = compressed_;
    piece.mask = mask_;
    return piece;
}

Result<> MessageReader::add(Bytes payload, bool last) {
    const std::size_t had = payload_.size();
    append(payload_, payload);
    const auto fresh = std::span{payload_}.subspan(had);
    if (frame_.mask) websocket::mask(fresh, *frame_.mask, done_);
    done_ += payload.size();
    Bytes text = fresh;
    if (compressed_) {
        const std::size_t before = content_.size();
        if (auto fed = inflater_.feed(fresh, last, options_.limit, content_); !fed) return fed;
        text = Bytes{content_}.subspan(before);
    }
    if (opcode_ != Opcode::Text) return {};
    if (!utf8_.feed(text) || (last && !utf8_.at_border()))
        return fail(Errc::Invalid, "WebSocket: text that is not UTF-8");
    return {};
}

}  // namespace chaperone::wire::websocket

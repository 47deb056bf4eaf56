// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/websocket_relay.h"

#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"
#include "userspace/base/steady.h"

#include <algorithm>
#include <utility>

namespace chaperone::session {

using namespace wire::websocket;
using Kind = MessageReader::Piece::Kind;

namespace {

// Keys need only be beyond the reach of who chooses the payload (RFC 6455, 10.3), and what we send
// up is either under the agent's own key or a close of ours.
constexpr MaskKey kOwnKey{std::byte{0x5a}, std::byte{0xc3}, std::byte{0x96}, std::byte{0x3c}};

constexpr std::size_t kMaxShown = 4096;  // bytes of a message

Side other(Side side) {
    return side == Side::Client ? Side::Server : Side::Client;
}

const policy::MaskSet& masks_of(const policy::Decision& decision, Side from) {
    return from == Side::Client ? decision.request_masks : decision.masks;
}

std::uint16_t code_of(const Error& error) {
    switch (error.code) {
    case Errc::TooLarge: return kTooBig;
    case Errc::Invalid: return kInvalidData;
    default: return kProtocolError;
    }
}

bool looks_like_json(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    const auto at = text.find_first_not_of(" \t\r\n");
    return at != std::string_view::npos &&
           std::string_view{"{[\""}.find(text[at]) != std::string_view::npos;
}

// For the journal and for whoever approves: what the agent says, as a statement's values are; of
// what it hears only which it was, for it may be masked.
std::vector<policy::Parameter> shown(const policy::http::Message& message) {
    std::vector<policy::Parameter> made;
    made.push_back({.text = "sha256:" + to_hex(sha256(as_bytes(message.data)))});
    if (!message.up || !message.text) return made;
    std::size_t cut = std::min(message.data.size(), kMaxShown);
    while (cut < message.data.size() && cut != 0 &&
           (static_cast<unsigned char>(message.data[cut]) & 0xc0) == 0x80)
        --cut;
    made.push_back({.truncated = cut != message.data.size(),
                    .text = message.data.substr(0, cut),
                    .whole = message.data});
    return made;
}

}  // namespace

WebSocketRelay::WebSocketRelay(const HttpConfig& config, Opening opening)
    : config_(config),
      opening_(std::move(opening)),
      asks_(opening_.decision->messages),
      watches_(asks_ || config.credential != nullptr || !opening_.decision->masks.empty() ||
               !opening_.decision->request_masks.empty()) {
    const auto deflate = opening_.deflate.value_or(DeflateParameters{});
    for (const bool server : {false, true}) {
        const MessageReader::Options options{.from_client = !server,
                                             .watch = watches_,
                                             .limit = config_.limits.body,
                                             .deflate = opening_.deflate};
        const bool keep =
            server ? !deflate.server_no_context_takeover : !deflate.client_no_context_takeover;
        directions_[server] = std::make_unique<Direction>(
            options, keep,
            server ? deflate.server_max_window_bits : deflate.client_max_window_bits);
    }
}

std::size_t WebSocketRelay::on_received(Side from, Bytes data, Time now, Actions& out, Port& port) {
    std::size_t used = 0;
    while (wants(from) && !direction(from).closed) {
        const auto got = direction(from).reader.read(data.subspan(used));
        if (!got) {
            broken(got.error(), port);
            return data.size();
        }
        const auto& piece = *got;
        if (!piece) return used;
        const Bytes range = data.subspan(used, piece->size);
        used += piece->size;
        switch (piece->kind) {
        case Kind::Payload: port.pass(other(from), range); break;
        case Kind::Part: break;
        case Kind::Message: message(from, *piece, now, out, port); break;
        case Kind::Control:
            if (watches_ || piece->opcode == Opcode::Close)
                control(from, *piece, port);
            else
                port.pass(other(from), range);
            break;
        }
    }
    return over_ || direction(from).closed ? data.size() : used;  // nothing counts after a close
}

void WebSocketRelay::control(Side from, const MessageReader::Piece& piece, Port& port) {
    if (piece.opcode == Opcode::Ping)
        return send_frame(from, {.opcode = Opcode::Pong, .mask = piece.mask}, piece.payload, port);
    if (piece.opcode == Opcode::Pong) return;  // of a ping that nobody sent
    const auto close = decode_close(piece.content);
    if (!close) return broken(close.error(), port);
    direction(from).closed = true;
    Buffer payload;
    // A reason is a text that no rule has seen.
    encode_close(payload, close->code, watches_ ? std::string_view{} : close->reason);
    send_frame(other(from), {.opcode = Opcode::Close, .mask = piece.mask}, payload, port);
    if (!direction(other(from)).closed) return;
    over_ = true;
    why_ = "closed by both sides";
}

void WebSocketRelay::message(Side from, const MessageReader::Piece& piece, Time now, Actions& out,
                             Port& port) {
    Direction& its = direction(from);
    its.head = {.rsv1 = piece.compressed, .opcode = piece.opcode, .mask = piece.mask};
    its.payload = copy(piece.payload);
    its.content = copy(piece.content);
    // Once one message was written anew the window is ours, so that all of them must be.
    if (from == Side::Server && config_.credential && config_.credential->scrub(its.content))
        its.recodes = true;
    if (!asks_) return deliver(from, masks_of(*opening_.decision, from), port);
    auto facts = std::make_shared<policy::http::Message>();
    facts->up = from == Side::Client;
    facts->text = piece.opcode == Opcode::Text;
    facts->data = as_text(piece.content);
    const std::string statement =
        std::string{facts->up ? "message to " : "message from "} + opening_.request->url();
    policy::Request request;
    request.session = config_.facts;
    request.stage = policy::Stage::Message;
    request.statement = statement;
    request.http = opening_.request;
    request.parameters = shown(*facts);
    request.message = std::move(facts);
    request.now = to_wall(now);
    its.waiting = true;
    out.ask(request, from == Side::Client ? opening_.up : opening_.down);
}

bool WebSocketRelay::on_decided(const Answer& answer, Actions& out, Port& port) {
    if (answer.tag != opening_.up && answer.tag != opening_.down) return false;
    const Side from = answer.tag == opening_.up ? Side::Client : Side::Server;
    Direction& its = direction(from);
    if (!its.waiting || over_) return true;
    its.waiting = false;
    const bool allowed = answer.verdict == Verdict::Allowed && answer.decision != nullptr;
    if (answer.request != 0)
        out.record({.request = answer.request,
                    .ok = allowed,
                    .bytes_up = from == Side::Client && allowed ? its.content.size() : 0,
                    .bytes_down = from == Side::Server && allowed ? its.content.size() : 0});
    if (allowed) {
        deliver(from, masks_of(*answer.decision, from), port);
        return true;
    }
    const Refusal refusal = refusal_of(answer, *opening_.request, config_.facts->id);
    close(answer.verdict == Verdict::Unavailable ? kInternalError : kPolicyViolation,
          refusal.detail.empty() ? refusal.title : refusal.detail, port);
    return true;
}

// The message that stands in the direction's buffers.
void WebSocketRelay::deliver(Side from, const policy::MaskSet& masks, Port& port) {
    Direction& its = direction(from);
    const bool recodes = !masks_of(*opening_.decision, from).empty() || !masks.empty();
    if (!masks.empty() && !mask(from, masks, its.content))
        return close(kPolicyViolation, "chaperone: this message cannot be masked", port);
    FrameHead head = its.head;
    Bytes payload = its.payload;
    Buffer packed;
    its.recodes = its.recodes || recodes;
    if (its.recodes) {
        head.rsv1 = its.head.rsv1 && its.deflater.usable();
        payload = its.content;
        if (head.rsv1) {
            if (!its.deflater.message(its.content, packed))
                return close(kInternalError, "chaperone: out of memory", port);
            payload = packed;
        }
    }
    send_frame(other(from), head, payload, port);
    its.payload.clear();
    its.content.clear();
}

// Nothing says of what type a message is; a binary one is often text all the same, and a text may
// have any character.
bool WebSocketRelay::mask(Side from, const policy::MaskSet& masks, Buffer& content) {
    if (!config_.masking) return false;
    const std::string_view text = as_text(content);
    constexpr std::string_view kOther = "application/octet-stream";
    if (!looks_like_json(text)) return mask_as(kOther, from, masks, content);
    if (mask_as("application/json", from, masks, content)) return true;
    // It only begins as JSON does. Escapes would hide from detectors what a lenient reader sees.
    return !text.contains('\\') && mask_as(kOther, from, masks, content);
}

bool WebSocketRelay::mask_as(std::string_view type, Side from, const policy::MaskSet& masks,
                             Buffer& content) {
    HeadEdits ignored;
    http::ResponseHead head{.status = 200, .version = "1.1"};
    head.fields.push_back({"content-type", type});
    http::RequestHead request = opening_.request->head();
    if (from == Side::Client) request.fields = head.fields;
    auto filter = from == Side::Client ? config_.masking->request(masks, request, ignored)
                                       : config_.masking->response(masks, request, head, ignored);
    if (!filter) return false;
    if (*filter == nullptr) return true;
    Buffer masked;
    if (!(*filter)->push(content, true, masked)) return false;
    content = std::move(masked);
    return true;
}

void WebSocketRelay::broken(const Error& error, Port& port) {
    close(code_of(error), error.detail, port);
}

void WebSocketRelay::close(std::uint16_t code, std::string_view reason, Port& port) {
    if (over_) return;
    over_ = true;
    why_ = reason;
    Buffer payload;
    encode_close(payload, code, reason);
    if (!direction(Side::Server).closed)  // else the agent has had its Close
        send_frame(Side::Client, {.opcode = Opcode::Close}, payload, port);
    payload.clear();
    encode_close(payload, code == kPolicyViolation ? kGoingAway : code, {});
    if (!direction(Side::Client).closed)
        send_frame(Side::Server, {.opcode = Opcode::Close, .mask = kOwnKey}, payload, port);
}

void WebSocketRelay::send_frame(Side to, FrameHead head, Bytes payload, Port& port) {
    // Frames of a client are masked, those of a server are not (5.1).
    if (to == Side::Client) head.mask.reset();
    if (to == Side::Server && !head.mask) head.mask = kOwnKey;
    Buffer frame;
    encode_frame(frame, head, payload);
    port.write(to, frame);
}

void WebSocketRelay::finish(Actions& out) {
    for (const Side from : {Side::Client, Side::Server}) {
        if (!direction(from).waiting) continue;
        direction(from).waiting = false;
        out.withdraw(from == Side::Client ? opening_.up : opening_.down);
    }
    over_ = true;
}

}  // namespace chaperone::session

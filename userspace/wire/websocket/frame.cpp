// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/frame.h"

#include "userspace/wire/reader.h"
#include "userspace/wire/writer.h"

#include <cstring>

namespace chaperone::wire::websocket {
namespace {

bool is_known(std::uint8_t opcode) {
    return opcode <= 0x2 || (opcode >= 0x8 && opcode <= 0xa);
}

Result<> check(const FrameHead& head, std::uint8_t first, const FrameRules& rules) {
    if ((first & 0x30) != 0) return fail(Errc::Malformed, "WebSocket: reserved bits");
    if (head.rsv1 && !rules.compression) return fail(Errc::Malformed, "WebSocket: reserved bits");
    if (!is_known(first & 0x0f)) return fail(Errc::Malformed, "WebSocket: reserved opcode");
    // Only the first frame of a message says that it is compressed (RFC 7692, 6.1).
    if (head.rsv1 && (is_control(head.opcode) || head.opcode == Opcode::Continuation))
        return fail(Errc::Malformed, "WebSocket: compression where there can be none");
    if (is_control(head.opcode) && !head.fin)
        return fail(Errc::Malformed, "WebSocket: a control frame in fragments");
    return {};
}

}  // namespace

Result<std::optional<DecodedHead>> decode_head(Bytes in, const FrameRules& rules) {
    Reader reader{in};
    const auto first = reader.big_endian<std::uint8_t>();
    const auto second = reader.big_endian<std::uint8_t>();
    if (!reader.ok()) return std::nullopt;
    DecodedHead decoded;
    FrameHead& head = decoded.head;
    head.fin = (first & 0x80) != 0;
    head.rsv1 = (first & 0x40) != 0;
    head.opcode = static_cast<Opcode>(first & 0x0f);
    if (auto checked = check(head, first, rules); !checked) return fail(checked.error());
    const bool masked = (second & 0x80) != 0;
    if (masked != rules.masked)
        return fail(Errc::Malformed, masked ? "WebSocket: a masked frame of the server"
                                            : "WebSocket: an unmasked frame of the client");
    const unsigned form = second & 0x7f;
    if (is_control(head.opcode) && form > kMaxControl)
        return fail(Errc::Malformed, "WebSocket: a control frame that is too long");
    head.length = form;
    if (form == 126) head.length = reader.big_endian<std::uint16_t>();
    if (form == 127) head.length = reader.big_endian<std::uint64_t>();
    if (!reader.ok()) return std::nullopt;
    const bool minimal = form == 126 ? head.length > 125 : form != 127 || head.length > 0xffff;
    if (!minimal || head.length >> 63 != 0)
        return fail(Errc::Malformed, "WebSocket: length of a frame");
    if (masked) {
        const Bytes key = reader.take(4);
        if (!reader.ok()) return std::nullopt;
        std::memcpy(head.mask.emplace().data(), key.data(), 4);
    }
    decoded.size = in.size() - reader.rest().size();
    return decoded;
}

void encode_head(Buffer& out, const FrameHead& head) {
    Writer writer{out};
    writer.big_endian(static_cast<std::uint8_t>((head.fin ? 0x80 : 0) | (head.rsv1 ? 0x40 : 0) |
                                                static_cast<std::uint8_t>(head.opcode)));
    const unsigned masked = head.mask ? 0x80 : 0;
    if (head.length <= 125) {
        writer.big_endian(static_cast<std::uint8_t>(masked | head.length));
    } else if (head.length <= 0xffff) {
        writer.big_endian(static_cast<std::uint8_t>(masked | 126));
        writer.big_endian(static_cast<std::uint16_t>(head.length));
    } else {
        writer.big_endian(static_cast<std::uint8_t>(masked | 127));
        writer.big_endian(head.length);
    }
    if (head.mask) writer.bytes(*head.mask);
}

void mask(std::span<std::byte> payload, const MaskKey& key, std::uint64_t offset) noexcept {
    for (std::size_t i = 0; i != payload.size(); ++i) payload[i] ^= key[(offset + i) & 3];
}

void encode_frame(Buffer& out, FrameHead head, Bytes payload) {
    head.length = payload.size();
    encode_head(out, head);
    const std::size_t at = out.size();
    append(out, payload);
    if (head.mask) mask(std::span{out}.subspan(at), *head.mask);
}

}  // namespace chaperone::wire::websocket

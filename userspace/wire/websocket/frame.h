// SPDX-License-Identifier: Apache-2.0
// WebSocket frames (RFC 6455, section 5): their heads, read and written. Payload is never touched
// here but by mask(). No state, no allocation but in the buffer that is written to.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <array>
#include <cstdint>
#include <optional>

namespace chaperone::wire::websocket {

enum class Opcode : std::uint8_t {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
};

constexpr bool is_control(Opcode opcode) noexcept {
    return (static_cast<std::uint8_t>(opcode) & 0x8) != 0;
}

constexpr std::size_t kMaxControl = 125;  // bytes of a control frame's payload (5.5)
constexpr std::size_t kMaxHead = 14;

using MaskKey = std::array<std::byte, 4>;

struct FrameHead {
    bool fin = true;
    bool rsv1 = false;  // compressed, where permessage-deflate was agreed on (RFC 7692, 6)
    Opcode opcode = Opcode::Text;
    std::optional<MaskKey> mask{};
    std::uint64_t length = 0;  // of the payload, in bytes

    bool operator==(const FrameHead&) const = default;
};

struct FrameRules {
    bool masked = false;       // frames of a client are, those of a server are not (5.1)
    bool compression = false;  // an extension was agreed on that uses RSV1
};

struct DecodedHead {
    FrameHead head{};
    std::size_t size = 0;  // of the head itself
};

// The head at the front; nullopt: not whole. Malformed: reserved bits or opcodes, a length that is
// not minimal or has its highest bit set, a control frame that is long, fragmented or compressed,
// masking that the rules do not expect.
Result<std::optional<DecodedHead>> decode_head(Bytes in, const FrameRules& rules);
void encode_head(Buffer& out, const FrameHead& head);

// Masks or unmasks in place; `offset` is how much of the payload came before.
void mask(std::span<std::byte> payload, const MaskKey& key, std::uint64_t offset = 0) noexcept;

// A whole frame; the payload is masked with the head's key, its length is the payload's.
void encode_frame(Buffer& out, FrameHead head, Bytes payload);

}  // namespace chaperone::wire::websocket

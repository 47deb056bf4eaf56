// SPDX-License-Identifier: Apache-2.0
// The payload of a Close frame (RFC 6455, 5.5.1 and 7.4).
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <string_view>

namespace chaperone::wire::websocket {

enum CloseCode : std::uint16_t {
    kNormal = 1000,
    kGoingAway = 1001,
    kProtocolError = 1002,
    kNoCode = 1005,  // never on the wire: the frame was empty
    kInvalidData = 1007,
    kPolicyViolation = 1008,
    kTooBig = 1009,
    kInternalError = 1011,
};

struct Close {
    std::uint16_t code = kNoCode;
    std::string_view reason{};  // into the payload
};

// Whether the code may stand in a frame: those of the protocol (7.4.1) and its registry, and 3000
// to 4999, which are of libraries and applications.
bool may_be_sent(std::uint16_t code) noexcept;

// Malformed: one byte, a code that may not be sent, a reason that is not UTF-8.
Result<Close> decode_close(Bytes payload);
// The reason is cut at a character's border to what a control frame holds.
void encode_close(Buffer& out, std::uint16_t code, std::string_view reason);

}  // namespace chaperone::wire::websocket

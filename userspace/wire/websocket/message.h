// SPDX-License-Identifier: Apache-2.0
// One direction of a WebSocket connection as messages: what may follow what (RFC 6455, 5.4),
// whether text is UTF-8 (8.1), what compressed messages say (RFC 7692). Either it only checks the
// heads and lets payload pass (`watch` false), or it puts messages together up to a limit.
#pragma once

#include "userspace/wire/websocket/deflate.h"
#include "userspace/wire/websocket/extensions.h"
#include "userspace/wire/websocket/frame.h"
#include "userspace/wire/websocket/utf8_stream.h"

namespace chaperone::wire::websocket {

class MessageReader {
public:
    struct Options {
        bool from_client = false;
        bool watch = false;           // put messages together
        std::size_t limit = 1 << 20;  // bytes of a message, decompressed; only where watched
        std::optional<DeflateParameters> deflate{};
    };
    // What the front of the input is.
    struct Piece {
        enum class Kind {
            Payload,  // bytes of a frame that is not watched, with its head where it begins
            Message,  // the last bytes of a message: opcode and content hold
            Part,     // bytes of a message of which more is to come; keep them
            Control,  // a whole control frame: opcode and content hold
        };
        Kind kind = Kind::Payload;
        std::size_t size = 0;  // bytes of the input
        Opcode opcode = Opcode::Text;
        Bytes content{};  // unmasked, decompressed; valid until the next call
        // Of a message: the payload as it was sent, but unmasked, and whether it is compressed.
        Bytes payload{};
        bool compressed = false;
        std::optional<MaskKey> mask{};
    };

    explicit MessageReader(const Options& options);

    // The piece at the front; nullopt: more is needed. An error is a protocol error of the
    // sender's: Malformed (1002), Invalid (1007: text that is none), TooLarge (1009).
    Result<std::optional<Piece>> read(Bytes in);

private:
    Result<std::optional<Piece>> read_control(const DecodedHead& decoded, Bytes in);
    Result<> begin_frame(const FrameHead& head);
    Result<Piece> pass(std::size_t head_size, Bytes payload);
    Result<Piece> gather(std::size_t head_size, Bytes payload);
    Result<> add(Bytes payload, bool last);

    Options options_;
    FrameRules rules_;
    Inflater inflater_;
    Utf8Stream utf8_;
    FrameHead frame_;
    std::uint64_t left_ = 0;  // of the frame's payload
    std::uint64_t done_ = 0;
    bool in_frame_ = false;
    bool in_message_ = false;
    bool compressed_ = false;
    bool delivered_ = false;  // what is gathered was handed out; the next message begins anew
    Opcode opcode_ = Opcode::Text;
    std::optional<MaskKey> mask_;  // of the message's first frame
    Buffer control_;               // of the control frame that was read last
    Buffer payload_;               // unmasked
    Buffer content_;               // decompressed, where payload_ is not
};

}  // namespace chaperone::wire::websocket

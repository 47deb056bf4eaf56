// SPDX-License-Identifier: Apache-2.0
// The payload of compressed messages (RFC 7692, 7.2), one direction of one connection each: the
// window goes on from message to message unless the parameters say otherwise.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <memory>

struct z_stream_s;

namespace chaperone::wire::websocket {

class Inflater {
public:
    // `keep_context`: the sender's window goes on (no …_no_context_takeover).
    explicit Inflater(bool keep_context) : keep_context_(keep_context) {}

    // Appends what this piece of a message holds, the last piece being said. TooLarge: `out` would
    // grow beyond `limit` bytes; Malformed: not DEFLATE. Neither can be mended: the connection
    // ends.
    Result<> feed(Bytes piece, bool last, std::size_t limit, Buffer& out);

private:
    struct End {
        void operator()(z_stream_s* stream) const noexcept;
    };
    Result<> run(Bytes input, std::size_t limit, Buffer& out);
    Result<> begin_again();

    std::unique_ptr<z_stream_s, End> stream_;
    bool keep_context_;
};

class Deflater {
public:
    // A window of 8 bits cannot be written (zlib): usable() is false, and messages go uncompressed.
    Deflater(bool keep_context, int window_bits)
        : keep_context_(keep_context), window_bits_(window_bits) {}

    bool usable() const noexcept { return window_bits_ > 8; }
    // Appends the compressed payload of a whole message.
    Result<> message(Bytes payload, Buffer& out);

private:
    struct End {
        void operator()(z_stream_s* stream) const noexcept;
    };

    std::unique_ptr<z_stream_s, End> stream_;
    bool keep_context_;
    int window_bits_;
};

}  // namespace chaperone::wire::websocket

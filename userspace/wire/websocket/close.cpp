// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/close.h"

#include "userspace/wire/pg/utf8.h"
#include "userspace/wire/reader.h"
#include "userspace/wire/websocket/frame.h"
#include "userspace/wire/writer.h"

namespace chaperone::wire::websocket {

bool may_be_sent(std::uint16_t code) noexcept {
    if (code >= 3000) return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

Result<Close> decode_close(Bytes payload) {
    if (payload.empty()) return Close{};
    Reader reader{payload};
    Close close;
    close.code = reader.big_endian<std::uint16_t>();
    if (!reader.ok()) return fail(Errc::Malformed, "WebSocket: a close of one byte");
    if (!may_be_sent(close.code)) return fail(Errc::Malformed, "WebSocket: code of a close");
    close.reason = as_text(reader.rest());
    if (!is_utf8(close.reason)) return fail(Errc::Malformed, "WebSocket: reason of a close");
    return close;
}

void encode_close(Buffer& out, std::uint16_t code, std::string_view reason) {
    if (code == kNoCode) return;
    if (reason.size() > kMaxControl - 2) {
        std::size_t cut = kMaxControl - 2;
        while (cut != 0 && (static_cast<unsigned char>(reason[cut]) & 0xc0) == 0x80) --cut;
        reason = reason.substr(0, cut);
    }
    Writer{out}.big_endian(code).bytes(as_bytes(reason));
}

}  // namespace chaperone::wire::websocket

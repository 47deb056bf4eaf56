// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/utf8_stream.h"

#include <cstring>

namespace chaperone::wire::websocket {

bool Utf8Stream::feed(Bytes piece) noexcept {
    const std::byte* at = piece.data();
    const std::byte* const end = at + piece.size();
    while (at != end) {
        if (more_ == 0 && end - at >= 8) {  // eight characters of ASCII at once
            std::uint64_t eight = 0;
            std::memcpy(&eight, at, 8);
            if ((eight & 0x8080808080808080) == 0) {
                at += 8;
                continue;
            }
        }
        const auto byte = std::to_integer<std::uint8_t>(*at++);
        if (more_ != 0) {
            if (byte < low_ || byte > high_) return false;
            --more_;
            low_ = 0x80;
            high_ = 0xbf;
            continue;
        }
        if (byte < 0x80) continue;
        if (byte < 0xc2 || byte > 0xf4) return false;
        more_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        if (byte == 0xe0) low_ = 0xa0;   // longer than need be
        if (byte == 0xed) high_ = 0x9f;  // surrogates
        if (byte == 0xf0) low_ = 0x90;
        if (byte == 0xf4) high_ = 0x8f;  // beyond U+10FFFF
    }
    return true;
}

}  // namespace chaperone::wire::websocket

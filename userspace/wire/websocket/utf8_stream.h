// SPDX-License-Identifier: Apache-2.0
// UTF-8 that arrives in pieces (RFC 3629: shortest form, no surrogates, up to U+10FFFF). Says no at
// the first byte that no valid text could have there, as RFC 6455, 8.1 asks for.
#pragma once

#include "userspace/base/bytes.h"

#include <cstdint>

namespace chaperone::wire::websocket {

class Utf8Stream {
public:
    // False: the text so far is not the beginning of any UTF-8 text, and nothing will mend it.
    bool feed(Bytes piece) noexcept;
    bool at_border() const noexcept { return more_ == 0; }  // between two characters
    void reset() noexcept { more_ = 0; }

private:
    std::uint8_t more_ = 0;                  // continuation bytes that must follow
    std::uint8_t low_ = 0x80, high_ = 0xbf;  // what the next of them may be
};

}  // namespace chaperone::wire::websocket

// SPDX-License-Identifier: Apache-2.0
// What HTTP/2 carries (RFC 9113): fields, error codes, and the limits that a connection is held to.
#pragma once

#include "userspace/base/clock.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::wire::http2 {

using StreamId = std::int32_t;

struct Field {
    std::string name{};  // lower case; pseudo-header fields begin with ':' and stand first
    std::string value{};
    bool never_index = false;  // must stay out of compression tables (RFC 7541, 6.2.3)

    bool operator==(const Field&) const = default;
};
using Fields = std::vector<Field>;

// The value of the first field of that name; empty: there is none.
std::string_view find(const Fields& fields, std::string_view name) noexcept;

enum class Code : std::uint32_t {  // RFC 9113, 7
    NoError = 0x0,
    ProtocolError = 0x1,
    InternalError = 0x2,
    FlowControlError = 0x3,
    SettingsTimeout = 0x4,
    StreamClosed = 0x5,
    FrameSizeError = 0x6,
    RefusedStream = 0x7,  // nothing was done: safe to try again
    Cancel = 0x8,
    CompressionError = 0x9,
    ConnectError = 0xa,
    EnhanceYourCalm = 0xb,
    InadequateSecurity = 0xc,
    Http11Required = 0xd,
};

std::string_view to_text(Code code) noexcept;  // "CANCEL"

struct Limits {
    std::uint32_t streams = 128;             // at once
    std::size_t header_list = 64 * 1024;     // bytes, counted as RFC 9113, 6.5.2 does
    std::uint32_t stream_window = 65'535;    // bytes of a body that may come before it is taken
    std::size_t buffered = 8 * 1024 * 1024;  // of all bodies not yet taken; then the peer waits
    // Frames behind one HEADERS. nghttp2 counts one anew each time that its nine bytes come in
    // pieces, so that this is more than a list of the size above needs.
    std::size_t continuations = 64;
    Duration head_time = std::chrono::seconds{60};  // of a client's fields, from first to last
    std::uint64_t resets_at_once = 500;  // of streams by the peer (rapid reset), and what comes
    std::uint64_t resets_a_second = 50;  // back each second
    // Frames that cost work and carry nothing (PING, SETTINGS, PRIORITY, empty DATA),
    // and what comes back each second. A malformed message costs ten.
    std::uint32_t idle_frames = 2000;
    std::uint32_t idle_frames_a_second = 1000;
};

}  // namespace chaperone::wire::http2

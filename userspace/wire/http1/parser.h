// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP/1.0 and 1.1 messages, as RFC 9112 writes them and no wider: what two readers could
// take for different messages is a fault, never repaired. Views of the bytes given; no state.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/http.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace chaperone::wire::http1 {

struct Limits {
    std::size_t head = 64 * 1024;    // bytes, first line and fields
    std::size_t target = 16 * 1024;  // bytes
    std::size_t fields = 200;
};

// What is wrong with a message. `status` is what a server answers to such a request; nothing of
// the session is in `what`.
struct Fault {
    int status = 0;  // 0: none
    std::string_view what{};
};

enum class BodyKind : std::uint8_t { None, Length, Chunked, UntilClose };

struct Framing {
    BodyKind body = BodyKind::None;
    std::uint64_t length = 0;   // Length only
    bool keep_alive = false;    // as this message says
    bool continue_100 = false;  // Expect: 100-continue
    bool upgrade = false;       // Upgrade, and Connection lists it
    // What frames or routes has other white space around its value than one space before: legal,
    // but readers differ, so that the head is to be written anew.
    bool odd_space = false;
};

struct Parsed {
    std::size_t size = 0;  // of the head with its empty line; 0: more is needed, or a fault
    Fault fault{};
};

// A request at the front of `data`. `scheme` is what the connection is. Target forms: origin,
// absolute (its authority must be Host's), authority (CONNECT), asterisk (OPTIONS). head.target is
// the path and query in every form; head.protocol is the Upgrade that is asked for.
Parsed parse_request(Bytes data, std::string_view scheme, const Limits& limits,
                     http::RequestHead& head, Framing& framing);

// A response at the front of `data` to a request of this method. `asked_upgrade`: 101 may come.
Parsed parse_response(Bytes data, std::string_view method, bool asked_upgrade, const Limits& limits,
                      http::ResponseHead& head, Framing& framing);

// One field line without its end; nullopt: it is none. A line that begins with white space is.
std::optional<http::Field> parse_field(std::string_view line);

// The next line without its CRLF. NeedMore: npos; a bare CR or LF, or a control character: a fault.
enum class Line : std::uint8_t { Whole, NeedMore, Bad };
Line take_line(Bytes& rest, std::string_view& line);

bool is_token(std::string_view text) noexcept;  // RFC 9110, 5.6.2

}  // namespace chaperone::wire::http1

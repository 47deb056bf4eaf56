// SPDX-License-Identifier: Apache-2.0
// The little HTTP/1.1 (RFC 9112) that the API needs, sans-io: requests out of bytes, answers into
// bytes. Strict: what could be read in two ways is refused.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::control {

struct HttpLimits {
    std::size_t head = 16 * 1024;              // request line and header fields
    std::size_t body = std::size_t{16} << 20;  // a whole bundle, in base64
};

struct HttpRequest {
    std::string method{};
    std::vector<std::string> path{};  // decoded segments: "/v1/sessions" is {"v1", "sessions"}
    std::vector<std::pair<std::string, std::string>> query{};  // decoded
    std::string body{};
    bool keep_alive = true;
};

// "/v1/a%20b?x=1" into path and query. Malformed: no leading slash, bad escapes, empty or dot
// segments, NUL.
Result<> parse_target(std::string_view target, HttpRequest& into);

// Percent-encodes everything but the unreserved characters of RFC 3986.
std::string escape(std::string_view text);

// Reads one request; give it all bytes as they come.
class RequestReader {
public:
    explicit RequestReader(HttpLimits limits = {});
    ~RequestReader();

    // nullopt: more is needed. After a request, or an error, it is done: make a new one. Bytes
    // that followed the request are in rest().
    Result<std::optional<HttpRequest>> feed(Bytes bytes);
    bool started() const noexcept;  // has seen a first byte
    std::string rest() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string_view status_text(int status) noexcept;
// A whole answer. `type` is its media type.
std::string make_response(int status, std::string_view type, std::string_view body,
                          bool keep_alive);
// The head of an answer in chunks, one chunk, and the last one.
std::string make_stream_head(std::string_view type);
std::string make_chunk(std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace chaperone::control

// SPDX-License-Identifier: Apache-2.0
// The chunked transfer coding (RFC 9112, 7.1), piece by piece: nothing is copied, and what is not a
// chunk to the letter is a fault. One body, one thread.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/wire/http1/parser.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::wire::http1 {

class ChunkReader {
public:
    struct Limits {
        std::size_t line = 4096;         // a chunk's size with its extensions
        std::size_t extensions = 16384;  // of a body, in all: nobody needs them
        std::size_t trailers = 16384;    // bytes
        std::size_t fields = 64;
    };
    struct Step {
        std::size_t used = 0;  // of the coded bytes; 0: more is needed, or a fault
        Bytes data{};          // what of it is the body's
        bool done = false;     // this was the end, trailers and all
        Fault fault{};
    };

    ChunkReader() = default;
    explicit ChunkReader(Limits limits) : limits_(limits) {}

    // The next piece at the front of `coded`. Call again while bytes are left and it is not done.
    Step next(Bytes coded);

    // Kept once done; names as sent.
    const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }

private:
    enum class State : std::uint8_t { Size, Data, DataEnd, Trailer, Done };
    Step size_line(Bytes coded);
    Step trailer_line(Bytes coded);

    Limits limits_{};
    State state_ = State::Size;
    std::uint64_t left_ = 0;
    std::size_t extensions_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::vector<std::pair<std::string, std::string>> trailers_{};
};

// The head of a chunk of this size; the data and CRLF follow.
void write_chunk_head(Buffer& to, std::size_t size);
// The last chunk, with trailers.
void write_last_chunk(Buffer& to, const std::vector<std::pair<std::string, std::string>>& trailers);

void write_request_head(Buffer& to, const http::RequestHead& head, std::string_view target,
                        const http::Fields& fields);
void write_response_head(Buffer& to, int status, std::string_view version, std::string_view reason,
                         const http::Fields& fields);
std::string_view reason_of(int status) noexcept;

}  // namespace chaperone::wire::http1

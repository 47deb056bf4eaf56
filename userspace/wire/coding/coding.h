// SPDX-License-Identifier: Apache-2.0
// HTTP content codings (RFC 9110 section 8.4.1): gzip, deflate, br (RFC 7932), zstd (RFC 8878), as
// streams: any cut of the input gives the same output, and memory stays flat whatever comes out.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace chaperone::wire {

enum class Coding : std::uint8_t { Gzip, Deflate, Brotli, Zstd };

std::string_view name_of(Coding coding) noexcept;  // "gzip", "deflate", "br", "zstd"

// The codings of a Content-Encoding field, in the order in which they were applied; identity is
// left out. Unsupported names the first that is not spoken here; TooLarge: more than kMaxCodings.
Result<std::vector<Coding>> parse_codings(std::string_view field);
inline constexpr std::size_t kMaxCodings = 2;
// Those that a request may offer where its answer must be read: for Accept-Encoding.
inline constexpr std::string_view kSpokenCodings = "gzip, deflate, br, zstd";

// Takes what comes out, in pieces of at most kPiece bytes; valid during the call only.
using Sink = std::function<void(Bytes)>;
inline constexpr std::size_t kPiece = std::size_t{32} * 1024;

class Decoder {
public:
    virtual ~Decoder() = default;

    // Malformed: the stream is broken, or bytes follow its end. TooLarge: it expands beyond
    // kMaxFree bytes and kMaxRatio to one, which no honest text does. No use after an error.
    virtual Result<> push(Bytes in, const Sink& out) = 0;
    // The end of the input. Truncated: the stream had not ended. Input of no byte at all is fine.
    virtual Result<> finish() = 0;
};

inline constexpr std::uint64_t kMaxFree = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kMaxRatio = 1100;  // gzip cannot exceed 1032

std::unique_ptr<Decoder> make_decoder(Coding coding);

class Encoder {
public:
    virtual ~Encoder() = default;

    // What goes in can be decoded from what came out: nothing waits inside, so that an event is not
    // held back (a flush costs a few bytes each).
    virtual void push(Bytes in, const Sink& out) = 0;
    virtual void finish(const Sink& out) = 0;
};

std::unique_ptr<Encoder> make_encoder(Coding coding);

}  // namespace chaperone::wire

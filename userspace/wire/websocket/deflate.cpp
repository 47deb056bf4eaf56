// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/deflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace chaperone::wire::websocket {
namespace {

constexpr std::size_t kStep = 16 * 1024;
// What a sender leaves out at the end of a message (7.2.1).
constexpr std::array kTail{std::byte{0x00}, std::byte{0x00}, std::byte{0xff}, std::byte{0xff}};

void give(z_stream& stream, Bytes input) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream.avail_in = static_cast<uInt>(input.size());
}

}  // namespace

void Inflater::End::operator()(z_stream_s* stream) const noexcept {
    inflateEnd(stream);
    delete stream;
}

// After a block that says it is the last one (7.2.3.4) more may follow, with the same window.
Result<> Inflater::begin_again() {
    std::array<Bytef, 32'768> window;
    uInt size = 0;
    inflateGetDictionary(stream_.get(), window.data(), &size);
    if (inflateReset(stream_.get()) != Z_OK ||
        inflateSetDictionary(stream_.get(), window.data(), size) != Z_OK)
        return fail(Errc::Malformed, "WebSocket: compressed data");
    return {};
}

Result<> Inflater::run(Bytes input, std::size_t limit, Buffer& out) {
    give(*stream_, input);
    for (;;) {
        const std::size_t had = out.size();
        const std::size_t room = std::min(kStep, limit - std::min(limit, had) + 1);
        out.resize(had + room);
        stream_->next_out = reinterpret_cast<Bytef*>(out.data() + had);
        stream_->avail_out = static_cast<uInt>(room);
        const int result = inflate(stream_.get(), Z_SYNC_FLUSH);
        const bool full = stream_->avail_out == 0;
        out.resize(had + room - stream_->avail_out);
        if (out.size() > limit) return fail(Errc::TooLarge, "WebSocket: a decompressed message");
        if (result == Z_STREAM_END) {
            const Bytes rest{input.last(stream_->avail_in)};
            if (auto begun = begin_again(); !begun) return begun;
            if (rest.empty()) return {};
            give(*stream_, rest);
            continue;
        }
        if (result != Z_OK && result != Z_BUF_ERROR)
            return fail(Errc::Malformed, "WebSocket: compressed data");
        if (!full) return {};  // all that was given is used
    }
}

Result<> Inflater::feed(Bytes piece, bool last, std::size_t limit, Buffer& out) {
    if (!stream_) {
        auto made = std::make_unique<z_stream>();
        if (inflateInit2(made.get(), -15) != Z_OK)
            return fail(Errc::Unavailable, "WebSocket: memory to decompress");
        stream_.reset(made.release());
    }
    while (!piece.empty()) {
        const Bytes part = piece.first(std::min<std::size_t>(piece.size(), 1U << 20));
        if (auto done = run(part, limit, out); !done) return done;
        piece = piece.subspan(part.size());
    }
    if (!last) return {};
    if (auto done = run(kTail, limit, out); !done) return done;
    if (!keep_context_) inflateReset(stream_.get());
    return {};
}

void Deflater::End::operator()(z_stream_s* stream) const noexcept {
    deflateEnd(stream);
    delete stream;
}

Result<> Deflater::message(Bytes payload, Buffer& out) {
    if (payload.size() > std::numeric_limits<uInt>::max())
        return fail(Errc::TooLarge, "WebSocket: a message to compress");
    if (!stream_) {
        auto made = std::make_unique<z_stream>();
        if (deflateInit2(made.get(), Z_DEFAULT_COMPRESSION, Z_DEFLATED, -window_bits_, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            return fail(Errc::Unavailable, "WebSocket: memory to compress");
        stream_.reset(made.release());
    }
    const std::size_t begin = out.size();
    give(*stream_, payload);
    do {
        const std::size_t had = out.size();
        out.resize(had + kStep);
        stream_->next_out = reinterpret_cast<Bytef*>(out.data() + had);
        stream_->avail_out = kStep;
        deflate(stream_.get(), Z_SYNC_FLUSH);
        out.resize(had + kStep - stream_->avail_out);
    } while (stream_->avail_out == 0);
    if (out.size() - begin >= kTail.size() &&
        std::equal(kTail.begin(), kTail.end(), out.end() - kTail.size()))
        out.resize(out.size() - kTail.size());
    if (out.size() == begin) out.push_back(std::byte{0x00});  // an empty message (7.2.3.6)
    if (!keep_context_) deflateReset(stream_.get());
    return {};
}

}  // namespace chaperone::wire::websocket

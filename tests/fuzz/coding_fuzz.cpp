// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Any bytes as any content coding, cut anywhere: no crash, and the same comes out or is refused.
#include "userspace/wire/coding/coding.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

namespace chaperone::wire {
namespace {

constexpr std::array kCodings{Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd};
constexpr std::size_t kEnough = std::size_t{1} << 20;

std::optional<std::string> play(Coding coding, Bytes in, std::size_t piece) {
    std::string out;
    const auto decoder = make_decoder(coding);
    for (; !in.empty(); in = in.subspan(std::min(piece, in.size()))) {
        const auto done = decoder->push(in.first(std::min(piece, in.size())), [&](Bytes bytes) {
            if (bytes.size() > kPiece) std::abort();
            if (out.size() < kEnough) out += as_text(bytes);
        });
        if (!done) return std::nullopt;
    }
    if (!decoder->finish()) return std::nullopt;
    return out;
}

}  // namespace
}  // namespace chaperone::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::wire;
    if (size == 0) return 0;
    const auto in = std::as_bytes(std::span{data + 1, size - 1});
    const Coding coding = kCodings[data[0] % kCodings.size()];
    if (play(coding, in, size) != play(coding, in, 1)) std::abort();
    return 0;
}

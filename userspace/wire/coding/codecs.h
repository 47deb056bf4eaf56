// SPDX-License-Identifier: Apache-2.0
// One maker a library behind coding.h, and what they share.
#pragma once

#include "userspace/wire/coding/coding.h"

namespace chaperone::wire {

enum class Wrapper : std::uint8_t { Gzip, Zlib };

std::unique_ptr<Decoder> make_inflater(Wrapper wrapper);
std::unique_ptr<Encoder> make_deflater(Wrapper wrapper);
std::unique_ptr<Decoder> make_brotli_decoder();
std::unique_ptr<Encoder> make_brotli_encoder();
std::unique_ptr<Decoder> make_zstd_decoder();
std::unique_ptr<Encoder> make_zstd_encoder();

// Refuses what expands out of all proportion.
class Proportion {
public:
    void took(std::size_t bytes) noexcept { in_ += bytes; }
    Result<> gave(std::size_t bytes) {
        out_ += bytes;
        if (out_ > kMaxFree && out_ / kMaxRatio > in_)
            return fail(Errc::TooLarge, "a compressed body that expands out of proportion");
        return {};
    }

private:
    std::uint64_t in_ = 0;
    std::uint64_t out_ = 0;
};

}  // namespace chaperone::wire

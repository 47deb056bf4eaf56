// SPDX-License-Identifier: Apache-2.0
// Strings of JSON (RFC 8259 section 7) in pieces: escapes to UTF-8 and back. A lone surrogate is
// kept: three bytes in between, an escape again on its way out.
#pragma once

#include "userspace/base/error.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace chaperone::session {

// How far `in` is nothing but characters that stand for themselves. Eight at a time; (in the words
// below the lowest high bit is the first such character's; those above it may be wrong.)
inline std::size_t json_plain_run(std::string_view in) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
    const auto zero = [](std::uint64_t word) { return (word - kOnes) & ~word & kHighs; };
    std::size_t at = 0;
    for (; at + 8 <= in.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, in.data() + at, 8);
        if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
        const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHighs;
        const std::uint64_t others = zero(word ^ kOnes * '"') | zero(word ^ kOnes * '\\') | control;
        if (others != 0) return at + static_cast<std::size_t>(std::countr_zero(others)) / 8;
    }
    while (at != in.size() && in[at] != '"' && in[at] != '\\' &&
           static_cast<unsigned char>(in[at]) >= 0x20)
        ++at;
    return at;
}

class JsonUnescaper {
public:
    // Consumes up to and with the closing quote, or all; appends what it stands for. Malformed: an
    // unknown escape or a control character. `closed` tells whether the quote came.
    Result<std::size_t> read(std::string_view in, std::string& text, bool& closed);
    void reset() noexcept { *this = {}; }

private:
    enum class In : std::uint8_t { Plain, Escape, Hex };

    Result<> escape(char c, std::string& text);
    Result<> hex(char c, std::string& text);
    void surrogate_alone(std::string& text);

    In in_ = In::Plain;
    unsigned digits_ = 0;
    std::uint32_t unit_ = 0;
    std::uint32_t high_ = 0;  // the first half of a pair
};

// Appends `text` as it stands between quotes.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace chaperone::session

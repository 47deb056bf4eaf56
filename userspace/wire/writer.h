// SPDX-License-Identifier: Apache-2.0
// Appends fields to a buffer that the caller owns. Integers are big-endian.
#pragma once

#include "userspace/base/bytes.h"

#include <concepts>
#include <cstdint>

namespace chaperone::wire {

class Writer {
public:
    explicit Writer(Buffer& out) noexcept : out_(out) {}

    template <std::unsigned_integral Int>
    Writer& big_endian(Int value) {
        for (std::size_t i = sizeof(Int); i-- != 0;)
            out_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
        return *this;
    }
    Writer& byte(char value) {
        out_.push_back(static_cast<std::byte>(value));
        return *this;
    }
    Writer& bytes(Bytes value) {
        append(out_, value);
        return *this;
    }
    // The text up to its first NUL, and a NUL: what stands behind could not be read back.
    Writer& c_string(std::string_view text) {
        append(out_, text.substr(0, text.find('\0')));
        return byte('\0');
    }

    // The place of a 32-bit length that counts itself; patch() fills it in with what was written
    // since.
    std::size_t length() {
        const std::size_t at = out_.size();
        big_endian(std::uint32_t{});
        return at;
    }
    void patch(std::size_t at, std::size_t not_counted = 0) {
        const std::size_t value = out_.size() - at - not_counted;
        for (std::size_t i = 0; i != 4; ++i)
            out_[at + i] = static_cast<std::byte>(value >> (8 * (3 - i)));
    }

private:
    Buffer& out_;
};

}  // namespace chaperone::wire

// SPDX-License-Identifier: Apache-2.0
// Reads fields off the front of a message body. Failure is sticky: after the first short read every
// further read returns an empty value, so a decoder reads all its fields and asks once, at the end.
#pragma once

#include "userspace/base/bytes.h"

#include <concepts>
#include <cstdint>

namespace chaperone::wire {

class Reader {
public:
    explicit Reader(Bytes body) noexcept : rest_(body) {}

    template <std::unsigned_integral Int>
    Int big_endian() noexcept {
        Int value{};
        for (const std::byte b : take(sizeof(Int)))
            value = static_cast<Int>((static_cast<std::uint64_t>(value) << 8) |
                                     std::to_integer<std::uint64_t>(b));
        return value;
    }

    // Up to the next NUL, which is consumed and not returned.
    std::string_view c_string() noexcept {
        const auto end = as_text(rest_).find('\0');
        if (end == std::string_view::npos) return as_text(fail());
        const auto text = as_text(rest_.first(end));
        rest_ = rest_.subspan(end + 1);
        return text;
    }

    Bytes take(std::size_t n) noexcept {
        if (n > rest_.size()) return fail();
        const Bytes head = rest_.first(n);
        rest_ = rest_.subspan(n);
        return head;
    }

    Bytes rest() const noexcept { return rest_; }
    bool ok() const noexcept { return ok_; }
    // Everything asked for was there, and nothing is left over.
    bool complete() const noexcept { return ok_ && rest_.empty(); }

private:
    Bytes fail() noexcept {
        ok_ = false;
        return rest_ = {};
    }

    Bytes rest_;
    bool ok_ = true;
};

}  // namespace chaperone::wire

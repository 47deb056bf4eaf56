// SPDX-License-Identifier: Apache-2.0
// Which values of a JSON text are meant: the part of JSONPath (RFC 9535) that can be told while the
// text streams by. `$` is the root; `.name`, `['name']`, `[2]`, `[*]`, `.*` one step down; `..name`
// and `..*` any number of steps. No filters, slices or unions, no index from the end.
#pragma once

#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {

class JsonPath {
public:
    static constexpr std::size_t kMaxSegments = 32;

    // Invalid says at which byte (from 1), and what was expected there.
    static Result<JsonPath> parse(std::string_view text);

    // How far a value matches: bit n says that the first n segments led to it. A value whose state
    // is `complete` is meant, with all that is in it.
    using State = std::uint64_t;
    static constexpr State kRoot = 1;
    State member(State parent, std::string_view name) const noexcept;
    State element(State parent, std::size_t index) const noexcept;
    bool complete(State state) const noexcept { return (state & complete_) != 0; }
    // Of the members of a value in this state only those can match whose bit is in here.
    std::uint64_t names(State parent) const noexcept;
    static std::uint64_t bit_of(std::string_view name) noexcept {
        const unsigned last = name.empty() ? 0 : static_cast<unsigned char>(name.back());
        return std::uint64_t{1} << (name.size() + last) % 64;
    }

    const std::string& text() const noexcept { return text_; }

private:
    enum class Kind : std::uint8_t { Name, Index, Any };
    struct Segment {
        Kind kind = Kind::Any;
        bool descendant = false;
        std::string name{};
        std::size_t index = 0;
    };
    friend class JsonPathReader;

    template <class Fits>
    State step(State parent, Fits fits) const noexcept;

    std::string text_{};
    std::vector<Segment> segments_{};
    State complete_ = kRoot;  // one bit: all segments led there
};

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
// For what reads a body as it comes: its first byte says which kind, its second where it is cut.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace chaperone {

// `play(text, piece, events)` must come to the same however the text is cut; that is returned.
template <std::invocable<std::string_view, std::size_t, bool> Play>
std::string same_in_pieces(const std::uint8_t* data, std::size_t size, Play&& play) {
    if (size < 2) return {};
    const std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};
    const bool events = (data[0] & 1) != 0;
    const std::string whole = play(text, text.size() + 1, events);
    if (play(text, static_cast<std::size_t>(data[1]) + 1, events) != whole) std::abort();
    return whole;
}

}  // namespace chaperone

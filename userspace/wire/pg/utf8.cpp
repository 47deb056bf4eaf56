// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/pg/utf8.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace chaperone::wire {

bool is_ascii(std::string_view text) noexcept {
    unsigned char all = 0;
    for (const char c : text) all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
    return all < 0x80;
}

bool is_utf8(std::string_view text) noexcept {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned char lead = at(i);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        const std::size_t size = lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (size == 0 || text.size() - i < size) return false;
        std::uint32_t c = lead & (0xFFu >> (size + 1));
        for (std::size_t k = 1; k != size; ++k) {
            if (at(i + k) >> 6 != 2) return false;
            c = c << 6 | (at(i + k) & 0x3Fu);
        }
        constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < least[size] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
        i += size;
    }
    return true;
}

}  // namespace chaperone::wire

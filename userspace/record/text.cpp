// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/text.h"

#include <array>
#include <cstdint>

namespace chaperone::record {
namespace {

struct Character {
    char32_t code = 0;
    std::size_t size = 0;  // 0: the first byte is not part of any
};

Character decode(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) return {first, 1};
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
    char32_t code = first & (0xffu >> (size + 1));
    for (std::size_t i = 1; i != size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        code = code << 6 | (byte(i) & 0x3f);
    }
    constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < kLeast[size] || code > 0x10ffff || surrogate ? Character{}
                                                               : Character{code, size};
}

bool acts(char32_t code) {
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    const bool direction = (code >= 0x202a && code <= 0x202e) ||
                           (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f;
    const bool line = code == 0x2028 || code == 0x2029;
    return control || direction || line;
}

std::string escaped(char32_t code, std::string_view bytes) {
    switch (code) {
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: break;
    }
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
    return text;
}

}  // namespace

std::string to_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Character next = decode(text);
        if (next.size == 0)
            out += "\xef\xbf\xbd";
        else
            out += text.substr(0, next.size);
        text.remove_prefix(next.size == 0 ? 1 : next.size);
    }
    return out;
}

std::string to_visible(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Character next = decode(text);
        const std::string_view bytes = text.substr(0, next.size == 0 ? 1 : next.size);
        if (next.size == 0 || acts(next.code))
            out += escaped(next.code, bytes);
        else
            out += bytes;
        text.remove_prefix(bytes.size());
    }
    return out;
}

}  // namespace chaperone::record

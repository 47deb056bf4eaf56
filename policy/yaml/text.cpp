// SPDX-License-Identifier: Apache-2.0
#include "policy/yaml/text.h"

#include <algorithm>

namespace chaperone::policy::yaml {
namespace {

constexpr bool is_continuation(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U;
}

}  // namespace

CodePoint first_code_point(std::string_view text) noexcept {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80) return {lead, 1};
    std::size_t size = 0;
    char32_t value = 0;
    char32_t least = 0;
    if ((lead & 0xe0U) == 0xc0U) {
        size = 2, value = lead & 0x1fU, least = 0x80;
    } else if ((lead & 0xf0U) == 0xe0U) {
        size = 3, value = lead & 0x0fU, least = 0x800;
    } else if ((lead & 0xf8U) == 0xf0U) {
        size = 4, value = lead & 0x07U, least = 0x10000;
    } else {
        return {};
    }
    if (text.size() < size) return {};
    for (std::size_t i = 1; i != size; ++i) {
        if (!is_continuation(text[i])) return {};
        value = (value << 6U) | (static_cast<unsigned char>(text[i]) & 0x3fU);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
    return {value, size};
}

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const CodePoint next = first_code_point(text);
        if (next.size == 0) return false;
        text.remove_prefix(next.size);
    }
    return true;
}

std::size_t code_points(std::string_view text) noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char byte) { return !is_continuation(byte); }));
}

std::string one_line(std::string_view text, std::size_t most) {
    std::string line;
    while (!text.empty()) {
        const CodePoint next = first_code_point(text);
        const std::size_t size = next.size == 0 ? 1 : next.size;
        if (line.size() + size > most) break;
        const char32_t value = next.value;
        if (value == '\n' || value == '\t' || value == '\r')
            line += ' ';
        else if (next.size == 0 || value < 0x20 || (value >= 0x7f && value < 0xa0))
            line += '?';
        else
            line += text.substr(0, size);
        text.remove_prefix(size);
    }
    return line;
}

}  // namespace chaperone::policy::yaml

// SPDX-License-Identifier: Apache-2.0
// UTF-8 by code point.
#include "policy/cel/utf8.h"

namespace chaperone::cel::utf8 {
namespace {

unsigned byte(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

// The length of the well-formed sequence at `at`, 0 if there is none (RFC 3629, section 4).
std::size_t sequence(std::string_view text, std::size_t at) {
    const unsigned lead = byte(text, at);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - at < length) return 0;
    for (std::size_t i = 1; i != length; ++i)
        if ((byte(text, at + i) & 0xC0) != 0x80) return 0;
    const unsigned second = byte(text, at + 1);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
        return 0;
    return length;
}

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

bool valid(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = sequence(text, at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

char32_t next(std::string_view text, std::size_t& at) noexcept {
    const unsigned lead = byte(text, at++);
    if (lead < 0x80) return lead;
    char32_t point = lead >= 0xF0 ? lead & 0x07 : lead >= 0xE0 ? lead & 0x0F : lead & 0x1F;
    while (at < text.size() && is_continuation(text[at]))
        point = (point << 6) | (byte(text, at++) & 0x3F);
    return point;
}

void append(std::string& to, char32_t point) {
    const auto put = [&](char32_t bits) { to += static_cast<char>(bits); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xC0 | (point >> 6));
        put(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        put(0xE0 | (point >> 12));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    } else {
        put(0xF0 | (point >> 18));
        put(0x80 | ((point >> 12) & 0x3F));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    }
}

std::size_t count(std::string_view text) noexcept {
    std::size_t points = 0;
    for (const char c : text) points += is_continuation(c) ? 0 : 1;
    return points;
}

std::size_t offset(std::string_view text, std::size_t index) noexcept {
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        if (is_continuation(text[at])) continue;
        if (index-- == 0) return at;
    }
    return at;
}

std::string repaired(std::string_view text) {
    std::string made;
    made.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = sequence(text, at);
        if (length == 0) {
            made += "\xEF\xBF\xBD";
            ++at;
        } else {
            made += text.substr(at, length);
            at += length;
        }
    }
    return made;
}

}  // namespace chaperone::cel::utf8

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/dns/name.h"

#include <algorithm>
#include <cstdint>

namespace chaperone::wire::dns {
namespace {

constexpr std::uint8_t kPointer = 0xc0;  // the two high bits of a length (RFC 1035, 4.1.4)
// More than a name has labels is a chain that costs time and says nothing.
constexpr int kMostPointers = 127;

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool is_plain_byte(char c) noexcept {
    const char low = lower(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

// One byte of a label as people write it; moves `at` behind it. -1: none.
int unescaped(std::string_view text, std::size_t& at) {
    const char c = text[at++];
    if (c != '\\') return static_cast<unsigned char>(c);
    if (at == text.size()) return -1;
    if (!is_digit(text[at])) return static_cast<unsigned char>(text[at++]);
    if (text.size() - at < 3 || !is_digit(text[at + 1]) || !is_digit(text[at + 2])) return -1;
    const int value = (text[at] - '0') * 100 + (text[at + 1] - '0') * 10 + (text[at + 2] - '0');
    at += 3;
    return value <= 255 ? value : -1;
}

}  // namespace

Result<Name> Name::from_text(std::string_view text) {
    const auto bad = [] { return fail(Errc::Invalid, "no domain name"); };
    if (text == ".") return Name{};
    std::string wire, label;
    const auto end_label = [&] {
        if (label.empty() || label.size() > kMostLabel) return false;
        wire += static_cast<char>(label.size());
        wire += label;
        label.clear();
        return wire.size() < kMost;
    };
    for (std::size_t at = 0; at != text.size();) {
        if (text[at] == '.') {
            if (!end_label()) return bad();
            ++at;
            continue;
        }
        const int byte = unescaped(text, at);
        if (byte < 0 || label.size() > kMostLabel) return bad();
        label += static_cast<char>(byte);
    }
    if (text.empty() || (!label.empty() && !end_label())) return bad();
    wire += '\0';
    return Name{std::move(wire)};
}

Result<Name> Name::read(Bytes message, std::size_t& at) {
    std::string wire;
    std::size_t from = at;
    std::size_t before = at;  // a pointer must go before this
    bool jumped = false;
    int pointers = 0;
    while (true) {
        if (from >= message.size()) return fail(Errc::Truncated, "domain name");
        const auto length = std::to_integer<std::uint8_t>(message[from]);
        if ((length & kPointer) == kPointer) {
            if (message.size() - from < 2) return fail(Errc::Truncated, "domain name");
            const std::size_t to =
                (length & 0x3fU) << 8 | std::to_integer<std::size_t>(message[from + 1]);
            if (!jumped) at = from + 2;
            jumped = true;
            if (to >= before || ++pointers > kMostPointers)
                return fail(Errc::Malformed, "pointer of a domain name");
            from = before = to;
            continue;
        }
        if ((length & kPointer) != 0) return fail(Errc::Malformed, "label of a domain name");
        if (length >= message.size() - from) return fail(Errc::Truncated, "domain name");
        wire += as_text(message.subspan(from, std::size_t{1} + length));
        if (wire.size() > kMost) return fail(Errc::TooLarge, "domain name");
        from += std::size_t{1} + length;
        if (length == 0) break;
    }
    if (!jumped) at = from;
    return Name{std::move(wire)};
}

std::string Name::text() const {
    if (is_root()) return ".";
    std::string made;
    for (std::size_t at = 0; wire_[at] != '\0';) {
        const auto length = static_cast<unsigned char>(wire_[at]);
        if (at != 0) made += '.';
        for (const char c : std::string_view{wire_}.substr(at + 1, length)) {
            if (is_plain_byte(c)) {
                made += lower(c);
                continue;
            }
            const auto value = static_cast<unsigned char>(c);
            made += '\\';
            made += static_cast<char>('0' + value / 100);
            made += static_cast<char>('0' + value / 10 % 10);
            made += static_cast<char>('0' + value % 10);
        }
        at += std::size_t{1} + length;
    }
    return made;
}

bool Name::is_plain() const noexcept {
    for (std::size_t at = 0; wire_[at] != '\0';) {
        const auto length = static_cast<unsigned char>(wire_[at]);
        if (!std::ranges::all_of(std::string_view{wire_}.substr(at + 1, length), is_plain_byte))
            return false;
        at += std::size_t{1} + length;
    }
    return true;
}

// Lengths are below 64, so that no length is a letter.
bool operator==(const Name& a, const Name& b) noexcept {
    return std::ranges::equal(a.wire_, b.wire_, {}, lower, lower);
}

}  // namespace chaperone::wire::dns

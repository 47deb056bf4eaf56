// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/encoding.h"

#include <array>
#include <cstdint>

namespace chaperone {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode64(Bytes bytes, std::string_view alphabet, bool pad) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j != 3; ++j)
            group = group << 8 | (j < left ? std::to_integer<std::uint32_t>(bytes[i + j]) : 0U);
        for (std::size_t j = 0; j != left + 1; ++j) text += alphabet[group >> (18 - 6 * j) & 63];
        if (pad) text.append(3 - left, '=');
    }
    return text;
}

Result<Buffer> decode64(std::string_view text, std::string_view alphabet) {
    Buffer bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) return fail(Errc::Malformed, "base64 character");
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        if ((count += 6) < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<std::byte>(bits >> count & 0xff));
    }
    if (text.size() % 4 == 1) return fail(Errc::Malformed, "base64 length");
    if ((bits & ((1U << count) - 1)) != 0) return fail(Errc::Malformed, "base64 padding bits");
    return bytes;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string to_hex(Bytes bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte b : bytes) {
        text += kHex[std::to_integer<std::size_t>(b) >> 4];
        text += kHex[std::to_integer<std::size_t>(b) & 15];
    }
    return text;
}

Result<Buffer> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return fail(Errc::Malformed, "hex length");
    Buffer bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i != text.size(); i += 2) {
        const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) return fail(Errc::Malformed, "hex digit");
        bytes.push_back(static_cast<std::byte>(high << 4 | low));
    }
    return bytes;
}

std::string to_base64(Bytes bytes) {
    return encode64(bytes, kBase64, true);
}

Result<Buffer> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return fail(Errc::Malformed, "base64 length");
    if (text.ends_with("=="))
        text.remove_suffix(2);
    else if (text.ends_with('='))
        text.remove_suffix(1);
    return decode64(text, kBase64);
}

std::string to_base64url(Bytes bytes) {
    return encode64(bytes, kBase64Url, false);
}

Result<Buffer> from_base64url(std::string_view text) {
    return decode64(text, kBase64Url);
}

}  // namespace chaperone

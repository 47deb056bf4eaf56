// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/ip_text.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>

namespace chaperone {

namespace {

// By hand: every connection has several, and inet_ntop(3) goes through printf.
std::string v4_text(std::span<const std::uint8_t> address) {
    std::array<char, INET_ADDRSTRLEN> text;
    char* at = text.data();
    for (const std::uint8_t octet : address) {
        if (at != text.data()) *at++ = '.';
        at = std::to_chars(at, text.data() + text.size(), octet).ptr;
    }
    return {text.data(), at};
}

}  // namespace

std::string ip_text(std::span<const std::uint8_t> address) {
    if (address.size() == 4) return v4_text(address);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.size() != 16 ||
        ::inet_ntop(AF_INET6, address.data(), text.data(), text.size()) == nullptr)
        return "?";
    return text.data();
}

}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/address.h"

#include "userspace/base/ip_text.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace chaperone::kernel {

namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool Address::is_v4() const noexcept {
    return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), ip.begin());
}

std::optional<Address> parse_address(const std::string& text, std::uint16_t port) noexcept {
    Address address{.port = port};
    std::array<std::uint8_t, 4> v4{};
    if (::inet_pton(AF_INET, text.c_str(), v4.data()) == 1)
        return v4_address(v4[0], v4[1], v4[2], v4[3], port);
    if (::inet_pton(AF_INET6, text.c_str(), address.ip.data()) == 1) return address;
    return std::nullopt;
}

std::string Address::host() const {
    return ip_text(is_v4() ? std::span{ip}.subspan(kMappedPrefix.size()) : std::span{ip});
}

std::string Address::to_text() const {
    const std::string name = host();
    return (is_v4() ? name : "[" + name + "]") + ":" + std::to_string(port);
}

Address v4_address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                   std::uint16_t port) noexcept {
    Address address{.port = port};
    std::ranges::copy(kMappedPrefix, address.ip.begin());
    std::ranges::copy(std::array{a, b, c, d}, address.ip.begin() + kMappedPrefix.size());
    return address;
}

std::optional<Address> from_sockaddr(const sockaddr_storage& from) noexcept {
    if (from.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &from, sizeof(v4));
        std::array<std::uint8_t, 4> ip{};
        std::memcpy(ip.data(), &v4.sin_addr, ip.size());
        return v4_address(ip[0], ip[1], ip[2], ip[3], ntohs(v4.sin_port));
    }
    if (from.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &from, sizeof(v6));
        Address address{.port = ntohs(v6.sin6_port)};
        std::memcpy(address.ip.data(), &v6.sin6_addr, address.ip.size());
        return address;
    }
    return std::nullopt;
}

}  // namespace chaperone::kernel

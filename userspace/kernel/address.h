// SPDX-License-Identifier: Apache-2.0
// An internet address with a port, as the kernel's maps hold it.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace chaperone::kernel {

struct Address {
    // Network order; IPv4 as ::ffff:a.b.c.d.
    std::array<std::uint8_t, 16> ip{};
    std::uint16_t port = 0;  // host order

    bool is_v4() const noexcept;
    // "192.0.2.7" or "2001:db8::1", without the port.
    std::string host() const;
    // "192.0.2.7:5432" or "[2001:db8::1]:5432".
    std::string to_text() const;

    friend auto operator<=>(const Address&, const Address&) = default;
};

// "192.0.2.7" or "2001:db8::1"; a mapped one is IPv4. nullopt: neither.
std::optional<Address> parse_address(const std::string& text, std::uint16_t port) noexcept;

Address v4_address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                   std::uint16_t port) noexcept;

// nullopt for other families.
std::optional<Address> from_sockaddr(const sockaddr_storage& from) noexcept;

}  // namespace chaperone::kernel

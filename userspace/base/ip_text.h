// SPDX-License-Identifier: Apache-2.0
// Internet addresses in letters, as inet_ntop(3) writes them (RFC 5952 for IPv6).
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace chaperone {

// Of the 4 or 16 bytes of an address in network order; "?" for another number of them.
std::string ip_text(std::span<const std::uint8_t> address);

}  // namespace chaperone

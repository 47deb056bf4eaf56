// SPDX-License-Identifier: Apache-2.0
// What a certificate may be made for: a host name or an IP address, in its one canonical form.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <string>
#include <string_view>

namespace chaperone::authority {

struct HostName {
    std::string text{};  // lower case, without a final dot; an address as inet_ntop writes it
    Buffer address{};    // 4 or 16 octets; empty for a DNS name
};

// Invalid: neither an address nor a host name of RFC 1123 (underscores pass, as resolvers let
// them), longer than 253 octets, a label over 63, a wildcard, or a name whose last label is a
// number (which some clients would read as an address). An IPv4-mapped address is the IPv4 address.
Result<HostName> read_host_name(std::string_view text);

}  // namespace chaperone::authority

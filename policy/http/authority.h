// SPDX-License-Identifier: Apache-2.0
// The authority of a request (Host, :authority, absolute targets) as the one host and port that
// every reader makes of it. What some read otherwise is none: escapes, letters beyond ASCII, user
// information, addresses in the short, octal and hexadecimal ways of inet_aton(3) and of the WHATWG
// URL standard. RFC 3986, 3.2; RFC 9110, 4.2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::policy::http {

struct Authority {
    std::string host{};                   // lower case, without a last dot or brackets
    std::optional<std::uint16_t> port{};  // of 1 to 65535; none: the scheme's own
};

// "Host.:8080" -> {"host", 8080}; "[0::1]" -> {"::1"}; "[::ffff:10.0.0.1]" -> {"10.0.0.1"}.
// nullopt: it is no authority, or one that is read in more than one way.
std::optional<Authority> split_authority(std::string_view authority);

}  // namespace chaperone::policy::http

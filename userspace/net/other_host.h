// SPDX-License-Identifier: Apache-2.0
// Which host a request may name on a connection of which only the address is known: one that was
// opened without SNI, in HTTP/2 in clear text, or in silence at first. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace chaperone::policy {
struct SessionFacts;
}
namespace chaperone::policy::bundle {
class Bundle;
}

namespace chaperone::net {

// Whether `host`, in lower case, is another than this session's: another address than was dialled,
// or a name that the bundle gives to another resource, at the port that was dialled or at `port`.
// A name that nobody claims is the server's own affair.
bool is_other_host(const policy::bundle::Bundle& bundle, const policy::SessionFacts& session,
                   const std::string& host, std::uint16_t port);

}  // namespace chaperone::net

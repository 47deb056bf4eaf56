// SPDX-License-Identifier: Apache-2.0
// A TLS client's first message, as far as it is needed before TLS begins: which server it names and
// what it can speak. RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3 (server_name), RFC 7301
// (ALPN), RFC 8701 (GREASE), RFC 9849 (Encrypted ClientHello). Nothing is verified here.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::wire::tls {

struct ClientHello {
    std::string server_name{};              // as sent; empty: the extension was not there
    std::vector<std::string> alpn{};        // in the client's order, without GREASE
    std::vector<std::uint16_t> versions{};  // 0x0304: TLS 1.3; of old clients their only one
    bool ech = false;  // the inner name may differ; it cannot be decrypted here or by us

    bool offers(std::uint16_t version) const noexcept;
};

struct Limits {
    // Browsers and post-quantum keys need 2 KiB, padding and long tickets perhaps 16.
    std::size_t hello = 64 * 1024;
    std::size_t records = 1024;  // over which it may be split
};

// Whether what begins with these bytes may be a TLS connection; false from the first byte on that
// no handshake record has. True of an empty range.
bool may_be_tls(Bytes in) noexcept;

// Reads the ClientHello at the front of `in`, which may hold more than it.
//   a ClientHello  what the client says
//   nullopt        it is not whole yet: call again with all of it when more has arrived
//   an error       no ClientHello: Malformed, or over a limit: TooLarge
// `in` may be cut anywhere, and the message may be split over records anywhere.
Result<std::optional<ClientHello>> decode_client_hello(Bytes in, const Limits& limits = {});

}  // namespace chaperone::wire::tls

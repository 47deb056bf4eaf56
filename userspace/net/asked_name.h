// SPDX-License-Identifier: Apache-2.0
// Which server a client asks for in the first bytes of its connection: by SNI in a ClientHello, by
// Host or an absolute target in an HTTP/1 request. It is a claim: whoever acts on it dials that
// name himself, or checks it against what the address is known by. Pure.
#pragma once

#include "userspace/base/bytes.h"

#include <cstddef>
#include <optional>
#include <string>

namespace chaperone::net {

struct AskedName {
    bool tls = false;
    bool encrypted_hello = false;  // ECH: the real name may be another
    std::string name{};  // lower case, a host name of RFC 1123; empty: none, or an address
};

// nullopt: more bytes are needed. What can never say a name says so at once.
std::optional<AskedName> asked_name(Bytes begin);

// Of these first bytes no more are looked at.
constexpr std::size_t kMaxAskedName = 80 * 1024;

}  // namespace chaperone::net

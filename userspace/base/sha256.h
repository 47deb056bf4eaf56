// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4) over OpenSSL, and HMAC (RFC 2104), HKDF (RFC 5869) with it.
#pragma once

#include "userspace/base/bytes.h"

#include <array>
#include <cstddef>
#include <memory>

namespace chaperone {

using Digest = std::array<std::byte, 32>;

Digest sha256(Bytes bytes);
Digest sha256(Bytes first, Bytes second, Bytes third = {});  // of all, one behind the other
Digest hmac_sha256(Bytes key, Bytes message);
Digest hkdf_sha256(Bytes key, Bytes salt, Bytes info);

// For what does not lie in one piece.
class Sha256 {
public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();
    Sha256& add(Bytes bytes);
    Digest finish();  // and begins anew

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace chaperone

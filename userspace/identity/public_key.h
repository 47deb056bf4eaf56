// SPDX-License-Identifier: Apache-2.0
// Public keys from their numbers, over OpenSSL. For .cpp files of this layer only.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/identity/key_set.h"

#include <memory>

namespace chaperone::identity {

using PublicKey = std::shared_ptr<evp_pkey_st>;

// Invalid, with the reason, where the key must not be trusted.
Result<PublicKey> rsa_public_key(Bytes modulus, Bytes exponent);   // big-endian
Result<PublicKey> ec_public_key(KeyKind curve, Bytes x, Bytes y);  // of the field's full length
Result<PublicKey> ed25519_public_key(Bytes x);

}  // namespace chaperone::identity

// SPDX-License-Identifier: Apache-2.0
// Certificates signed by a key in a token. Every signature is verified before it is used. For .cpp
// files of this layer only.
#pragma once

#include "userspace/authority/token_key.h"
#include "userspace/base/error.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace chaperone::authority {

// Gives the certificate, complete but for it, its signature by the token; `key` is the token's
// public key. Unsupported: neither an EC nor an RSA key. Corrupt: the token has another key.
Result<> sign_by_token(X509& certificate, EVP_PKEY& key, TokenKey& token);

// That the token signs, with the private key of `key`: something random is signed and verified.
Result<> prove_token(EVP_PKEY& key, TokenKey& token);

}  // namespace chaperone::authority

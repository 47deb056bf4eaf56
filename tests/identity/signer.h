// SPDX-License-Identifier: Apache-2.0
// A key pair of the tests: publishes itself as a JWK and signs tokens, right or wrong.
#pragma once

#include "userspace/identity/key_set.h"

#include <memory>
#include <string>
#include <string_view>

namespace chaperone::identity {

class Signer {
public:
    // `bits` is for RSA.
    explicit Signer(KeyKind kind, std::string id = "k1", unsigned bits = 2048);

    // The public key; `more` is put in as further members: R"(,"alg":"RS256")".
    std::string jwk(std::string_view more = "") const;
    // {"keys":[jwk()]}
    std::string jwks(std::string_view more = "") const;

    Buffer sign(Algorithm algorithm, std::string_view message) const;
    // A token with exactly this header and these claims.
    std::string token(Algorithm algorithm, std::string_view header, std::string_view claims) const;
    // A token with {"alg":…,"kid":…,"typ":"JWT"}.
    std::string token(Algorithm algorithm, std::string_view claims) const;

    std::string number(const char* parameter, std::size_t octets = 0) const;  // in base64url

private:
    KeyKind kind_;
    std::string id_;
    std::shared_ptr<evp_pkey_st> key_;
};

std::string encoded(std::string_view text);  // base64url

}  // namespace chaperone::identity

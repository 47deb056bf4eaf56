// SPDX-License-Identifier: Apache-2.0
// Verifies a compact JWS (RFC 7515) that carries a JWT (RFC 7519), by the rules of RFC 8725 and,
// for access tokens, RFC 9068. Pure: keys and time are parameters. Thread-safe.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/identity/claims.h"
#include "userspace/identity/key_set.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::identity {

struct TokenRules {
    std::string issuer{};    // iss must be exactly this
    std::string audience{};  // aud must hold exactly this
    std::string groups_claim{"groups"};
    Duration skew{std::chrono::seconds{60}};  // how far clocks may differ, for exp, nbf and iat
    std::vector<Algorithm> algorithms{};      // empty: all that we know
};

constexpr std::size_t kMaxToken = 16 * 1024;  // a header field of 16 KiB is where servers stop

// Malformed: not a compact JWS, base64url that is not canonical, duplicate JSON members.
// Unsupported: alg none, HS*, unknown or not among the rules; crit; a typ other than JWT or at+jwt.
// NotFound: no key for its kid and alg (a fetch may help). Denied: bad signature, wrong issuer or
// audience, not valid yet, issued in the future. Expired: exp is past.
// No error tells a part of the token.
Result<Claims> verify_token(std::string_view token, const KeySet& keys, const TokenRules& rules,
                            Time now);

}  // namespace chaperone::identity

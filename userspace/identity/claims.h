// SPDX-License-Identifier: Apache-2.0
// What a verified token says (RFC 7519), and how the claims set is read. Plain data.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::identity {

struct Claims {
    std::string subject{};                // sub
    std::string issuer{};                 // iss
    std::vector<std::string> audience{};  // aud, always as a list
    std::vector<std::string> groups{};    // from the claim that the provider's settings name
    Time expires_at{};                    // exp, without the skew that was allowed for
    std::optional<Time> not_before{};     // nbf
    std::optional<Time> issued_at{};      // iat
    std::string token_id{};               // jti, or empty
    // RFC 8693 section 4.1: who acts for `subject`; the current actor first, the first in time
    // last.
    std::vector<std::string> actors{};
    // The whole claims set as one JSON object, for policy's identity.claims.
    std::string json{"{}"};
};

// Bounds on one claims set: a token is at most 16 KiB, so these only stop the absurd.
constexpr std::size_t kMaxAudience = 64;
constexpr std::size_t kMaxGroups = 1024;
constexpr std::size_t kMaxActors = 16;
constexpr std::size_t kMaxClaimText = 1024;  // one subject, issuer, audience, group or actor

// Reads a claims set. `groups_claim` is a member's name or a path through objects,
// "realm_access.roles"; a member with exactly this name wins over the path (claims that are URLs
// have dots). The groups may be one string or a list of strings; absent means no groups, any other
// type is Malformed. sub, iss and exp are required. Signature and rules are not looked at: that is
// verify_token(), of which this is a part.
Result<Claims> read_claims(std::string_view json, std::string_view groups_claim);

}  // namespace chaperone::identity

// SPDX-License-Identifier: Apache-2.0
// What the daemon and the process of the token's module say to each other: one datagram each.
//   opening   the fields of TokenUri, in order, each with a NUL behind it (none holds one; id is
//             hex), answered with one octet: 1 where the token would give the key away
//   question  TokenScheme, 32 octets of a SHA-256; answered with the signature
//   answer    0 and what was asked for; or an Errc as one octet and words for people
#pragma once

#include "userspace/authority/token_module.h"

#include <cstddef>

namespace chaperone::authority {

constexpr std::size_t kMaxTokenMessage = std::size_t{16} * 1024;

Buffer write_token_opening(const TokenUri& uri);
Result<TokenUri> read_token_opening(Bytes message);

Buffer write_token_question(TokenScheme scheme, Bytes sha256);
struct TokenQuestion {
    TokenScheme scheme{};
    Bytes sha256{};  // of the message
};
Result<TokenQuestion> read_token_question(Bytes message);

Buffer write_token_answer(const Result<Buffer>& answer);
// The error is the other side's own.
Result<Bytes> read_token_answer(Bytes message);

}  // namespace chaperone::authority

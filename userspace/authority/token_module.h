// SPDX-License-Identifier: Apache-2.0
// A key in a PKCS#11 token, by the vendor's own library, which is loaded into this process and may
// do with it what it likes: only the process of serve_token() does so (token_key.h). One thread.
// Every error says what an operator does next.
#pragma once

#include "userspace/authority/token_uri.h"
#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <memory>

namespace chaperone::authority {

enum class TokenScheme : std::uint8_t {
    Ecdsa = 'E',  // the signature is r and s, each as long as the curve's order
    Rsa = 'R',    // PKCS#1 v1.5
};

class TokenModule {
public:
    // Denied: the PIN was refused, or is not tried because the token would lock itself; nothing
    // may try it again before a person has looked. NotFound: no such token or key. Unavailable and
    // Invalid: all else.
    static Result<std::unique_ptr<TokenModule>> open(const TokenUri& uri);
    ~TokenModule();

    bool extractable() const noexcept;  // the token would give the key away
    Result<Buffer> sign(TokenScheme scheme, Bytes sha256);

private:
    struct State;
    explicit TokenModule(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// The program of the helper process: answers on the descriptor what TokenKey asks, until that is
// closed. Gives up every capability and further privileges first. Does not return: what the library
// left behind is not run at the end.
[[noreturn]] void serve_token(int descriptor);

}  // namespace chaperone::authority

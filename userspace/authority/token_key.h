// SPDX-License-Identifier: Apache-2.0
// A private key that stays in a PKCS#11 token. The token's library runs in a process of its own,
// without capabilities: if it crashes or hangs, that process ends, and a new one is asked. The PIN
// is read by that process alone. Thread-safe; sign() blocks.
#pragma once

#include "userspace/authority/token_module.h"
#include "userspace/base/clock.h"
#include "userspace/base/guarded.h"

#include <memory>
#include <string>
#include <vector>

namespace chaperone::authority {

struct TokenOptions {
    TokenUri uri{};
    Duration timeout = std::chrono::seconds{5};  // of one answer; then the process is killed
    // What runs serve_token() on its descriptor 3; a path and its arguments.
    std::vector<std::string> helper{};
};

class TokenKey {
public:
    // After a failure nothing is tried for so long: what asks meanwhile hears the same at once.
    static constexpr std::chrono::seconds kPause{1};

    // The token is there, takes the PIN and has the key. The errors of TokenModule::open();
    // Unavailable: the library crashed or hung, too.
    static Result<std::shared_ptr<TokenKey>> open(TokenOptions options);
    ~TokenKey();

    // Raw, as TokenScheme says. After a refused PIN (Denied) no further is tried, ever: only a new
    // TokenKey does.
    Result<Buffer> sign(TokenScheme scheme, Bytes sha256);

    std::string describe() const { return options_.uri.describe(); }
    bool extractable() const;

private:
    struct Helper;
    struct State;
    explicit TokenKey(TokenOptions options);
    Result<> start(State& state);
    Result<Buffer> ask(State& state, Bytes question);

    TokenOptions options_;
    Guarded<std::unique_ptr<State>> state_;
};

}  // namespace chaperone::authority

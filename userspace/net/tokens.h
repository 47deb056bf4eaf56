// SPDX-License-Identifier: Apache-2.0
// Access tokens that are fetched (OAuth 2.0 client credentials): one for all sessions that need the
// same, fetched once however many wait for it, and anew before it expires. Thread-safe. Fetches
// run on a thread of their own.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/guarded.h"
#include "userspace/base/sha256.h"
#include "userspace/credential/oauth.h"
#include "userspace/net/io_thread.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::net {

// Where a token comes from. Immutable.
struct TokenSource {
    credential::OauthClient client{};
    credential::OauthUrl url{};
    std::string ca{};  // PEM; empty: the system's
    Digest key{};      // of all of it
};
std::shared_ptr<const TokenSource> make_token_source(credential::OauthClient client,
                                                     credential::OauthUrl url, std::string ca);

class Tokens {
public:
    static constexpr std::chrono::seconds kPatience{15};     // for one fetch
    static constexpr std::chrono::seconds kMargin{60};       // a token is renewed so long before
    static constexpr std::chrono::seconds kAfterFailure{5};  // no fetch so soon after one failed
    static constexpr std::size_t kMostSources = 4096;

    static Result<std::unique_ptr<Tokens>> create();
    ~Tokens();

    // The token, or nullopt: it is being fetched, and `wake` is called when that has ended, from
    // another thread. An error: the last fetch failed, a moment ago.
    Result<std::optional<std::string>> get(const std::shared_ptr<const TokenSource>& source,
                                           Time now, std::function<void()> wake);
    // The server did not take this token: it is not given out again.
    void reject(const TokenSource& source, const std::string& token);

private:
    struct Entry {
        std::string token{};
        Time expires{};
        bool fetching = false;
        std::optional<Error> failed{};
        Time failed_at{};
        std::vector<std::function<void()>> waiting{};
    };

    explicit Tokens(std::unique_ptr<IoThread> thread) : thread_(std::move(thread)) {}
    void begin(std::shared_ptr<const TokenSource> source);
    void ended(const TokenSource& source, Result<credential::OauthToken> result);

    Guarded<std::map<Digest, Entry>> entries_{};
    std::unique_ptr<IoThread> thread_;  // the last: what runs on it uses the entries
};

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// One OpenID Connect provider, sans-io: its keys, how old they are, and what must be fetched next.
// net/ performs the fetches. Thread-safe: verify() works on a snapshot of the keys.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"
#include "userspace/identity/claims.h"
#include "userspace/identity/key_set.h"
#include "userspace/identity/token_verifier.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::identity {

struct ProviderSettings {
    TokenRules rules{};
    Duration max_age{std::chrono::hours{1}};  // older keys are fetched anew
    // How long after max_age old keys still verify while the provider cannot be reached.
    Duration stale_usable_for{std::chrono::hours{24}};
    // At most one fetch in this time is caused by tokens with unknown keys, so that made-up kids
    // cannot make us hammer the provider.
    Duration unknown_key_interval{std::chrono::seconds{30}};
    // Permits http:// for issuers on a loopback address. For tests.
    bool loopback_http{false};
};

struct Fetch {
    enum class What : std::uint8_t { Discovery, Keys };
    What what{};
    std::string url{};
};

class Provider {
public:
    // Invalid: the issuer is no https URL (OpenID Connect Discovery 1.0, section 3), or no
    // audience.
    static Result<std::unique_ptr<Provider>> make(ProviderSettings settings);

    const ProviderSettings& settings() const noexcept { return settings_; }

    // `steady` are times of a clock that is never set: how old keys are, and what is tried again
    // when. What documents say of themselves is by the wall clock.
    // What to fetch now, if anything. Asking hands the fetch out: it is not given again until
    // accept(), failed() or kFetchTimeout. After Discovery is accepted, Keys comes next at once.
    std::optional<Fetch> needs_fetch(Time steady);
    // The body (status 200, at most KeySet::kMaxText) of a fetch that was handed out. On an error
    // the old keys stay and the next attempt is delayed as by failed().
    Result<> accept(Fetch::What what, std::string_view body, Time steady);
    // The fetch did not succeed: tried again after a delay that doubles from 1 s to 60 s.
    void failed(Time steady);

    // As verify_token(); and Unavailable: there are no keys yet, or only too old ones. NotFound
    // (the key is unknown) asks for a fetch as far as the interval allows: call needs_fetch(), and
    // if it gives one, verify again after it.
    Result<Claims> verify(std::string_view token, Time now, Time steady);

    // When the keys in use were fetched.
    std::optional<Time> fetched_at() const;

    static constexpr Duration kFetchTimeout = std::chrono::seconds{30};

private:
    struct State {
        std::shared_ptr<const KeySet> keys{};
        std::string keys_url{};
        std::optional<Time> discovered_at{}, fetched_at{}, in_flight_since{}, retry_at{};
        std::optional<Time> last_unknown_fetch{};
        Duration delay{};
        bool unknown_key_seen{};
    };

    explicit Provider(ProviderSettings settings) : settings_(std::move(settings)) {}

    ProviderSettings settings_;
    Guarded<State> state_;
};

}  // namespace chaperone::identity

// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/provider.h"

#include "userspace/identity/strict_json.h"

#include <algorithm>

namespace chaperone::identity {
namespace {

constexpr std::size_t kMaxUrl = 2048;
constexpr std::size_t kMaxDiscovery = 128 * 1024;
constexpr Duration kFirstDelay = std::chrono::seconds{1};
constexpr Duration kLastDelay = std::chrono::seconds{60};

bool is_loopback(std::string_view authority) {
    for (const std::string_view host : {"127.0.0.1", "[::1]", "localhost"}) {
        if (!authority.starts_with(host)) continue;
        const std::string_view rest = authority.substr(host.size());
        if (rest.empty() || rest.starts_with(':')) return true;
    }
    return false;
}

// https with a host and without user information, or http on this host where that is permitted.
// What follows the authority is for the one who fetches to parse; here it only has to be printable.
bool is_usable_url(std::string_view url, bool loopback_http) {
    const auto printable = [](char c) { return c > ' ' && c <= '~' && c != '\\' && c != '"'; };
    if (url.size() > kMaxUrl || !std::ranges::all_of(url, printable)) return false;
    const bool secure = url.starts_with("https://");
    if (!secure && !(loopback_http && url.starts_with("http://"))) return false;
    url.remove_prefix(secure ? 8 : 7);
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    if (authority.empty() || authority.starts_with(':') || authority.contains('@')) return false;
    return secure || is_loopback(authority);
}

}  // namespace

Result<std::unique_ptr<Provider>> Provider::make(ProviderSettings settings) {
    const std::string& issuer = settings.rules.issuer;
    if (!is_usable_url(issuer, settings.loopback_http) ||
        issuer.find_first_of("?#") != std::string::npos)
        return fail(Errc::Invalid, "issuer '" + issuer + "' must be an https URL");
    if (settings.rules.audience.empty())
        return fail(Errc::Invalid, "issuer '" + issuer + "' needs an audience");
    if (settings.max_age <= Duration::zero() || settings.stale_usable_for < Duration::zero())
        return fail(Errc::Invalid, "ages of keys must be positive");
    return std::unique_ptr<Provider>{new Provider{std::move(settings)}};
}

std::optional<Fetch> Provider::needs_fetch(Time steady) {
    return state_.with([&](State& state) -> std::optional<Fetch> {
        if (state.in_flight_since && steady - *state.in_flight_since < kFetchTimeout) return {};
        if (state.retry_at && steady < *state.retry_at) return {};
        const auto old = [&](const std::optional<Time>& time) {
            return !time || steady - *time >= settings_.max_age;
        };
        const bool asked = state.unknown_key_seen &&
                           (!state.last_unknown_fetch ||
                            steady - *state.last_unknown_fetch >= settings_.unknown_key_interval);
        if (!old(state.fetched_at) && !asked) return {};
        state.in_flight_since = steady;
        if (state.keys_url.empty() || old(state.discovered_at)) {
            std::string_view issuer = settings_.rules.issuer;
            if (issuer.ends_with('/')) issuer.remove_suffix(1);
            return Fetch{Fetch::What::Discovery,
                         std::string{issuer} + "/.well-known/openid-configuration"};
        }
        if (asked) state.last_unknown_fetch = steady;
        return Fetch{Fetch::What::Keys, state.keys_url};
    });
}

Result<> Provider::accept(Fetch::What what, std::string_view body, Time steady) {
    const auto refuse = [&](Error error) {
        failed(steady);
        return fail(std::move(error));
    };
    std::shared_ptr<const KeySet> keys;
    std::string keys_url;
    if (what == Fetch::What::Keys) {
        auto set = KeySet::parse(body);
        if (!set) return refuse(set.error());
        keys = std::make_shared<const KeySet>(std::move(*set));
    } else {
        const auto document = parse_object(body, kMaxDiscovery, "discovery document");
        if (!document) return refuse(document.error());
        // OpenID Connect Discovery 1.0 section 4.3: otherwise one issuer could speak for another.
        if (text_of(*document, "issuer") != settings_.rules.issuer)
            return refuse({Errc::Denied, "discovery document is of another issuer"});
        keys_url = text_of(*document, "jwks_uri").value_or("");
        if (!is_usable_url(keys_url, settings_.loopback_http))
            return refuse({Errc::Denied, "discovery document's jwks_uri must be an https URL"});
    }
    state_.with([&](State& state) {
        state.in_flight_since.reset();
        state.retry_at.reset();
        if (keys) {
            state.keys = std::move(keys);
            state.fetched_at = steady;
            state.unknown_key_seen = false;
            state.delay = Duration::zero();
        } else {
            state.keys_url = std::move(keys_url);
            state.discovered_at = steady;
        }
    });
    return {};
}

void Provider::failed(Time steady) {
    state_.with([&](State& state) {
        state.in_flight_since.reset();
        state.delay = std::clamp(state.delay * 2, kFirstDelay, kLastDelay);
        state.retry_at = steady + state.delay;
        // The provider may have moved its keys: ask where they are before the next attempt.
        state.discovered_at.reset();
    });
}

Result<Claims> Provider::verify(std::string_view token, Time now, Time steady) {
    const auto [keys, fetched_at] =
        state_.with([](const State& state) { return std::pair{state.keys, state.fetched_at}; });
    if (!keys) return fail(Errc::Unavailable, "no keys of the provider yet");
    if (steady - *fetched_at > settings_.max_age + settings_.stale_usable_for)
        return fail(Errc::Unavailable, "the provider's keys are too old");
    auto claims = verify_token(token, *keys, settings_.rules, now);
    if (!claims && claims.error().code == Errc::NotFound)
        state_.with([](State& state) { state.unknown_key_seen = true; });
    return claims;
}

std::optional<Time> Provider::fetched_at() const {
    return state_.with([](const State& state) { return state.fetched_at; });
}

}  // namespace chaperone::identity

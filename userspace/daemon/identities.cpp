// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/identities.h"

#include "userspace/base/file.h"
#include "userspace/base/log.h"
#include "userspace/base/steady.h"

#include <boost/json.hpp>

namespace chaperone::daemon {
namespace {

constexpr std::size_t kMaxTokenFile = identity::kMaxToken + 16;  // and white space around it
constexpr Duration kPatience = std::chrono::seconds{10};

std::string trimmed(std::string text) {
    constexpr std::string_view kSpace = " \t\r\n";
    text.erase(text.find_last_not_of(kSpace) + 1);
    text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
    return text;
}

bool same(const policy::bundle::IdentityProvider& a, const policy::bundle::IdentityProvider& b) {
    return a.issuer == b.issuer && a.audience == b.audience && a.groups_claim == b.groups_claim &&
           a.subject_claim == b.subject_claim && a.clock_skew == b.clock_skew &&
           a.jwks_ttl == b.jwks_ttl && a.stale_for == b.stale_for && a.ca_pem == b.ca_pem;
}

Result<std::unique_ptr<identity::Provider>> make_provider(
    const policy::bundle::IdentityProvider& settings) {
    identity::ProviderSettings made;
    made.rules.issuer = settings.issuer;
    made.rules.audience = settings.audience;
    made.rules.groups_claim = settings.groups_claim;
    made.rules.skew = settings.clock_skew;
    made.max_age = settings.jwks_ttl;
    made.stale_usable_for = settings.stale_for;
    return identity::Provider::make(std::move(made));
}

// The subject where the provider's document names another claim than sub.
Result<std::string> subject_of(const identity::Claims& claims, const std::string& claim) {
    if (claim == "sub") return claims.subject;
    boost::system::error_code error;
    const auto parsed = boost::json::parse(claims.json, error);
    const auto* object = error ? nullptr : parsed.if_object();
    const auto* found = object != nullptr ? object->if_contains(claim) : nullptr;
    if (found == nullptr || !found->is_string() || found->get_string().empty())
        return fail(Errc::Denied, "the token has no claim " + claim);
    return std::string{found->get_string()};
}

}  // namespace

Identities::Identities(BundlePtr bundle, Fetcher fetcher) : fetcher_(std::move(fetcher)) {
    set_bundle(std::move(bundle));
    thread_ = std::thread{[this] { fetch_loop(); }};
}

Identities::~Identities() {
    {
        const std::lock_guard lock{mutex_};
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Identities::set_bundle(BundlePtr bundle) {
    const std::lock_guard lock{mutex_};
    bundle_ = std::move(bundle);
    auto before = std::move(issuers_);
    issuers_.clear();
    for (const auto& settings : bundle_->providers()) {
        const std::string& name = settings.metadata.name;
        if (const auto old = before.find(name);
            old != before.end() && same(old->second->settings, settings)) {
            issuers_.emplace(name, old->second);
            continue;
        }
        auto provider = make_provider(settings);
        if (!provider) {
            log::error("an identity provider cannot be used",
                       {{"provider", name}, {"error", provider.error().message()}});
            continue;
        }
        issuers_.emplace(name, std::make_shared<Issuer>(settings, *std::move(provider)));
    }
    // A token stays only as long as its workload still asks this very provider.
    std::erase_if(tokens_, [&](const auto& entry) {
        const auto* workload = bundle_->workload(entry.first);
        const auto issuer = issuers_.find(entry.second.provider);
        const auto old = before.find(entry.second.provider);
        return workload == nullptr || !workload->oidc ||
               workload->oidc->provider != entry.second.provider || issuer == issuers_.end() ||
               old == before.end() || old->second != issuer->second;
    });
    wanted_ = true;
    changed_.notify_all();
}

std::shared_ptr<Identities::Issuer> Identities::issuer_of(const std::string& name) const {
    const std::lock_guard lock{mutex_};
    const auto found = issuers_.find(name);
    return found == issuers_.end() ? nullptr : found->second;
}

Result<Identities::Token> Identities::verify(const std::string& provider, std::string token) const {
    const auto issuer = issuer_of(provider);
    if (!issuer) return fail(Errc::Unavailable, "identity provider " + provider);
    auto claims = issuer->provider->verify(token, now(), steady_now());
    if (!claims) return fail(claims.error());
    auto subject = subject_of(*claims, issuer->settings.subject_claim);
    if (!subject) return fail(subject.error());
    Token made{.text = std::move(token), .provider = provider};
    made.identity = {.subject = *std::move(subject),
                     .groups = std::move(claims->groups),
                     .issuer = std::move(claims->issuer),
                     .actors = std::move(claims->actors),
                     .claims = std::move(claims->json)};
    made.expires = claims->expires_at + issuer->settings.clock_skew;
    made.until = steady_now() + (made.expires - now());
    return made;
}

Result<policy::Identity> Identities::identity(const std::string& name) {
    std::string provider;
    std::filesystem::path file;
    {
        const std::lock_guard lock{mutex_};
        const auto* workload = bundle_->workload(name);
        if (workload == nullptr)
            return fail(Errc::NotFound, "workload " + name + " is not in the bundle");
        if (!workload->oidc)
            return policy::Identity{.subject = workload->subject, .groups = workload->groups};
        provider = workload->oidc->provider;
        file = workload->oidc->token_file;
        if (const auto token = tokens_.find(name); token != tokens_.end()) {
            if (now() < token->second.expires && steady_now() < token->second.until)
                return token->second.identity;
            if (!token->second.file.empty()) file = token->second.file;
            if (file.empty())
                return fail(Errc::Expired, "the token of workload " + name + " has expired");
        }
    }
    if (file.empty())
        return fail(Errc::Unavailable, "workload " + name +
                                           " has no token: start it with "
                                           "`chaperone run --token-file`");
    return from_file(name, provider, file);
}

Result<policy::Identity> Identities::from_file(const std::string& name, const std::string& provider,
                                               const std::filesystem::path& file) {
    auto text = read_file(file, kMaxTokenFile);
    if (!text) return fail(Errc::Unavailable, "the token of workload " + name + " cannot be read");
    auto token = verify(provider, trimmed(*std::move(text)));
    if (!token) {
        if (token.error().code == Errc::NotFound || token.error().code == Errc::Unavailable) {
            const std::lock_guard lock{mutex_};
            wanted_ = true;
            changed_.notify_all();
        }
        return fail(token.error().code,
                    "the token of workload " + name + ": " + token.error().message());
    }
    token->file = file;
    const policy::Identity identity = token->identity;
    const std::lock_guard lock{mutex_};
    tokens_.insert_or_assign(name, *std::move(token));
    return identity;
}

Result<policy::Identity> Identities::set_token(const std::string& name, std::string text,
                                               std::filesystem::path file, bool keep_subject) {
    std::string provider;
    {
        const std::lock_guard lock{mutex_};
        const auto* workload = bundle_->workload(name);
        if (workload == nullptr)
            return fail(Errc::NotFound, "workload " + name + " is not in the bundle");
        if (!workload->oidc)
            return fail(Errc::Invalid, "workload " + name +
                                           " has its identity from the bundle "
                                           "and takes no token");
        provider = workload->oidc->provider;
    }
    text = trimmed(std::move(text));
    const auto until = std::chrono::steady_clock::now() + kPatience;
    auto token = verify(provider, text);
    while (!token &&
           (token.error().code == Errc::NotFound || token.error().code == Errc::Unavailable)) {
        std::unique_lock lock{mutex_};
        wanted_ = true;
        const std::uint64_t before = rounds_;
        changed_.notify_all();
        if (!changed_.wait_until(lock, until, [&] { return rounds_ != before || stop_; })) break;
        lock.unlock();
        token = verify(provider, text);
        if (std::chrono::steady_clock::now() >= until) break;
    }
    if (!token)
        return fail(token.error().code,
                    "the token for workload " + name + ": " + token.error().message());
    token->file = std::move(file);
    const policy::Identity identity = token->identity;
    const std::lock_guard lock{mutex_};
    const auto before = tokens_.find(name);
    if (keep_subject && before != tokens_.end() &&
        before->second.identity.subject != identity.subject)
        return fail(Errc::Exists, "workload " + name + " runs as " +
                                      before->second.identity.subject +
                                      "; the token speaks of somebody else");
    tokens_.insert_or_assign(name, *std::move(token));
    return identity;
}

std::optional<Time> Identities::expires(const std::string& workload) const {
    const std::lock_guard lock{mutex_};
    const auto token = tokens_.find(workload);
    if (token == tokens_.end()) return std::nullopt;
    return token->second.expires;
}

void Identities::fetch(Issuer& issuer) {
    while (const auto wanted = issuer.provider->needs_fetch(steady_now())) {
        const auto body = fetcher_(wanted->url, issuer.settings.ca_pem);
        const auto taken = body ? issuer.provider->accept(wanted->what, *body, steady_now())
                                : Result<>{fail(body.error())};
        if (!body) issuer.provider->failed(steady_now());
        if (taken) continue;
        log::warning("an identity provider's keys cannot be had",
                     {{"provider", issuer.settings.metadata.name},
                      {"url", wanted->url},
                      {"error", taken.error().message()}});
        return;
    }
}

void Identities::fetch_loop() {
    std::unique_lock lock{mutex_};
    while (!stop_) {
        wanted_ = false;
        const auto issuers = issuers_;
        lock.unlock();
        for (const auto& [name, issuer] : issuers) fetch(*issuer);
        lock.lock();
        ++rounds_;
        changed_.notify_all();
        changed_.wait_for(lock, std::chrono::seconds{5}, [&] { return stop_ || wanted_; });
        // Somebody who waits asks again at once; the provider itself bounds how often it fetches.
        if (wanted_ && !stop_)
            changed_.wait_for(lock, std::chrono::milliseconds{50}, [&] { return stop_; });
    }
}

}  // namespace chaperone::daemon

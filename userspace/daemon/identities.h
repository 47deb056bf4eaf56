// SPDX-License-Identifier: Apache-2.0
// Who a workload is: the bundle's word, or a token that its provider signed. Keys are fetched by a
// thread of this class; asking for an identity never waits for the network. Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"
#include "userspace/base/error.h"
#include "userspace/identity/provider.h"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace chaperone::daemon {

// Gets a body over HTTPS; tests give another.
using Fetcher = std::function<Result<std::string>(const std::string& url, const std::string& ca)>;

class Identities {
public:
    using BundlePtr = std::shared_ptr<const policy::bundle::Bundle>;

    Identities(BundlePtr bundle, Fetcher fetcher);
    Identities(const Identities&) = delete;
    Identities& operator=(const Identities&) = delete;
    ~Identities();

    // Providers that did not change keep their keys.
    void set_bundle(BundlePtr bundle);

    // NotFound: no such workload in the bundle. Unavailable, Expired, Denied: it has no valid
    // token; the detail says why and is fit for the agent.
    Result<policy::Identity> identity(const std::string& workload);
    // When the identity ends; nullopt: never, or there is none.
    std::optional<Time> expires(const std::string& workload) const;

    // A token for the workload; verified first, if need be after a fetch of keys (at most 10 s).
    // `file` is where it is renewed, or empty. Invalid: the workload takes no tokens. Exists: it
    // must stay the one that it is (`keep_subject`), and the token speaks of another.
    Result<policy::Identity> set_token(const std::string& workload, std::string token,
                                       std::filesystem::path file, bool keep_subject);

private:
    struct Issuer {
        policy::bundle::IdentityProvider settings{};
        std::unique_ptr<identity::Provider> provider{};
    };
    struct Token {
        std::string text{};
        std::filesystem::path file{};
        std::string provider{};
        policy::Identity identity{};
        Time expires{};  // by the wall clock
        Time until{};    // by steady_now(): a clock set back does not prolong it
    };

    std::shared_ptr<Issuer> issuer_of(const std::string& name) const;
    Result<Token> verify(const std::string& provider, std::string token) const;
    Result<policy::Identity> from_file(const std::string& workload, const std::string& provider,
                                       const std::filesystem::path& file);
    void fetch_loop();
    void fetch(Issuer& issuer);

    Fetcher fetcher_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    BundlePtr bundle_;
    std::map<std::string, std::shared_ptr<Issuer>> issuers_;
    std::map<std::string, Token> tokens_;
    mutable bool wanted_ = true;  // the fetcher should look at once
    std::uint64_t rounds_ = 0;    // of the fetcher
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace chaperone::daemon

// SPDX-License-Identifier: Apache-2.0
// How we log in at a resource, as the bundle says it. Secrets are named, never held.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::policy::bundle {

// Of HTTP: a field, or a parameter of the query.
struct NamedSecret {
    std::string name{};
    std::string prefix{};  // before the value
    std::string value_secret{};
};

enum class ClientAuth : std::uint8_t { Basic, Post };

// OAuth 2.0 client credentials (RFC 6749, 4.4).
struct OauthCredential {
    std::string token_url{};
    std::string client_id{};
    std::string client_secret{};  // name of the secret
    std::vector<std::string> scopes{};
    std::string audience{};
    ClientAuth auth = ClientAuth::Basic;
    std::string ca{};  // file of the bundle; empty: the system's trust store
    std::string ca_pem{};
};

// AWS Signature Version 4.
struct AwsCredential {
    std::string access_key_id{};
    std::string secret_access_key{};  // name of the secret
    std::string session_token{};      // name of the secret; empty: none
    std::string region{};             // empty: that of the signature that the agent sends
    std::string service{};
};

struct Credential {
    bool pass_through = false;  // the agent's own login is relayed; nothing else is set then
    std::string user{};
    std::string password_secret{};  // name of a secret; empty: none
    std::string certificate{};      // file of the bundle
    std::string certificate_pem{};
    std::string key_secret{};
    std::string token_secret{};  // bearer token
    std::optional<NamedSecret> header{};
    std::optional<NamedSecret> query{};
    std::optional<OauthCredential> oauth2{};
    std::optional<AwsCredential> aws{};

    // Names of all secrets, each once.
    std::vector<std::string> secrets() const;
};

}  // namespace chaperone::policy::bundle

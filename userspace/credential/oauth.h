// SPDX-License-Identifier: Apache-2.0
// The OAuth 2.0 client credentials grant (RFC 6749, section 4.4) as texts: the request for a token,
// and what its answer says. Pure.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/secret.h"

#include <string>
#include <string_view>
#include <vector>

namespace chaperone::credential {

struct OauthClient {
    std::string token_url{};  // https
    std::string client_id{};
    Secret client_secret{};
    std::vector<std::string> scopes{};
    std::string audience{};       // empty: none is asked for
    bool secret_in_body = false;  // client_secret_post; else client_secret_basic
};

struct OauthToken {
    Secret token{};
    Time expires{};  // Time::max() where the answer does not say
};

struct OauthUrl {
    std::string host{};
    std::uint16_t port = 443;
    std::string target{};  // "/token?x"
};

// Invalid: no https URL, or one with user information or a fragment.
Result<OauthUrl> parse_token_url(std::string_view url);
// A whole HTTP/1.1 request; the connection is closed after it.
Secret token_request(const OauthClient& client, const OauthUrl& url);
// Of the answer's status and body. Denied: the server gives no token, and says why (its error code,
// never its words). Malformed: it cannot be read, or gives no bearer token.
Result<OauthToken> read_token_answer(int status, std::string_view body, Time now);

}  // namespace chaperone::credential

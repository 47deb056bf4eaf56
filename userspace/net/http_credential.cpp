// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/http_credential.h"

#include "policy/bundle/documents.h"
#include "userspace/base/encoding.h"
#include "userspace/credential/secret_store.h"
#include "userspace/session/http/blotter.h"

#include <algorithm>

namespace chaperone::net {
namespace {

using policy::bundle::Credential;

// Shorter ones would be found everywhere.
constexpr std::size_t kLeastBlotted = 8;

// What may stand in a field: visible text and spaces, RFC 9110, 5.5.
bool is_field_text(std::string_view text) {
    return !text.empty() && text.front() != ' ' && text.back() != ' ' &&
           std::ranges::all_of(text, [](char c) { return c == '\t' || (c >= ' ' && c != 0x7f); });
}

// Secrets come from files and prompts, with a line's end behind them.
std::string_view without_end(std::string_view text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    return text;
}

class Maker {
public:
    explicit Maker(const credential::SecretStore& secrets) : secrets_(secrets) {}

    Result<std::shared_ptr<const HttpCredential>> make(const Credential& from) {
        Result<> done{};
        if (!from.token_secret.empty()) done = field("authorization", "Bearer ", from.token_secret);
        if (!from.user.empty() || !from.password_secret.empty()) done = basic(from);
        if (from.header)
            done = field(from.header->name, from.header->prefix, from.header->value_secret);
        if (from.query) done = query(*from.query);
        if (from.oauth2) done = oauth(*from.oauth2);
        if (from.aws) done = aws(*from.aws);
        if (!done) return fail(done.error());
        if (!any_) return std::shared_ptr<const HttpCredential>{};
        return std::make_shared<const HttpCredential>(std::move(made_));
    }

private:
    Result<Secret> get(const std::string& name) {
        any_ = true;
        if (name.empty()) return Secret{};
        auto value = secrets_.get(name);
        if (!value) return fail(value.error().code, "secret " + name);
        Secret text{std::string{without_end(value->expose())}};
        if (text.expose().size() >= kLeastBlotted) blot(text.expose());
        return text;
    }

    void blot(std::string_view secret) {
        for (std::string& spelling : session::spellings(secret))
            made_.blotted.emplace_back(std::move(spelling));
    }

    Result<> field(const std::string& name, const std::string& prefix, const std::string& secret) {
        auto value = get(secret);
        if (!value) return fail(value.error());
        made_.name = name;
        made_.value = Secret{prefix + std::string{value->expose()}};
        if (is_field_text(made_.value.expose())) return {};
        return fail(Errc::Invalid, "secret " + secret + " cannot stand in a field of HTTP");
    }

    // RFC 7617.
    Result<> basic(const Credential& from) {
        auto password = get(from.password_secret);
        if (!password) return fail(password.error());
        const Secret pair{from.user + ':' + std::string{password->expose()}};
        const std::string encoded = to_base64(as_bytes(pair.expose()));
        made_.name = "authorization";
        made_.value = Secret{"Basic " + encoded};
        blot(encoded);
        return {};
    }

    Result<> query(const policy::bundle::NamedSecret& from) {
        made_.kind = HttpCredential::Kind::Query;
        auto value = get(from.value_secret);
        if (!value) return fail(value.error());
        made_.name = from.name;
        made_.value = std::move(*value);
        return {};
    }

    Result<> oauth(const policy::bundle::OauthCredential& from) {
        made_.kind = HttpCredential::Kind::Oauth2;
        made_.name = "authorization";
        auto url = credential::parse_token_url(from.token_url);
        if (!url) return fail(url.error());
        auto secret = get(from.client_secret);
        if (!secret) return fail(secret.error());
        credential::OauthClient client;
        client.token_url = from.token_url;
        client.client_id = from.client_id;
        client.client_secret = std::move(*secret);
        client.scopes = from.scopes;
        client.audience = from.audience;
        client.secret_in_body = from.auth == policy::bundle::ClientAuth::Post;
        made_.source = make_token_source(std::move(client), std::move(*url), from.ca_pem);
        return {};
    }

    Result<> aws(const policy::bundle::AwsCredential& from) {
        made_.kind = HttpCredential::Kind::Aws;
        made_.name = "authorization";
        auto secret = get(from.secret_access_key), session = get(from.session_token);
        if (!secret) return fail(secret.error());
        if (!session) return fail(session.error());
        made_.access_key = from.access_key_id;
        made_.secret_key = std::move(*secret);
        made_.session_token = std::move(*session);
        made_.scope = {from.region, from.service};
        if (made_.session_token.empty() || is_field_text(made_.session_token.expose())) return {};
        return fail(Errc::Invalid, "secret " + from.session_token + " is no session token");
    }

    const credential::SecretStore& secrets_;
    HttpCredential made_{};
    bool any_ = false;
};

}  // namespace

std::string query_without(std::string_view query,
                          const std::function<bool(std::string_view)>& drop) {
    std::string out;
    while (!query.empty()) {
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(end == query.npos ? query.size() : end + 1);
        const auto decoded = policy::http::Facts::pairs(pair.substr(0, pair.find('=')));
        if (!decoded.empty() && drop(decoded.front().first)) continue;
        if (!out.empty()) out += '&';
        out += pair;
    }
    return out;
}

Result<std::shared_ptr<const HttpCredential>> make_http_credential(
    const policy::bundle::Resource& resource, const credential::SecretStore& secrets) {
    if (!resource.credential || resource.credential->pass_through)
        return std::shared_ptr<const HttpCredential>{};
    return Maker{secrets}.make(*resource.credential);
}

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// The shape of a resource's credential; see shapes.h.
#pragma once

#include "policy/bundle/credential.h"
#include "policy/bundle/reader.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace chaperone::policy::bundle {

template <>
struct Choices<ClientAuth> {
    static constexpr std::array<std::pair<std::string_view, ClientAuth>, 2> all{
        {{"basic", ClientAuth::Basic}, {"post", ClientAuth::Post}}};
};

struct HeaderShape {
    std::optional<NamedSecret>& to;
};
struct QueryShape {
    std::optional<NamedSecret>& to;
};

// RFC 9110, 5.6.2.
inline bool is_field_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
    });
}

template <class V>
void shape(V& v, HeaderShape& h) {
    NamedSecret& s = h.to.emplace();
    v.field({"name", "The field, such as X-Api-Key.", true}, s.name);
    v.field({"prefix", "Text before the value, with its space: \"token \"."}, s.prefix);
    v.secret({"value", "Its value.", true}, s.value_secret);
    if constexpr (!V::kWritesSchema) {
        if (!s.name.empty() && !is_field_name(s.name)) v.error("name", "is no name of a field");
        if (s.prefix.find_first_of("\r\n") != std::string::npos || s.prefix.contains('\0'))
            v.error("prefix", "must be one line");
    }
}

template <class V>
void shape(V& v, QueryShape& q) {
    NamedSecret& s = q.to.emplace();
    v.field({"name", "The parameter, such as key.", true}, s.name);
    v.secret({"value", "Its value.", true}, s.value_secret);
    if constexpr (!V::kWritesSchema) v.not_empty("name", s.name.empty() && v.has("name"));
}

template <class V>
void shape(V& v, OauthCredential& o) {
    v.field({"tokenUrl", "The token endpoint, an https URL.", true, Format::Url}, o.token_url);
    v.field({"clientId", "The client's identifier there.", true}, o.client_id);
    v.secret({"clientSecret", "Its secret.", true}, o.client_secret);
    v.field({"scopes", "Scopes to ask for."}, o.scopes);
    v.field({"audience", "The audience to ask for."}, o.audience);
    v.field({"auth", "How the client shows its secret: basic, or post in the body; basic."},
            o.auth);
    if constexpr (!V::kWritesSchema)
        if (!o.token_url.empty() && !o.token_url.starts_with("https://"))
            v.error("tokenUrl", "must be an https URL");
    v.certificates({"ca", "Certificates to trust for the endpoint, PEM, a file of the bundle."},
                   o.ca, o.ca_pem);
}

template <class V>
void shape(V& v, AwsCredential& a) {
    v.field({"accessKeyId", "The access key's id.", true}, a.access_key_id);
    v.secret({"secretAccessKey", "Its secret.", true}, a.secret_access_key);
    v.secret({"sessionToken", "The session token of temporary keys."}, a.session_token);
    v.field({"region", "The region; that of the agent's own signature if not given."}, a.region);
    v.field({"service", "The service; that of the agent's own signature if not given."}, a.service);
}

template <class V>
void shape(V& v, Credential& c) {
    v.field({"passThrough", "The agent's own login is relayed."}, c.pass_through);
    v.field({"user", "Who to log in as; with HTTP, by basic authentication."}, c.user);
    v.secret({"password", "The password."}, c.password_secret);
    v.certificates({"certificate", "Certificate to log in with, PEM, a file of the bundle."},
                   c.certificate, c.certificate_pem);
    v.secret({"key", "Its private key."}, c.key_secret);
    v.secret({"token", "Bearer token."}, c.token_secret);
    HeaderShape header{c.header};
    QueryShape query{c.query};
    v.field({"header", "HTTP: a field with a secret value, such as X-Api-Key."}, header);
    v.field({"query", "HTTP: a parameter of the query with a secret value."}, query);
    v.field({"oauth2", "HTTP: bearer tokens by OAuth 2.0 client credentials."}, c.oauth2);
    v.field({"aws", "HTTP: AWS Signature Version 4."}, c.aws);
    if constexpr (!V::kWritesSchema) {
        const int ways = (!c.user.empty() || !c.password_secret.empty()) + !c.token_secret.empty() +
                         c.header.has_value() + c.query.has_value() + c.oauth2.has_value() +
                         c.aws.has_value();
        const bool any = ways != 0 || !c.certificate.empty() || !c.key_secret.empty();
        if (c.pass_through && any)
            v.error("passThrough", "with passThrough nothing else of a credential has a use");
        if (!c.pass_through && !any)
            v.error("passThrough", "an empty credential",
                    "give user and password, or {passThrough: true}");
        if (ways > 1)
            v.error("passThrough", "more than one way to log in",
                    "give one of user and password, token, header, query, oauth2, aws");
        if (c.certificate.empty() != c.key_secret.empty())
            v.error(c.certificate.empty() ? "key" : "certificate",
                    "certificate and key go together");
    }
}

}  // namespace chaperone::policy::bundle

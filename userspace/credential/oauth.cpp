// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/oauth.h"

#include "userspace/base/encoding.h"
#include "userspace/base/percent.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace chaperone::credential {
namespace json = boost::json;
namespace {

constexpr std::size_t kMaxToken = 32 * 1024;
constexpr auto kLongest = std::chrono::hours{24 * 30};

// What may stand in a field's value: nothing that would end it.
bool is_token_text(std::string_view text) {
    return !text.empty() && text.size() <= kMaxToken &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string error_in(const json::value& answer) {
    const auto* object = answer.if_object();
    const json::value* error = object != nullptr ? object->if_contains("error") : nullptr;
    if (error == nullptr || !error->is_string()) return {};
    const std::string_view text{error->get_string()};
    const bool code = text.size() <= 64 && std::ranges::all_of(text, [](char c) {
                          return (c >= 'a' && c <= 'z') || c == '_';
                      });
    return code ? std::string{text} : std::string{};
}

}  // namespace

Result<OauthUrl> parse_token_url(std::string_view url) {
    const auto invalid = [] { return fail(Errc::Invalid, "the token URL is no https URL"); };
    constexpr std::string_view kScheme = "https://";
    if (!url.starts_with(kScheme) || url.find_first_of("#@\\ \t\r\n") != url.npos) return invalid();
    url.remove_prefix(kScheme.size());
    OauthUrl out;
    const auto slash = std::min(url.find_first_of("/?"), url.size());
    std::string_view authority = url.substr(0, slash);
    out.target = url.substr(slash);
    if (!out.target.starts_with('/')) out.target.insert(0, "/");
    const auto bracket = authority.rfind(']');
    const auto colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
    if (colon != authority.npos) {
        const std::string_view port = authority.substr(colon + 1);
        const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
        if (error != std::errc{} || end != port.data() + port.size() || out.port == 0)
            return invalid();
        authority = authority.substr(0, colon);
    }
    if (authority.starts_with('[') && authority.ends_with(']'))
        authority = authority.substr(1, authority.size() - 2);
    if (authority.empty()) return invalid();
    out.host = authority;
    return out;
}

Secret token_request(const OauthClient& client, const OauthUrl& url) {
    std::string body = "grant_type=client_credentials";
    std::string scopes;
    for (const std::string& scope : client.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
    if (!scopes.empty()) body += "&scope=" + percent_encoded(scopes);
    if (!client.audience.empty()) body += "&audience=" + percent_encoded(client.audience);
    std::string authorization;
    if (client.secret_in_body) {
        body += "&client_id=" + percent_encoded(client.client_id) +
                "&client_secret=" + percent_encoded(client.client_secret.expose());
    } else {
        // RFC 6749, 2.3.1: both are form-encoded first.
        const std::string pair = percent_encoded(client.client_id) + ':' +
                                 percent_encoded(client.client_secret.expose());
        authorization = "Authorization: Basic " + to_base64(as_bytes(pair)) + "\r\n";
    }
    const bool v6 = url.host.contains(':');
    std::string host = v6 ? '[' + url.host + ']' : url.host;
    if (url.port != 443) host += ':' + std::to_string(url.port);
    return Secret{"POST " + url.target + " HTTP/1.1\r\nHost: " + host + "\r\n" + authorization +
                  "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
                  std::to_string(body.size()) +
                  "\r\nAccept: application/json\r\nUser-Agent: chaperone\r\n"
                  "Connection: close\r\n\r\n" +
                  body};
}

Result<OauthToken> read_token_answer(int status, std::string_view body, Time now) {
    boost::system::error_code bad;
    const json::value answer = json::parse({body.data(), body.size()}, bad);
    if (status != 200) {
        const std::string code = bad ? std::string{} : error_in(answer);
        return fail(Errc::Denied, "the token endpoint answers " + std::to_string(status) +
                                      (code.empty() ? "" : " " + code));
    }
    const auto* object = bad ? nullptr : answer.if_object();
    if (object == nullptr) return fail(Errc::Malformed, "the token endpoint's answer is no JSON");
    const json::value* token = object->if_contains("access_token");
    const json::value* type = object->if_contains("token_type");
    if (token == nullptr || !token->is_string() || !is_token_text(token->get_string()))
        return fail(Errc::Malformed, "the token endpoint's answer holds no token");
    if (type != nullptr && type->is_string()) {
        std::string name{type->get_string()};
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
        if (name != "bearer") return fail(Errc::Malformed, "the token is not a bearer token");
    }
    OauthToken out{.token = Secret{std::string{token->get_string()}}, .expires = Time::max()};
    std::int64_t seconds = 0;
    if (const json::value* life = object->if_contains("expires_in"); life != nullptr) {
        if (life->is_int64()) seconds = life->get_int64();
        if (life->is_uint64()) seconds = static_cast<std::int64_t>(life->get_uint64());
        if (life->is_double()) seconds = static_cast<std::int64_t>(life->get_double());
        if (life->is_string()) {  // some servers write it so
            const std::string_view text{life->get_string()};
            std::from_chars(text.data(), text.data() + text.size(), seconds);
        }
    }
    if (seconds > 0)
        out.expires =
            now + std::min<Duration>(
                      std::chrono::seconds{std::min<std::int64_t>(seconds, 10'000'000)}, kLongest);
    return out;
}

}  // namespace chaperone::credential

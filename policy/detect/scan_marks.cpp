// SPDX-License-Identifier: Apache-2.0
// What has a mark inside it: @ : = - or capitals.
#include "policy/detect/scanner.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace chaperone::detect {
namespace {

constexpr std::size_t kMaxLocal = 64, kMaxDomain = 253;  // RFC 5321 section 4.5.3.1
constexpr std::size_t kMaxUserInfo = 256;
constexpr std::size_t kMaxValue = 256;
constexpr std::size_t kMaxKeyBlock = 16384;
constexpr std::string_view kEscapes = "ntrbf";

bool is_high(char c) {
    return static_cast<unsigned char>(c) >= 0x80;  // letters of other scripts, in UTF-8
}

bool is_local(char c) {
    return is(c, kAlnum | kUnderscore | kDash | kDot) || c == '+' || c == '%' || c == '\'' ||
           is_high(c);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool ends_with_ignoring_case(std::string_view text, std::string_view lowered) {
    return text.size() >= lowered.size() &&
           std::ranges::equal(text.substr(text.size() - lowered.size()), lowered, {}, lower);
}

constexpr std::array<std::string_view, 19> kSecretNames{
    "password",      "passwd",       "pwd",         "passphrase", "secret",
    "apikey",        "api_key",      "api-key",     "access_key", "accesskey",
    "accountkey",    "access_token", "accesstoken", "auth_token", "authtoken",
    "client_secret", "private_key",  "secret_key",  "secretkey"};

// Whether a name of a secret can end so; asked of every colon of every text.
bool ends_a_secret(char c) {
    c = lower(c);
    return c == 'd' || c == 'e' || c == 't' || c == 'y' || c == 'n';
}

bool names_a_secret(std::string_view key) {
    return std::ranges::any_of(
        kSecretNames, [&](std::string_view word) { return ends_with_ignoring_case(key, word); });
}

// What is written where a secret would be, but is none.
bool is_no_secret(std::string_view value) {
    if (value.starts_with("${") || value.starts_with("{{") || value.starts_with("$(")) return true;
    if (value.find_first_not_of("*xX.") == std::string_view::npos) return true;
    for (const std::string_view word : {"null", "none", "true", "false", "undefined", "string"})
        if (value.size() == word.size() && ends_with_ignoring_case(value, word)) return true;
    return false;
}

}  // namespace

// RFC 5321, without quoted local parts and address literals; letters of other scripts pass.
Scanner::Position Scanner::at_email(Position sign) {
    Position begin = sign;
    while (begin != 0 && sign - begin != kMaxLocal && is_local(text_[begin - 1])) --begin;
    if (begin != 0 && text_[begin - 1] == '\\' && begin != sign && kEscapes.contains(text_[begin]))
        ++begin;
    while (begin != sign && (text_[begin] == '.' || text_[begin] == '\'')) ++begin;
    Position end = sign + 1, last_dot = 0;
    for (; end < text_.size() && end - sign <= kMaxDomain; ++end) {
        const char c = text_[end];
        if (c == '.' && is(text_[end - 1], kAlnum | kDash)) last_dot = end;
        if (c == '.' ? at(end + 1) == '.' : !is(c, kAlnum | kDash) && !is_high(c)) break;
    }
    while (end > sign + 1 && (text_[end - 1] == '.' || text_[end - 1] == '-')) {
        --end;
        if (last_dot == end) last_dot = text_.rfind('.', end - 1);
    }
    if (begin == sign || last_dot == 0 || last_dot <= sign + 1 || last_dot >= end) return sign + 1;
    const std::string_view top = text_.substr(last_dot + 1, end - last_dot - 1);
    const bool is_top =
        top.size() >= 2 &&
        std::ranges::all_of(top, [](char c) { return is(c, kAlnum | kDash) || is_high(c); }) &&
        !is(top.front(), kDigit);
    if (!is_top) return sign + 1;
    return std::max(add(Kind::EmailAddress, begin, end, 95), sign + 1);
}

Scanner::Position Scanner::at_colon(Position i) {
    Position far = i + 1;
    far = std::max(far, url(i));
    far = std::max(far, ipv6(i));
    if (i >= 2) far = std::max(far, mac(i - 2));
    return std::max(far, assignment(i));
}

Scanner::Position Scanner::at_dash(Position i) {
    Position far = std::max(key_block(i), i + 1);
    if (i >= 2) far = std::max(far, mac(i - 2));
    return std::max(far, tokens(i, 128));
}

Scanner::Position Scanner::at_equals(Position i) {
    return std::max(assignment(i), i + 1);
}

Scanner::Position Scanner::at_capitals(Position i) {
    const Position found = tokens(i, 128);
    const Position end = run_end(i, kUpper, text_.size());
    if (plan_.wants(Kind::SwiftBic) && begins(i) && end - i >= 6) {
        const Position last = run_end(i, kUpper | kDigit, 12);  // ISO 9362
        if ((last - i == 8 || last - i == 11) && ends(last))
            return std::max({add_by_context(Kind::SwiftBic, i, last, 5, 80), found, end});
    }
    return std::max(found, end);
}

// RFC 3986: "user:password" before the host.
Scanner::Position Scanner::url(Position colon) {
    if (!text_.substr(colon).starts_with("://")) return 0;
    const Position begin = colon + 3;
    constexpr std::string_view kWebhook = "hooks.slack.com/services/";
    if (plan_.wants(Kind::SlackWebhook) && text_.substr(begin).starts_with(kWebhook))
        return add(Kind::SlackWebhook, begin, run_end(begin + kWebhook.size(), kBase64, kMaxValue),
                   95);
    if (!plan_.wants(Kind::UrlCredentials)) return 0;
    const auto stop = text_.substr(begin, kMaxUserInfo).find_first_of("@/?# \t\r\n\"'<>");
    if (stop == std::string_view::npos || text_[begin + stop] != '@') return 0;
    const auto inner = text_.substr(begin, stop).find(':');
    if (inner == std::string_view::npos || inner + 1 == stop) return 0;
    return add(Kind::UrlCredentials, begin, begin + stop, 97);
}

Scanner::Position Scanner::ipv6(Position colon) {
    if (!plan_.wants(Kind::IpAddress)) return 0;
    const Position begin = run_begin(colon, kHex, 4);
    if (begin == colon && at(colon + 1) != ':') return 0;
    if (begin != 0 && (!begins(begin) || text_[begin - 1] == ':')) return 0;
    Position end = begin;
    std::array<char, INET6_ADDRSTRLEN> text{};
    int colons = 0;
    bool has_digit = false;
    while (end < text_.size() && end - begin + 1 < text.size() &&
           (is(text_[end], kHex | kDot) || text_[end] == ':')) {
        colons += text_[end] == ':';
        has_digit |= is(text_[end], kDigit);
        text[end - begin] = text_[end];
        ++end;
    }
    while (end != begin && text_[end - 1] == '.') text[--end - begin] = '\0';
    if (end - begin > 2 && text_[end - 1] == ':' && text_[end - 2] != ':')
        text[--end - begin] = '\0';
    if (colons < 2 || !ends(end) || end - begin < 3 || (!has_digit && colons < 3)) return 0;
    in6_addr address{};
    if (inet_pton(AF_INET6, text.data(), &address) != 1) return 0;
    return add(Kind::IpAddress, begin, end, 85);
}

// Six pairs of hex digits with colons or dashes.
Scanner::Position Scanner::mac(Position begin) {
    constexpr std::size_t kLength = 17;
    if (!plan_.wants(Kind::MacAddress) || text_.size() - begin < kLength) return 0;
    const char separator = text_[begin + 2];
    if ((separator != ':' && separator != '-') || text_[begin + 5] != separator || !begins(begin))
        return 0;
    for (std::size_t i = 0; i != kLength; ++i)
        if (i % 3 == 2 ? text_[begin + i] != separator : !is(text_[begin + i], kHex)) return 0;
    const Position end = begin + kLength;
    if (!ends(end) || at(end) == separator || (begin != 0 && text_[begin - 1] == separator))
        return 0;
    return add(Kind::MacAddress, begin, end, 90);
}

// RFC 7468. A block that does not end is taken to the end: better too much than half a key.
Scanner::Position Scanner::key_block(Position begin) {
    constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
    if (!plan_.wants(Kind::PrivateKey) || !text_.substr(begin).starts_with(kBegin)) return 0;
    const std::string_view block = text_.substr(begin, kMaxKeyBlock);
    const std::string_view label = block.substr(kBegin.size(), 64);
    const auto dashes = label.find(kDashes);
    if (dashes == std::string_view::npos ||
        label.substr(0, dashes).find("PRIVATE KEY") == std::string_view::npos)
        return 0;
    const auto last = block.find(kEnd, kBegin.size() + dashes);
    const auto close =
        last == std::string_view::npos ? last : block.find(kDashes, last + kEnd.size());
    const std::size_t length =
        close == std::string_view::npos ? block.size() : close + kDashes.size();
    return add(Kind::PrivateKey, begin, begin + length, 99);
}

// password=… , "api_key": "…", Pwd=…; as in connection strings, JSON, YAML, shell and query
// strings.
Scanner::Position Scanner::assignment(Position sign) {
    if (!plan_.wants(Kind::Password)) return 0;
    Position key_end = sign;
    const auto between = [](char c) {
        return c == ' ' || c == '"' || c == '\'' || c == '\\' || c == ':';
    };
    for (int i = 0; i != 3 && key_end != 0 && between(text_[key_end - 1]); ++i) --key_end;
    if (key_end == 0 || !ends_a_secret(text_[key_end - 1])) return 0;
    const Position key = run_begin(key_end, kUrl64, 40);
    if (!names_a_secret(text_.substr(key, key_end - key))) return 0;
    Position begin = sign + 1;
    for (int i = 0; i != 3 && std::string_view{" =>\\"}.contains(at(begin)) && begin < text_.size();
         ++i)
        ++begin;
    const char quote = at(begin);
    const bool quoted = quote == '"' || quote == '\'';
    const bool nested = quoted && text_[begin - 1] == '\\';  // JSON inside a JSON string
    begin += quoted;
    const std::string_view rest = text_.substr(std::min(begin, text_.size()), kMaxValue);
    std::size_t length = 0;
    for (; length != rest.size(); ++length) {
        const char c = rest[length];
        const bool escape = length != 0 && rest[length - 1] == '\\';
        if (quoted ? c == quote && escape == nested
                   : std::string_view{" \t\r\n;&,)}]<>\"'"}.contains(c))
            break;
    }
    length -= nested && length != rest.size();
    const std::string_view value = rest.substr(0, length);
    if (value.size() < 4 || is_no_secret(value)) return 0;
    return add(Kind::Password, begin, begin + length, quoted || text_[sign] == '=' ? 80 : 60);
}

}  // namespace chaperone::detect

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/asked_name.h"

#include "userspace/authority/host_name.h"
#include "userspace/wire/tls/client_hello.h"

#include <algorithm>
#include <string_view>

namespace chaperone::net {
namespace {

constexpr std::size_t kMaxMethod = 32;

std::string host_of(std::string_view authority) {
    if (const auto at = authority.rfind('@'); at != authority.npos) return {};
    if (authority.starts_with('[')) return {};  // an address
    if (const auto colon = authority.find(':'); colon != authority.npos)
        authority = authority.substr(0, colon);
    auto host = authority::read_host_name(authority);
    return host && host->address.empty() ? std::move(host->text) : std::string{};
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool same(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

std::string_view target_of(std::string_view line) {
    const auto first = line.find(' ');
    if (first == line.npos) return {};
    line.remove_prefix(first + 1);
    return line.substr(0, line.find(' '));
}

// Whether the text begins as an HTTP/1 request does: a token, then a space.
bool may_be_http(std::string_view text) {
    const auto end = text.find_first_not_of(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~");
    if (end == text.npos) return text.size() < kMaxMethod;
    return end != 0 && text[end] == ' ';
}

std::optional<AskedName> in_http(std::string_view text) {
    AskedName asked;
    if (!may_be_http(text) || text.starts_with("PRI * HTTP/2")) return asked;
    std::size_t hosts = 0;
    for (bool first = true;; first = false) {
        const auto end = text.find('\n');
        if (end == text.npos) break;
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (first) {
            std::string_view target = target_of(line);
            const auto scheme = target.find("://");
            if (scheme == target.npos || scheme > 8) continue;
            target.remove_prefix(scheme + 3);
            asked.name = host_of(target.substr(0, target.find_first_of("/?#")));
            return asked;
        }
        // Two of them are for the machine to refuse; no name is taken from either.
        if (line.empty()) {
            if (hosts != 1) asked.name.clear();
            return asked;
        }
        const auto colon = line.find(':');
        if (colon == line.npos || !same(line.substr(0, colon), "host")) continue;
        ++hosts;
        asked.name = host_of(trim(line.substr(colon + 1)));
    }
    return std::nullopt;
}

}  // namespace

std::optional<AskedName> asked_name(Bytes begin) {
    if (begin.empty()) return std::nullopt;
    if (!wire::tls::may_be_tls(begin)) {
        if (begin.size() >= kMaxAskedName) return AskedName{};
        return in_http(as_text(begin));
    }
    const auto hello = wire::tls::decode_client_hello(begin);
    if (!hello) return AskedName{.tls = true};
    const auto& whole = *hello;
    if (!whole) return std::nullopt;
    return AskedName{
        .tls = true, .encrypted_hello = whole->ech, .name = host_of(whole->server_name)};
}

}  // namespace chaperone::net

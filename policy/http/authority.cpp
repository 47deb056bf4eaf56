// SPDX-License-Identifier: Apache-2.0
#include "policy/http/authority.h"

#include "policy/bundle/hosts.h"
#include "userspace/base/http.h"

#include <algorithm>
#include <charconv>

namespace chaperone::policy::http {
namespace {

constexpr std::size_t kMaxName = 253;  // RFC 1035, 2.3.4, as text
constexpr std::size_t kMaxLabel = 63;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_label_char(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

// "10", "0x7f", "0x": who reads names as WHATWG's URLs takes a host whose last label is such a
// number for an IPv4 address; inet_aton(3) takes most of them for one.
bool is_number(std::string_view label) {
    if (std::ranges::all_of(label, is_digit)) return true;
    return label.starts_with("0x") && std::ranges::all_of(label.substr(2), [](char c) {
               return is_digit(c) || (c >= 'a' && c <= 'f');
           });
}

std::optional<std::string> name_of(std::string_view text) {
    std::string name = chaperone::http::lower(text);
    if (name.ends_with('.')) name.pop_back();
    if (name.empty() || name.size() > kMaxName) return std::nullopt;
    std::string_view label;
    for (std::string_view rest = name; rest.data() != nullptr;) {
        const std::size_t dot = rest.find('.');
        label = rest.substr(0, dot);
        if (label.empty() || label.size() > kMaxLabel || !std::ranges::all_of(label, is_label_char))
            return std::nullopt;
        rest = dot == rest.npos ? std::string_view{} : rest.substr(dot + 1);
        if (dot != std::string_view::npos && rest.empty()) return std::nullopt;
    }
    if (!is_number(label)) return name;
    // Four decimal numbers without leading zeros are an address to everybody.
    const auto address = bundle::Address::parse(name);
    if (!address || address->v6 || address->text() != name) return std::nullopt;
    return name;
}

// An address in brackets has many spellings, and one that is mapped is IPv4's.
std::optional<std::string> bracketed(std::string_view text) {
    if (!text.contains(':') || text.find_first_of("[]") != text.npos) return std::nullopt;
    const auto address = bundle::Address::parse(text);
    if (!address) return std::nullopt;
    return address->text();
}

}  // namespace

std::optional<Authority> split_authority(std::string_view authority) {
    Authority made;
    std::size_t end = authority.find(':');
    std::optional<std::string> host;
    if (authority.starts_with('[')) {
        end = authority.find(']');
        if (end == authority.npos) return std::nullopt;
        host = bracketed(authority.substr(1, end - 1));
        ++end;
    } else {
        end = std::min(end, authority.size());
        host = name_of(authority.substr(0, end));
    }
    if (!host) return std::nullopt;
    made.host = *std::move(host);
    std::string_view port = authority.substr(end);
    if (port.empty()) return made;
    if (!port.starts_with(':')) return std::nullopt;
    port.remove_prefix(1);
    if (port.empty()) return made;  // RFC 3986, 3.2.3
    std::uint16_t number = 0;
    const auto [last, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || last != port.data() + port.size() || port.front() == '0')
        return std::nullopt;
    made.port = number;
    return made;
}

}  // namespace chaperone::policy::http

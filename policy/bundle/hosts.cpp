// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/hosts.h"

#include "userspace/base/ip_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

namespace chaperone::policy::bundle {
namespace {

// A port and whether it is of datagrams, as one number.
std::uint32_t door(std::uint16_t port, bool udp) noexcept {
    return port | (udp ? 0x10000U : 0U);
}

std::string key_of(std::string_view name, std::uint32_t door) {
    return std::string{name} + ' ' + std::to_string(door);
}

bool is_label(std::string_view label) noexcept {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
        return false;
    return std::ranges::all_of(label, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

bool is_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > 253) return false;
    while (true) {
        const std::size_t dot = name.find('.');
        if (!is_label(name.substr(0, dot))) return false;
        if (dot == std::string_view::npos) break;
        name.remove_prefix(dot + 1);
    }
    // "10.1.2" would be read as an address by some programs and as a name by others.
    return name.find_first_not_of("0123456789") != std::string_view::npos;
}

Result<HostPattern> parse_network(std::string_view text, std::size_t slash) {
    const auto address = Address::parse(text.substr(0, slash));
    if (!address) return fail(Errc::Invalid, "\"" + std::string{text} + "\" is no network");
    HostPattern made{.kind = HostPattern::Kind::Network, .address = *address};
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), made.prefix);
    if (error != std::errc{} || end != digits.data() + digits.size() || digits.size() > 3 ||
        made.prefix > address->bits())
        return fail(Errc::Invalid, "\"" + std::string{digits} + "\" is no length of a prefix");
    if (address->masked(made.prefix) != *address)
        return fail(Errc::Invalid, "has bits behind the prefix; write " +
                                       address->masked(made.prefix).text() + "/" +
                                       std::string{digits});
    return made;
}

// sun_path has this many bytes (unix(7)).
constexpr std::size_t kMaxSocketName = 108;

Result<HostPattern> parse_socket(std::string_view text) {
    HostPattern made{.kind = HostPattern::Kind::Socket};
    made.beginning = text.ends_with('*');
    if (made.beginning) text.remove_suffix(1);
    const std::string whole = std::string{text} + (made.beginning ? "x" : "") + "/";
    if (text.size() > kMaxSocketName || text.find_first_of(std::string_view{"*\0", 2}) != text.npos)
        return fail(Errc::Invalid, "\"" + std::string{text} + "\" is no name of a Unix socket");
    if (text.starts_with('/') &&
        (whole.contains("//") || whole.contains("/./") || whole.contains("/../")))
        return fail(Errc::Invalid, "a path is written without empty parts, . and ..");
    if (text == "/" || text == "@")
        return fail(Errc::Invalid, "names every Unix socket; name those that are meant");
    made.name = text;
    return made;
}

}  // namespace

std::vector<std::uint16_t> default_ports(std::string_view protocol) {
    if (protocol == "postgresql") return {5432};
    if (protocol == "mysql") return {3306};
    if (protocol == "ssh") return {22};
    if (protocol == "kubernetes") return {443, 6443};
    if (protocol == "http") return {80, 443};
    return {};
}

Result<Address> Address::parse(std::string_view text) {
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    const std::string copy{text};
    Address made;
    if (copy.find('\0') != std::string::npos) return fail(Errc::Invalid, "no address");
    if (inet_pton(AF_INET, copy.c_str(), made.bytes.data()) == 1) return made;
    made.v6 = true;
    if (inet_pton(AF_INET6, copy.c_str(), made.bytes.data()) != 1)
        return fail(Errc::Invalid, "no address");
    static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::memcmp(made.bytes.data(), kMapped.data(), kMapped.size()) != 0) return made;
    Address inner;
    std::copy_n(made.bytes.begin() + 12, 4, inner.bytes.begin());
    return inner;
}

Address Address::masked(unsigned prefix) const noexcept {
    Address made = *this;
    for (unsigned bit = prefix; bit < bits(); ++bit)
        made.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
    return made;
}

std::string Address::text() const {
    return ip_text(std::span{bytes}.first(bits() / 8));
}

Result<HostPattern> HostPattern::parse(std::string_view text) {
    if (text == "*") return HostPattern{};
    if (text.starts_with('/') || text.starts_with('@')) return parse_socket(text);
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos)
        return parse_network(text, slash);
    if (const auto address = Address::parse(text))
        return HostPattern{.kind = Kind::Network, .address = *address, .prefix = address->bits()};
    const bool wildcard = text.starts_with("*.");
    std::string name = normal_name(wildcard ? text.substr(2) : text);
    if (name.find('*') != std::string::npos)
        return fail(Errc::Invalid, "\"*\" may stand only for whole labels at the beginning");
    if (name.find(':') != std::string::npos)
        return fail(Errc::Invalid,
                    "\"" + std::string{text} + "\" is no host; ports are given under ports");
    if (!is_name(name))
        return fail(Errc::Invalid,
                    "\"" + std::string{text} + "\" is no host name, address or network");
    if (!wildcard) return HostPattern{.kind = Kind::Exact, .name = std::move(name)};
    return HostPattern{.kind = Kind::Wildcard, .name = "." + name};
}

std::string HostPattern::text() const {
    switch (kind) {
    case Kind::Any: return "*";
    case Kind::Network: return address.text() + "/" + std::to_string(prefix);
    case Kind::Wildcard: return "*" + name;
    case Kind::Exact: return name;
    case Kind::Socket: return name + (beginning ? "*" : "");
    }
    return {};
}

std::string normal_name(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    std::string made{name};
    for (char& c : made)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return made;
}

std::size_t HostIndex::add(const HostPattern& pattern, std::uint16_t port, bool udp,
                           std::size_t resource) {
    const std::uint32_t at = door(port, udp);
    switch (pattern.kind) {
    case HostPattern::Kind::Any: {
        const auto [entry, added] = any_.try_emplace(at, resource);
        return added ? kNone : entry->second;
    }
    case HostPattern::Kind::Network: {
        for (const Network& other : networks_)
            if (other.port == at && other.prefix == pattern.prefix &&
                other.address == pattern.address)
                return other.resource;
        networks_.push_back({pattern.address, pattern.prefix, at, resource});
        return kNone;
    }
    case HostPattern::Kind::Socket: return kNone;  // has no port, and is found by no destination
    case HostPattern::Kind::Wildcard:
    case HostPattern::Kind::Exact: {
        claims_.emplace(pattern.name, resource);
        Names& names = pattern.kind == HostPattern::Kind::Exact ? exact_ : wildcards_;
        const auto [entry, added] = names.try_emplace(key_of(pattern.name, at), resource);
        return added ? kNone : entry->second;
    }
    }
    return kNone;
}

void HostIndex::finish() {
    std::ranges::sort(networks_, std::ranges::greater{}, &Network::prefix);
}

HostIndex::Named HostIndex::find_name(std::string_view name, std::uint32_t door) const {
    constexpr std::size_t kExactRank = 1'000;  // above the length of any suffix
    if (const auto found = exact_.find(key_of(name, door)); found != exact_.end())
        return {found->second, kExactRank};
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos;
         dot = name.find('.', dot + 1)) {
        const auto found = wildcards_.find(key_of(name.substr(dot), door));
        if (found != wildcards_.end()) return {found->second, name.size() - dot};
    }
    return {};
}

HostIndex::NameFound HostIndex::find(std::span<const std::string> names, std::uint16_t port,
                                     bool udp) const {
    NameFound best;
    std::size_t rank = 0;
    for (std::size_t i = 0; i != names.size(); ++i) {
        if (names[i].size() > 254) continue;
        const Named one = find_name(normal_name(names[i]), door(port, udp));
        if (one.resource == kNone || one.rank < rank) continue;
        if (one.rank == rank) {
            if (one.resource != best.found) best.found = kNone;
            continue;
        }
        best = {one.resource, i};
        rank = one.rank;
    }
    // Of the names of that resource the first, however it is claimed.
    for (std::size_t i = 0; best.found != kNone && i < best.name; ++i)
        if (find_name(normal_name(names[i]), door(port, udp)).resource == best.found) best.name = i;
    return best;
}

std::vector<std::size_t> HostIndex::claimants(std::string_view name) const {
    std::vector<std::size_t> all;
    const auto add = [&](std::string_view key) {
        const auto [first, last] = claims_.equal_range(std::string{key});
        for (auto it = first; it != last; ++it) all.push_back(it->second);
    };
    const std::string wanted = normal_name(name);
    if (!is_name(wanted)) return all;
    add(wanted);
    for (std::size_t dot = wanted.find('.'); dot != std::string::npos;
         dot = wanted.find('.', dot + 1))
        add(std::string_view{wanted}.substr(dot));
    for (const auto& [port, resource] : any_) all.push_back(resource);
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

std::vector<std::size_t> HostIndex::claimants(const Address& address) const {
    std::vector<std::size_t> all;
    for (const Network& network : networks_)
        if (network.address.v6 == address.v6 && address.masked(network.prefix) == network.address)
            all.push_back(network.resource);
    for (const auto& [port, resource] : any_) all.push_back(resource);
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

std::size_t HostIndex::find_address(const Address& address, std::uint32_t door) const {
    for (const Network& network : networks_)
        if (network.port == door && network.address.v6 == address.v6 &&
            address.masked(network.prefix) == network.address)
            return network.resource;
    return kNone;
}

std::size_t HostIndex::find(const Destination& destination, bool udp) const {
    const std::uint32_t at = door(destination.port, udp);
    if (!destination.name.empty() && destination.name.size() <= 254) {
        const std::size_t found = find_name(normal_name(destination.name), at).resource;
        if (found != kNone) return found;
    }
    if (const auto address = Address::parse(destination.address)) {
        const std::size_t found = find_address(*address, at);
        if (found != kNone) return found;
    }
    const auto any = any_.find(at);
    return any == any_.end() ? kNone : any->second;
}

}  // namespace chaperone::policy::bundle

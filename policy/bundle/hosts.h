// SPDX-License-Identifier: Apache-2.0
// Which resource a destination is: host patterns, ports, and which of several matches is the most
// specific. IPv4-mapped IPv6 addresses are IPv4. Immutable once built.
#pragma once

#include "policy/bundle/documents.h"
#include "userspace/base/error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::policy::bundle {

// The ports that a protocol has of itself; none for tcp and udp.
std::vector<std::uint16_t> default_ports(std::string_view protocol);

struct Address {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{};  // the first four for IPv4

    static Result<Address> parse(std::string_view text);  // "10.1.2.3", "fd00::7", "[fd00::7]"
    unsigned bits() const noexcept { return v6 ? 128 : 32; }
    Address masked(unsigned prefix) const noexcept;
    std::string text() const;
    friend bool operator==(const Address&, const Address&) = default;
};

struct HostPattern {
    enum class Kind : std::uint8_t { Any, Network, Wildcard, Exact, Socket };

    Kind kind = Kind::Any;
    // Exact: the name; Wildcard: what follows "*", with its dot; Socket: a path, or "@" and an
    // abstract name
    std::string name{};
    Address address{};       // Network
    unsigned prefix = 0;     // Network
    bool beginning = false;  // Socket: all names that begin with it

    // "db.internal", "*.internal", "10.1.0.0/16", "fd00::7", "*"; "/run/a.sock", "/run/a/*",
    // "@abstract". Invalid says what is wrong.
    static Result<HostPattern> parse(std::string_view text);
    std::string text() const;  // normalised: what is the same host has the same text
};

// Lower case, without the dot at the end.
std::string normal_name(std::string_view name);

class HostIndex {
public:
    // Which other resource claims the same host and port; npos: none.
    static constexpr std::size_t kNone = ~std::size_t{0};
    // `udp` tells whether the resource is of datagrams; streams and datagrams do not meet.
    std::size_t add(const HostPattern& pattern, std::uint16_t port, bool udp, std::size_t resource);
    // Longest first; call it once after the last add().
    void finish();

    std::size_t find(const Destination& destination, bool udp) const;

    // Of several names that lead to one address, the one that is claimed most specifically; the
    // first of those that one resource claims. `found` is kNone where two resources claim theirs
    // alike: nobody can tell which is meant.
    struct NameFound {
        std::size_t found = kNone;
        std::size_t name = kNone;  // its place in `names`; kNone: none is claimed
    };
    NameFound find(std::span<const std::string> names, std::uint16_t port, bool udp) const;

    // All that claim a name, or an address, on whatever port; each once, in their order.
    std::vector<std::size_t> claimants(std::string_view name) const;
    std::vector<std::size_t> claimants(const Address& address) const;

private:
    struct Network {
        Address address{};
        unsigned prefix{};
        std::uint32_t port{};
        std::size_t resource{};
    };
    using Names = std::unordered_map<std::string, std::size_t>;

    struct Named {
        std::size_t resource = kNone;
        std::size_t rank = 0;  // the longer, the more specific
    };
    Named find_name(std::string_view name, std::uint32_t port) const;
    std::size_t find_address(const Address& address, std::uint32_t port) const;

    Names exact_;      // pattern and port
    Names wildcards_;  // suffix and port
    std::vector<Network> networks_;
    std::unordered_map<std::uint32_t, std::size_t> any_;
    std::unordered_multimap<std::string, std::size_t> claims_;  // names, and wildcards by ".suffix"
};

}  // namespace chaperone::policy::bundle

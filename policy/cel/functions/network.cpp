// SPDX-License-Identifier: Apache-2.0
// The network extension: IP addresses and CIDR ranges.
#include "policy/cel/functions/library.h"
#include "userspace/base/ip_text.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstring>
#include <span>

namespace chaperone::cel {
namespace {

const ObjectType kIpType{"net.IP", {}};
const ObjectType kCidrType{"net.CIDR", {}};

struct Address {
    std::array<std::uint8_t, 16> bytes{};  // IPv4 in the first four
    bool six = false;

    unsigned bits() const { return six ? 128 : 32; }
    // An IPv4 address written as ::ffff:a.b.c.d in hexadecimal is that IPv4 address.
    Address unmapped() const {
        constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
        if (!six || std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) != 0) return *this;
        Address four;
        std::memcpy(four.bytes.data(), bytes.data() + kMapped.size(), 4);
        return four;
    }
    Address masked(unsigned prefix) const {
        Address kept = *this;
        for (unsigned i = 0; i != bits() / 8; ++i) {
            const unsigned left = prefix > 8 * i ? prefix - 8 * i : 0;
            if (left < 8)
                kept.bytes[i] = static_cast<std::uint8_t>(kept.bytes[i] & (0xFF00U >> left));
        }
        return kept;
    }
    std::string text() const { return ip_text(std::span{bytes}.first(bits() / 8)); }
    friend bool operator==(const Address&, const Address&) = default;
};

class Ip : public Object {
public:
    explicit Ip(Address address) : address(address) {}
    const ObjectType& type() const override { return kIpType; }
    Value field(std::size_t) const override { return Value::absent(); }
    bool equals(const Object& other) const override {
        const auto* ip = dynamic_cast<const Ip*>(&other);
        return ip != nullptr && ip->address.unmapped() == address.unmapped();
    }
    std::string text() const override { return address.text(); }

    Address address;
};

class Cidr : public Object {
public:
    Cidr(Address address, unsigned prefix) : address(address), prefix(prefix) {}
    const ObjectType& type() const override { return kCidrType; }
    Value field(std::size_t) const override { return Value::absent(); }
    bool equals(const Object& other) const override {
        const auto* cidr = dynamic_cast<const Cidr*>(&other);
        return cidr != nullptr && cidr->prefix == prefix && cidr->address == address;
    }
    std::string text() const override { return address.text() + "/" + std::to_string(prefix); }
    bool contains(const Address& other) const {
        return other.six == address.six && other.masked(prefix) == address.masked(prefix);
    }

    Address address;
    unsigned prefix;
};

const Address& ip_of(const Value& value) {
    return static_cast<const Ip&>(value.as_object()).address;
}
const Cidr& cidr_of(const Value& value) {
    return static_cast<const Cidr&>(value.as_object());
}

// Empty and a reason if it is no address. Zones and dotted IPv4-mapped addresses are refused.
std::optional<Address> parse_ip(std::string_view text, const char*& reason) {
    reason = "IP Address parse error during conversion from string";
    if (text.contains('%')) reason = "IP Address with zone value is not allowed";
    if (text.size() >= INET6_ADDRSTRLEN || text.contains('%') || text.contains('\0'))
        return std::nullopt;
    const std::string copy{text};
    Address address;
    if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
    address.six = true;
    if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) != 1) return std::nullopt;
    if (text.contains('.')) {
        reason = "IPv4-mapped IPv6 address is not allowed";
        return std::nullopt;
    }
    return address;
}

std::optional<Value> parse_cidr(std::string_view text, const char*& reason) {
    reason = "network address parse error during conversion from string";
    const auto slash = text.find('/');
    if (slash == text.npos) return std::nullopt;
    const auto address = parse_ip(text.substr(0, slash), reason);
    if (!address) return std::nullopt;
    const std::string_view digits = text.substr(slash + 1);
    unsigned prefix = 0;
    const auto got = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    const bool padded = digits.size() > 1 && digits[0] == '0';
    reason = "network address parse error during conversion from string";
    if (got.ec != std::errc{} || got.ptr != digits.data() + digits.size() || padded ||
        prefix > address->bits())
        return std::nullopt;
    return Value::own_object(new Cidr{*address, prefix});
}

Value ip(Call&, Arguments a) {
    const char* reason = "";
    const auto address = parse_ip(a[0].as_text(), reason);
    return address ? Value::own_object(new Ip{*address}) : Value::error(reason);
}
Value is_ip(Call&, Arguments a) {
    const char* reason = "";
    return Value::boolean(parse_ip(a[0].as_text(), reason).has_value());
}
Value is_canonical(Call&, Arguments a) {
    const char* reason = "";
    const auto address = parse_ip(a[0].as_text(), reason);
    return address ? Value::boolean(address->text() == a[0].as_text()) : Value::error(reason);
}
Value cidr(Call&, Arguments a) {
    const char* reason = "";
    auto made = parse_cidr(a[0].as_text(), reason);
    return made ? *std::move(made) : Value::error(reason);
}
Value is_cidr(Call&, Arguments a) {
    const char* reason = "";
    return Value::boolean(parse_cidr(a[0].as_text(), reason).has_value());
}
Value text(Call&, Arguments a) {
    return Value::own_text(a[0].as_object().text());
}
Value same(Call&, Arguments a) {
    return a[0];
}

Value family(Call&, Arguments a) {
    return Value::integer(ip_of(a[0]).six ? 6 : 4);
}
template <bool (*Test)(const Address&)>
Value is(Call&, Arguments a) {
    return Value::boolean(Test(ip_of(a[0]).unmapped()));
}
bool all_zero(const Address& address, std::size_t upto) {
    for (std::size_t i = 0; i != upto; ++i)
        if (address.bytes[i] != 0) return false;
    return true;
}
bool unspecified(const Address& a) {
    return all_zero(a, a.six ? 16 : 4);
}
bool loopback(const Address& a) {
    return a.six ? all_zero(a, 15) && a.bytes[15] == 1 : a.bytes[0] == 127;
}
bool link_local_unicast(const Address& a) {
    return a.six ? a.bytes[0] == 0xFE && (a.bytes[1] & 0xC0) == 0x80
                 : a.bytes[0] == 169 && a.bytes[1] == 254;
}
bool multicast(const Address& a) {
    return a.six ? a.bytes[0] == 0xFF : (a.bytes[0] & 0xF0) == 0xE0;
}
bool link_local_multicast(const Address& a) {
    return a.six ? a.bytes[0] == 0xFF && (a.bytes[1] & 0x0F) == 2
                 : a.bytes[0] == 224 && a.bytes[1] == 0 && a.bytes[2] == 0;
}
bool broadcast(const Address& a) {
    return !a.six && a.bytes[0] == 255 && a.bytes[1] == 255 && a.bytes[2] == 255 &&
           a.bytes[3] == 255;
}
bool global_unicast(const Address& a) {
    return !unspecified(a) && !loopback(a) && !link_local_unicast(a) && !multicast(a) &&
           !broadcast(a);
}

Value contains_ip(Call&, Arguments a) {
    return Value::boolean(cidr_of(a[0]).contains(ip_of(a[1])));
}
Value contains_ip_text(Call&, Arguments a) {
    const char* reason = "";
    const auto address = parse_ip(a[1].as_text(), reason);
    return address ? Value::boolean(cidr_of(a[0]).contains(*address)) : Value::error(reason);
}
Value contains_range(const Cidr& outer, const Cidr& inner) {
    return Value::boolean(outer.prefix <= inner.prefix && outer.contains(inner.address));
}
Value contains_cidr(Call&, Arguments a) {
    return contains_range(cidr_of(a[0]), cidr_of(a[1]));
}
Value contains_cidr_text(Call&, Arguments a) {
    const char* reason = "";
    const auto other = parse_cidr(a[1].as_text(), reason);
    return other ? contains_range(cidr_of(a[0]), cidr_of(*other)) : Value::error(reason);
}
Value cidr_ip(Call&, Arguments a) {
    return Value::own_object(new Ip{cidr_of(a[0]).address});
}
Value masked(Call&, Arguments a) {
    const Cidr& range = cidr_of(a[0]);
    return Value::own_object(new Cidr{range.address.masked(range.prefix), range.prefix});
}
Value prefix_length(Call&, Arguments a) {
    return Value::integer(cidr_of(a[0]).prefix);
}

}  // namespace

void add_network(Environment::Builder& to) {
    to.function("ip(string) -> net.IP", ip)
        .function("ip(net.IP) -> net.IP", same)
        .function("isIP(string) -> bool", is_ip)
        .function("ip.isCanonical(string) -> bool", is_canonical)
        .function("cidr(string) -> net.CIDR", cidr)
        .function("cidr(net.CIDR) -> net.CIDR", same)
        .function("isCIDR(string) -> bool", is_cidr)
        .function("string(net.IP) -> string", text)
        .function("string(net.CIDR) -> string", text)
        .function("net.IP.family() -> int", family)
        .function("net.IP.isUnspecified() -> bool", is<unspecified>)
        .function("net.IP.isLoopback() -> bool", is<loopback>)
        .function("net.IP.isGlobalUnicast() -> bool", is<global_unicast>)
        .function("net.IP.isLinkLocalMulticast() -> bool", is<link_local_multicast>)
        .function("net.IP.isLinkLocalUnicast() -> bool", is<link_local_unicast>)
        .function("net.CIDR.containsIP(net.IP) -> bool", contains_ip)
        .function("net.CIDR.containsIP(string) -> bool", contains_ip_text)
        .function("net.CIDR.containsCIDR(net.CIDR) -> bool", contains_cidr)
        .function("net.CIDR.containsCIDR(string) -> bool", contains_cidr_text)
        .function("net.CIDR.ip() -> net.IP", cidr_ip)
        .function("net.CIDR.masked() -> net.CIDR", masked)
        .function("net.CIDR.prefixLength() -> int", prefix_length);
}

}  // namespace chaperone::cel

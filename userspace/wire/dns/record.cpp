// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/dns/record.h"

#include "userspace/wire/reader.h"
#include "userspace/wire/writer.h"

#include <algorithm>

namespace chaperone::wire::dns {
namespace {

constexpr std::uint16_t kMandatory = 0;
constexpr std::uint16_t kIpv4Hint = 4;
constexpr std::uint16_t kEch = 5;
constexpr std::uint16_t kIpv6Hint = 6;

// How record data with names in it is made: n a name, s a string with its length, a digit that
// many bytes. Only types whose names may be compressed, or were by somebody (RFC 3597, 4).
std::string_view layout_of(std::uint16_t type) {
    switch (type) {
    case kNs:
    case 3:  // MD
    case 4:  // MF
    case kCname:
    case 7:  // MB
    case 8:  // MG
    case 9:  // MR
    case kPtr:
    case 39: return "n";  // DNAME
    case kSoa: return "nn44444";
    case 14: return "nn";  // MINFO
    case kMx:
    case 18:                // AFSDB
    case 21:                // RT
    case 36: return "2n";   // KX
    case 17: return "nn";   // RP
    case 26: return "2nn";  // PX
    case kSrv: return "222n";
    case 35: return "22sssn";  // NAPTR
    case kA: return "4";
    case kAaaa: return "448";
    default: return {};
    }
}

struct Parameter {
    std::uint16_t key{};
    Bytes value{};
};

struct Binding {
    std::uint16_t priority{};
    Name target{};
    std::vector<Parameter> parameters{};
};

Result<Binding> read_binding(Bytes data) {
    Reader reader{data};
    Binding made{.priority = reader.big_endian<std::uint16_t>()};
    if (!reader.ok()) return fail(Errc::Truncated, "service binding");
    std::size_t at = 2;
    auto target = Name::read(data, at);
    if (!target) return fail(target.error());
    if (target->wire().size() != at - 2) return fail(Errc::Malformed, "compressed target");
    made.target = *std::move(target);
    reader = Reader{data.subspan(at)};
    while (!reader.rest().empty()) {
        const auto key = reader.big_endian<std::uint16_t>();
        const auto size = reader.big_endian<std::uint16_t>();
        const Bytes value = reader.take(size);
        if (!reader.ok()) return fail(Errc::Truncated, "parameter of a service binding");
        if (!made.parameters.empty() && made.parameters.back().key >= key)
            return fail(Errc::Malformed, "order of a service binding's parameters");
        made.parameters.push_back({key, value});
    }
    return made;
}

Buffer without_ech(Bytes mandatory) {
    Buffer left;
    for (Reader keys{mandatory}; !keys.rest().empty();) {
        const Bytes key = keys.take(2);
        if (!(key[0] == std::byte{0} && key[1] == std::byte{kEch})) append(left, key);
    }
    return left;
}

Ip mapped(Bytes v4) {
    Ip ip{};
    ip[10] = ip[11] = 0xff;
    std::ranges::transform(v4, ip.begin() + 12,
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return ip;
}

Ip plain(Bytes v6) {
    Ip ip{};
    std::ranges::transform(v6, ip.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
    return ip;
}

void add_hints(std::vector<Ip>& to, const Parameter& parameter) {
    const std::size_t size = parameter.key == kIpv4Hint ? 4 : 16;
    if (parameter.value.size() % size != 0) return;
    for (std::size_t at = 0; at != parameter.value.size(); at += size) {
        const Bytes one = parameter.value.subspan(at, size);
        to.push_back(size == 4 ? mapped(one) : plain(one));
    }
}

bool is_binding(const Record& record) {
    return record.type == kSvcb || record.type == kHttps;
}

}  // namespace

std::vector<Ip> addresses_of(const Record& record) {
    const Bytes data = record.data;
    if (record.class_ != kIn) return {};
    if (record.type == kA && data.size() == 4) return {mapped(data)};
    if (record.type == kAaaa && data.size() == 16) return {plain(data)};
    std::vector<Ip> hints;
    if (!is_binding(record)) return hints;
    const auto binding = read_binding(data);
    if (!binding) return hints;
    for (const Parameter& parameter : binding->parameters)
        if (parameter.key == kIpv4Hint || parameter.key == kIpv6Hint) add_hints(hints, parameter);
    return hints;
}

std::optional<Name> target_of(const Record& record) {
    if (record.type != kCname) return std::nullopt;
    std::size_t at = 0;
    auto name = Name::read(record.data, at);
    if (!name || at != record.data.size()) return std::nullopt;
    return *std::move(name);
}

bool strip_ech(Record& record) {
    if (!is_binding(record)) return true;
    const auto binding = read_binding(record.data);
    if (!binding) return false;
    const bool there = std::ranges::any_of(binding->parameters,
                                           [](const Parameter& one) { return one.key == kEch; });
    if (!there) return true;
    Buffer made;
    Writer writer{made};
    writer.big_endian(binding->priority).bytes(as_bytes(binding->target.wire()));
    for (const Parameter& parameter : binding->parameters) {
        if (parameter.key == kEch) continue;
        if (parameter.key == kMandatory && parameter.value.size() % 2 != 0) return false;
        const Buffer value =
            parameter.key == kMandatory ? without_ech(parameter.value) : copy(parameter.value);
        if (parameter.key == kMandatory && value.empty()) continue;
        writer.big_endian(parameter.key).big_endian(static_cast<std::uint16_t>(value.size()));
        writer.bytes(value);
    }
    record.data = std::move(made);
    return true;
}

void strip_ech(Message& message) {
    for (auto* section : {&message.answers, &message.authorities, &message.additionals})
        std::erase_if(*section, [](Record& record) { return !strip_ech(record); });
}

Result<Buffer> read_data(Bytes message, std::size_t at, std::size_t size, std::uint16_t type) {
    const std::string_view layout = layout_of(type);
    if (layout.empty()) return copy(message.subspan(at, size));
    const std::size_t end = at + size;
    const Bytes seen = message.first(end);
    Buffer made;
    for (const char part : layout) {
        if (part == 'n') {
            auto name = Name::read(seen, at);
            if (!name) return fail(name.error());
            append(made, name->wire());
            continue;
        }
        std::size_t bytes = static_cast<std::size_t>(part - '0');
        if (part == 's') {
            if (at >= end) return fail(Errc::Truncated, "record data");
            bytes = std::size_t{1} + std::to_integer<std::size_t>(message[at]);
        }
        if (at > end || bytes > end - at) return fail(Errc::Truncated, "record data");
        append(made, message.subspan(at, bytes));
        at += bytes;
    }
    if (at != end) return fail(Errc::Malformed, "record data");
    return made;
}

}  // namespace chaperone::wire::dns

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/tls/client_hello.h"

#include "userspace/wire/reader.h"

#include <algorithm>

namespace chaperone::wire::tls {
namespace {

constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kMajorVersion = 3;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMessageHeader = 4;
constexpr std::size_t kMaxFragment = 1 << 14;
constexpr std::size_t kMaxExtensions = 256;

constexpr std::uint16_t kServerName = 0;
constexpr std::uint16_t kAlpn = 16;
constexpr std::uint16_t kSupportedVersions = 43;
constexpr std::uint16_t kEncryptedClientHello = 0xfe0d;

std::uint8_t octet(std::byte b) noexcept {
    return std::to_integer<std::uint8_t>(b);
}

std::unexpected<Error> malformed(const char* what) {
    return fail(Errc::Malformed, what);
}

// RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa.
bool is_grease(std::uint16_t value) noexcept {
    return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

// The message without its record headers: nullopt while it is not whole. Walks the headers first,
// so that a client that sends byte by byte does not make us copy it again and again.
Result<std::optional<Buffer>> reassemble(Bytes in, const Limits& limits) {
    Buffer header;
    std::size_t have = 0, wanted = kMessageHeader, records = 0, at = 0;
    bool sized = false;
    while (have < wanted || !sized) {
        if (in.size() - at < kRecordHeader) return std::optional<Buffer>{};
        const Bytes record = in.subspan(at);
        const std::size_t size = (std::size_t{octet(record[3])} << 8) | octet(record[4]);
        if (octet(record[0]) != kHandshake || octet(record[1]) != kMajorVersion)
            return malformed("TLS record");
        if (size == 0 || size > kMaxFragment) return malformed("length of a TLS record");
        if (++records > limits.records) return fail(Errc::TooLarge, "records of a ClientHello");
        const Bytes part = record.subspan(kRecordHeader);
        const Bytes fragment = part.first(std::min(size, part.size()));
        if (!sized) {
            append(header,
                   fragment.first(std::min(kMessageHeader - header.size(), fragment.size())));
            if (!header.empty() && octet(header[0]) != kClientHello)
                return malformed("not a ClientHello");
            if (header.size() == kMessageHeader) {
                wanted += (std::size_t{octet(header[1])} << 16) |
                          (std::size_t{octet(header[2])} << 8) | octet(header[3]);
                sized = true;
                if (wanted > limits.hello) return fail(Errc::TooLarge, "ClientHello");
            }
        }
        have += fragment.size();
        if (fragment.size() < size && have < wanted) return std::optional<Buffer>{};
        at += kRecordHeader + fragment.size();
    }
    Buffer message;
    message.reserve(have);
    for (Bytes rest = in.first(at); !rest.empty();) {
        const std::size_t size = (std::size_t{octet(rest[3])} << 8) | octet(rest[4]);
        rest = rest.subspan(kRecordHeader);
        const Bytes fragment = rest.first(std::min(size, rest.size()));
        append(message, fragment);
        rest = rest.subspan(fragment.size());
    }
    message.resize(wanted);  // what follows in the last record is not of this message
    return std::optional{std::move(message)};
}

// Letters, digits and what stands between them: a name with anything else is no name, and text
// that we would show to people or compare with policy.
bool is_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= 255 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == ':';
    });
}

Result<> read_server_name(Reader body, ClientHello& hello) {
    const auto size = body.big_endian<std::uint16_t>();
    Reader list{body.take(size)};
    if (!body.complete() || size == 0) return malformed("server_name");
    while (!list.rest().empty()) {
        const auto type = list.big_endian<std::uint8_t>();
        const auto name = as_text(list.take(list.big_endian<std::uint16_t>()));
        if (!list.ok()) return malformed("server_name");
        if (type != 0) continue;
        // RFC 6066: not more than one name of a type.
        if (!hello.server_name.empty() || !is_name(name)) return malformed("server_name");
        hello.server_name = name;
    }
    return {};
}

Result<> read_alpn(Reader body, ClientHello& hello) {
    const auto size = body.big_endian<std::uint16_t>();
    Reader list{body.take(size)};
    if (!body.complete() || size == 0) return malformed("ALPN");
    while (!list.rest().empty()) {
        const Bytes name = list.take(list.big_endian<std::uint8_t>());
        if (!list.ok() || name.empty()) return malformed("ALPN");
        const bool grease = name.size() == 2 && name[0] == name[1] && (octet(name[0]) & 15) == 10;
        if (!grease) hello.alpn.emplace_back(as_text(name));
    }
    return {};
}

Result<> read_versions(Reader body, ClientHello& hello) {
    Reader list{body.take(body.big_endian<std::uint8_t>())};
    if (!body.complete() || list.rest().empty()) return malformed("supported_versions");
    hello.versions.clear();
    while (!list.rest().empty()) {
        const auto version = list.big_endian<std::uint16_t>();
        if (!list.ok()) return malformed("supported_versions");
        if (!is_grease(version)) hello.versions.push_back(version);
    }
    return {};
}

Result<> read_extensions(Reader all, ClientHello& hello) {
    std::vector<std::uint16_t> seen;
    while (!all.rest().empty()) {
        const auto type = all.big_endian<std::uint16_t>();
        const Reader body{all.take(all.big_endian<std::uint16_t>())};
        if (!all.ok()) return malformed("extension");
        if (std::ranges::find(seen, type) != seen.end())
            return malformed("extension that is there twice");
        seen.push_back(type);
        if (seen.size() > kMaxExtensions) return fail(Errc::TooLarge, "extensions");
        Result<> read{};
        if (type == kServerName) read = read_server_name(body, hello);
        if (type == kAlpn) read = read_alpn(body, hello);
        if (type == kSupportedVersions) read = read_versions(body, hello);
        if (type == kEncryptedClientHello) hello.ech = true;
        if (!read) return read;
    }
    return {};
}

Result<ClientHello> decode(Bytes message) {
    Reader reader{message.subspan(kMessageHeader)};
    ClientHello hello;
    hello.versions = {reader.big_endian<std::uint16_t>()};
    reader.take(32);  // random
    const Bytes session = reader.take(reader.big_endian<std::uint8_t>());
    const Bytes suites = reader.take(reader.big_endian<std::uint16_t>());
    const Bytes compression = reader.take(reader.big_endian<std::uint8_t>());
    if (!reader.ok() || session.size() > 32 || suites.empty() || suites.size() % 2 != 0 ||
        compression.empty())
        return malformed("ClientHello");
    if (reader.rest().empty()) return hello;
    const Reader extensions{reader.take(reader.big_endian<std::uint16_t>())};
    if (!reader.complete()) return malformed("extensions");
    if (auto read = read_extensions(extensions, hello); !read) return fail(read.error());
    return hello;
}

}  // namespace

bool ClientHello::offers(std::uint16_t version) const noexcept {
    return std::ranges::find(versions, version) != versions.end();
}

bool may_be_tls(Bytes in) noexcept {
    return (in.empty() || octet(in[0]) == kHandshake) &&
           (in.size() < 2 || octet(in[1]) == kMajorVersion);
}

Result<std::optional<ClientHello>> decode_client_hello(Bytes in, const Limits& limits) {
    auto message = reassemble(in, limits);
    if (!message) return fail(message.error());
    const std::optional<Buffer>& whole = *message;
    if (!whole) return std::optional<ClientHello>{};
    auto hello = decode(*whole);
    if (!hello) return fail(hello.error());
    return std::optional{std::move(*hello)};
}

}  // namespace chaperone::wire::tls

// SPDX-License-Identifier: Apache-2.0
// The untagged packets that open a connection.
#include "userspace/wire/pg/decoder.h"
#include "userspace/wire/reader.h"

#include <string>

namespace chaperone::wire::pg {
namespace {

// The high half 1234 cannot be a protocol version; the low half says what is asked.
constexpr std::uint32_t kCancelRequest = 1234u << 16 | 5678;
constexpr std::uint32_t kSslRequest = 1234u << 16 | 5679;
constexpr std::uint32_t kGssEncRequest = 1234u << 16 | 5680;

Result<StartupPacket> decode_cancel(Reader& reader) {
    CancelRequest cancel{};
    cancel.pid = reader.big_endian<std::uint32_t>();
    cancel.secret = reader.rest();
    if (!reader.ok() || cancel.secret.empty() || cancel.secret.size() > 256)
        return fail(Errc::Malformed, "CancelRequest");
    return StartupPacket{cancel};
}

Result<StartupPacket> decode_parameters(Reader& reader, std::uint32_t version) {
    StartupMessage message{};
    message.major = static_cast<std::uint16_t>(version >> 16);
    message.minor = static_cast<std::uint16_t>(version);
    // What follows an unknown major version cannot be read; it is refused by its number.
    if (message.major != 3) return StartupPacket{std::move(message)};
    for (;;) {
        const auto name = reader.c_string();
        if (!reader.ok()) return fail(Errc::Malformed, "StartupMessage");
        if (name.empty()) break;
        const auto value = reader.c_string();
        // The first of two would count here and the last on the server: neither is passed on.
        if (message.find(name))
            return fail(Errc::Malformed, "StartupMessage names a setting twice");
        message.parameters.emplace_back(name, value);
    }
    if (!reader.complete()) return fail(Errc::Malformed, "StartupMessage");
    return StartupPacket{std::move(message)};
}

Result<StartupPacket> decode_packet(Bytes body) {
    Reader reader{body};
    const auto code = reader.big_endian<std::uint32_t>();
    switch (code) {
    case kCancelRequest: return decode_cancel(reader);
    case kSslRequest:
        if (!reader.complete()) return fail(Errc::Malformed, "SSLRequest");
        return StartupPacket{SslRequest{}};
    case kGssEncRequest:
        if (!reader.complete()) return fail(Errc::Malformed, "GSSENCRequest");
        return StartupPacket{GssEncRequest{}};
    default: return decode_parameters(reader, code);
    }
}

}  // namespace

std::optional<std::string_view> StartupMessage::find(std::string_view name) const noexcept {
    for (const auto& [key, value] : parameters)
        if (key == name) return value;
    return std::nullopt;
}

Result<std::optional<StartupFrame>> decode_startup(Bytes in, const Limits& limits) {
    if (in.size() < sizeof(std::uint32_t)) return std::nullopt;
    Reader reader{in};
    const std::size_t length = reader.big_endian<std::uint32_t>();
    if (length < 2 * sizeof(std::uint32_t))
        return fail(Errc::Malformed, "startup packet shorter than its code");
    if (length > limits.startup)
        return fail(Errc::TooLarge, "a startup packet of " + std::to_string(length) + " bytes");
    if (in.size() < length) return std::nullopt;
    auto packet = decode_packet(in.first(length).subspan(sizeof(std::uint32_t)));
    if (!packet) return fail(std::move(packet.error()));
    return StartupFrame{*std::move(packet), length};
}

}  // namespace chaperone::wire::pg

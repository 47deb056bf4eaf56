// SPDX-License-Identifier: Apache-2.0
// PostgreSQL messages, protocol 3.0 and 3.2, as far as they are opened.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
// All views point into the bytes given to the decoder.
#pragma once

#include "userspace/base/bytes.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace chaperone::wire::pg {

struct Limits {
    // The server's own limit (MAX_STARTUP_PACKET_LENGTH).
    std::size_t startup = 10'000;
    // PQ_LARGE_MESSAGE_LIMIT of the server: nothing longer is sent or taken by it.
    std::size_t message = std::size_t{1024} * 1024 * 1024 - 1;
};

constexpr std::size_t kHeaderSize = 5;  // tag, and a length that counts itself

struct Header {
    char tag{};
    std::size_t size{};  // of the whole message, tag and length included
};

// --- before the session ---------------------------------------------------------------------

struct SslRequest {};
struct GssEncRequest {};
struct CancelRequest {
    std::uint32_t pid{};
    Bytes secret{};  // 4 bytes in protocol 3.0, up to 256 in 3.2
};
struct StartupMessage {
    std::uint16_t major{};
    std::uint16_t minor{};
    std::vector<std::pair<std::string_view, std::string_view>> parameters{};

    std::optional<std::string_view> find(std::string_view name) const noexcept;
};
using StartupPacket = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

struct StartupFrame {
    StartupPacket packet{};
    std::size_t size{};
};

// --- from the client ------------------------------------------------------------------------

struct Query {
    std::string_view sql{};
};
struct Parse {
    std::string_view statement{};  // empty: the unnamed statement
    std::string_view sql{};
    std::vector<std::uint32_t> types{};  // OIDs; 0: left to the server
};
struct Bind {
    std::string_view portal{};
    std::string_view statement{};
    std::vector<std::uint16_t> formats{};  // none: all text; one: for all; else one a value
    std::vector<std::optional<Bytes>> values{};
    std::vector<std::uint16_t> result_formats{};

    // 0 text, 1 binary.
    std::uint16_t format(std::size_t value) const noexcept {
        if (formats.empty()) return 0;
        return formats.size() == 1 ? formats[0] : formats[value];
    }
};
// Describe and Close.
struct Target {
    char kind{};  // 'S' statement, 'P' portal
    std::string_view name{};
};
struct Execute {
    std::string_view portal{};
    std::uint32_t max_rows{};  // 0: all
};
struct FunctionCall {
    std::uint32_t function{};  // OID
    // Formats and values of the arguments, and the format of the result, as in Bind.
    Bind arguments{};
};
struct SaslInitial {
    std::string_view mechanism{};
    std::optional<Bytes> response{};
};

// --- from the server ------------------------------------------------------------------------

// https://www.postgresql.org/docs/current/protocol-message-formats.html, Authentication…
enum class Auth : std::uint32_t {
    Ok = 0,
    KerberosV5 = 2,
    CleartextPassword = 3,
    Md5Password = 5,
    Gss = 7,
    GssContinue = 8,
    Sspi = 9,
    Sasl = 10,
    SaslContinue = 11,
    SaslFinal = 12,
};  // numbers of the protocol
struct Authentication {
    Auth kind{};
    Bytes data{};  // salt, mechanisms, SASL data
};
struct ParameterStatus {
    std::string_view name{};
    std::string_view value{};
};
struct Notification {
    std::uint32_t pid{};  // of the session that notified
    std::string_view channel{};
    std::string_view payload{};
};
struct BackendKey {
    std::uint32_t pid{};
    Bytes secret{};
};
// ErrorResponse and NoticeResponse: fields in their order, by letter.
struct Diagnostic {
    std::vector<std::pair<char, std::string_view>> fields{};

    std::string_view field(char letter) const noexcept;  // empty: not there
};
struct Field {
    std::string_view name{};
    std::uint32_t table{};   // OID; 0: not a stored column
    std::uint16_t column{};  // attnum
    std::uint32_t type{};    // OID
    std::uint16_t size{};
    std::uint32_t modifier{};
    std::uint16_t format{};  // 0 text, 1 binary
};
using RowDescription = std::vector<Field>;
using Row = std::vector<std::optional<Bytes>>;  // nullopt: SQL NULL
struct CopyResponse {
    bool binary{};
    std::vector<std::uint16_t> formats{};
};

}  // namespace chaperone::wire::pg

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/pg/decoder.h"

#include "userspace/wire/reader.h"

#include <algorithm>
#include <string>

namespace chaperone::wire::pg {
namespace {

// Counts are 16 bits on the wire, so no list is longer than 65,535; each is also bounded by the
// bytes that are there, because reading stops at the first that is missing.
template <class Int>
void read_list(Reader& body, std::vector<Int>& into) {
    into.clear();
    const auto count = body.big_endian<std::uint16_t>();
    for (int i = 0; i < count && body.ok(); ++i) into.push_back(body.big_endian<Int>());
}

std::optional<Bytes> read_value(Reader& body) {
    const auto length = body.big_endian<std::uint32_t>();
    if (length == 0xffffffff) return std::nullopt;
    return body.take(length);
}

void read_values(Reader& body, Row& into) {
    into.clear();
    const auto count = body.big_endian<std::uint16_t>();
    for (int i = 0; i < count && body.ok(); ++i) into.push_back(read_value(body));
}

bool formats_fit(std::size_t formats, std::size_t values) {
    return formats <= 1 || formats == values;
}

}  // namespace

std::string_view Diagnostic::field(char letter) const noexcept {
    for (const auto& [name, text] : fields)
        if (name == letter) return text;
    return {};
}

Result<std::optional<Header>> peek(Bytes in, const Limits& limits) {
    if (in.size() < kHeaderSize) return std::nullopt;
    Reader reader{in};
    const auto tag = std::to_integer<char>(reader.take(1).front());
    const std::size_t length = reader.big_endian<std::uint32_t>();
    if (length < sizeof(std::uint32_t)) return fail(Errc::Malformed, "length below four");
    if (length > limits.message)
        return fail(Errc::TooLarge, "a message of " + std::to_string(length) + " bytes");
    return Header{tag, length + 1};
}

Result<Query> decode_query(Bytes body) {
    Reader reader{body};
    const Query query{.sql = reader.c_string()};
    if (!reader.complete()) return fail(Errc::Malformed, "Query");
    return query;
}

Result<> decode_parse(Bytes body, Parse& into) {
    Reader reader{body};
    into.statement = reader.c_string();
    into.sql = reader.c_string();
    read_list(reader, into.types);
    if (!reader.complete()) return fail(Errc::Malformed, "Parse");
    return {};
}

Result<> decode_bind(Bytes body, Bind& into) {
    Reader reader{body};
    into.portal = reader.c_string();
    into.statement = reader.c_string();
    read_list(reader, into.formats);
    read_values(reader, into.values);
    read_list(reader, into.result_formats);
    if (!reader.complete() || !formats_fit(into.formats.size(), into.values.size()))
        return fail(Errc::Malformed, "Bind");
    return {};
}

Result<Target> decode_target(Bytes body) {
    Reader reader{body};
    Target target{};
    for (const std::byte b : reader.take(1)) target.kind = std::to_integer<char>(b);
    target.name = reader.c_string();
    if (!reader.complete() || (target.kind != 'S' && target.kind != 'P'))
        return fail(Errc::Malformed, "Describe or Close");
    return target;
}

Result<Execute> decode_execute(Bytes body) {
    Reader reader{body};
    Execute execute{};
    execute.portal = reader.c_string();
    execute.max_rows = reader.big_endian<std::uint32_t>();
    if (!reader.complete()) return fail(Errc::Malformed, "Execute");
    return execute;
}

Result<> decode_function_call(Bytes body, FunctionCall& into) {
    Reader reader{body};
    into.function = reader.big_endian<std::uint32_t>();
    read_list(reader, into.arguments.formats);
    read_values(reader, into.arguments.values);
    into.arguments.result_formats = {reader.big_endian<std::uint16_t>()};
    if (!reader.complete() ||
        !formats_fit(into.arguments.formats.size(), into.arguments.values.size()))
        return fail(Errc::Malformed, "FunctionCall");
    return {};
}

Result<SaslInitial> decode_sasl_initial(Bytes body) {
    Reader reader{body};
    SaslInitial initial{};
    initial.mechanism = reader.c_string();
    initial.response = read_value(reader);
    if (!reader.complete()) return fail(Errc::Malformed, "SASLInitialResponse");
    return initial;
}

Result<Authentication> decode_authentication(Bytes body) {
    Reader reader{body};
    const auto kind = static_cast<Auth>(reader.big_endian<std::uint32_t>());
    if (!reader.ok()) return fail(Errc::Malformed, "Authentication");
    return Authentication{kind, reader.rest()};
}

Result<ParameterStatus> decode_parameter_status(Bytes body) {
    Reader reader{body};
    ParameterStatus status{};
    status.name = reader.c_string();
    status.value = reader.c_string();
    if (!reader.complete()) return fail(Errc::Malformed, "ParameterStatus");
    return status;
}

Result<Notification> decode_notification(Bytes body) {
    Reader reader{body};
    Notification notification{};
    notification.pid = reader.big_endian<std::uint32_t>();
    notification.channel = reader.c_string();
    notification.payload = reader.c_string();
    if (!reader.complete()) return fail(Errc::Malformed, "NotificationResponse");
    return notification;
}

Result<BackendKey> decode_backend_key(Bytes body) {
    Reader reader{body};
    const auto pid = reader.big_endian<std::uint32_t>();
    const Bytes secret = reader.rest();
    if (!reader.ok() || secret.empty() || secret.size() > 256)
        return fail(Errc::Malformed, "BackendKeyData");
    return BackendKey{pid, secret};
}

Result<Diagnostic> decode_diagnostic(Bytes body) {
    Reader reader{body};
    Diagnostic diagnostic;
    for (;;) {
        const Bytes letter = reader.take(1);
        if (letter.empty()) return fail(Errc::Malformed, "ErrorResponse or NoticeResponse");
        if (letter.front() == std::byte{}) break;
        const auto text = reader.c_string();
        diagnostic.fields.emplace_back(std::to_integer<char>(letter.front()), text);
    }
    if (!reader.complete()) return fail(Errc::Malformed, "ErrorResponse or NoticeResponse");
    return diagnostic;
}

Result<> decode_row_description(Bytes body, RowDescription& into) {
    Reader reader{body};
    into.clear();
    const auto count = reader.big_endian<std::uint16_t>();
    for (int i = 0; i < count && reader.ok(); ++i) {
        Field field{};
        field.name = reader.c_string();
        field.table = reader.big_endian<std::uint32_t>();
        field.column = reader.big_endian<std::uint16_t>();
        field.type = reader.big_endian<std::uint32_t>();
        field.size = reader.big_endian<std::uint16_t>();
        field.modifier = reader.big_endian<std::uint32_t>();
        field.format = reader.big_endian<std::uint16_t>();
        into.push_back(field);
    }
    if (!reader.complete()) return fail(Errc::Malformed, "RowDescription");
    return {};
}

Result<> decode_row(Bytes body, Row& into) {
    Reader reader{body};
    read_values(reader, into);
    if (!reader.complete()) return fail(Errc::Malformed, "DataRow");
    return {};
}

Result<CopyResponse> decode_copy_response(Bytes body) {
    Reader reader{body};
    CopyResponse response{};
    const Bytes format = reader.take(1);
    read_list(reader, response.formats);
    if (!reader.complete() || std::to_integer<unsigned>(format.front()) > 1)
        return fail(Errc::Malformed, "CopyResponse");
    response.binary = format.front() == std::byte{1};
    return response;
}

Result<std::string_view> decode_command_complete(Bytes body) {
    Reader reader{body};
    const auto tag = reader.c_string();
    if (!reader.complete()) return fail(Errc::Malformed, "CommandComplete");
    return tag;
}

Result<char> decode_ready(Bytes body) {
    if (body.size() != 1) return fail(Errc::Malformed, "ReadyForQuery");
    const char status = std::to_integer<char>(body.front());
    if (status != 'I' && status != 'T' && status != 'E')
        return fail(Errc::Malformed, "ReadyForQuery");
    return status;
}

Result<std::vector<std::uint32_t>> decode_parameter_description(Bytes body) {
    Reader reader{body};
    std::vector<std::uint32_t> types;
    read_list(reader, types);
    if (!reader.complete()) return fail(Errc::Malformed, "ParameterDescription");
    return types;
}

Result<std::vector<std::string_view>> decode_sasl_mechanisms(Bytes data) {
    Reader reader{data};
    std::vector<std::string_view> names;
    for (;;) {
        const auto name = reader.c_string();
        if (!reader.ok()) return fail(Errc::Malformed, "AuthenticationSASL");
        if (name.empty()) break;
        names.push_back(name);
    }
    if (!reader.complete()) return fail(Errc::Malformed, "AuthenticationSASL");
    return names;
}

}  // namespace chaperone::wire::pg

// SPDX-License-Identifier: Apache-2.0
// PostgreSQL messages as texts, for scripts and tables.
#pragma once

#include "userspace/wire/pg/encoder.h"

#include <string>
#include <string_view>

namespace chaperone::session::test {

using namespace std::string_literals;
using namespace std::string_view_literals;

inline std::string msg(char tag, std::string_view body = {}) {
    Buffer out;
    wire::pg::encode_message(out, tag, as_bytes(body));
    return std::string{as_text(out)};
}
inline std::string be16(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string be32(std::uint32_t value) {
    return be16(value >> 16) + be16(value & 0xffff);
}
inline std::string query(std::string_view sql) {
    return msg('Q', std::string{sql} + '\0');
}
inline std::string parse(std::string_view name, std::string_view sql) {
    return msg('P', std::string{name} + '\0' + std::string{sql} + '\0' + be16(0));
}
// One text value, or none.
inline std::string bind_to(std::string_view portal, std::string_view statement,
                           std::string_view value = {}, unsigned result_format = 0) {
    std::string body = std::string{portal} + '\0' + std::string{statement} + '\0' + be16(0);
    body += value.empty()
                ? be16(0)
                : be16(1) + be32(static_cast<std::uint32_t>(value.size())) + std::string{value};
    return msg('B', body + be16(1) + be16(result_format));
}
inline std::string describe(char kind, std::string_view name) {
    return msg('D', kind + std::string{name} + '\0');
}
inline std::string execute(std::string_view portal, std::uint32_t rows = 0) {
    return msg('E', std::string{portal} + '\0' + be32(rows));
}
inline std::string close_of(char kind, std::string_view name) {
    return msg('C', kind + std::string{name} + '\0');
}
inline const std::string kSync = msg('S');
inline const std::string kFlush = msg('H');

inline std::string ready(char status = 'I') {
    return msg('Z', std::string(1, status));
}
inline std::string complete(std::string_view tag) {
    return msg('C', std::string{tag} + '\0');
}
inline std::string error(std::string_view code, std::string_view message = "no",
                         std::string_view severity = "ERROR") {
    return msg('E', "S"s + std::string{severity} + '\0' + "V" + std::string{severity} + '\0' + "C" +
                        std::string{code} + '\0' + "M" + std::string{message} + '\0' + '\0');
}
struct Col {
    std::string name{};
    std::uint32_t type = 25;
    unsigned format = 0;
    std::uint32_t table = 0;
    unsigned column = 0;
};
inline std::string row_description(std::initializer_list<Col> columns) {
    std::string body = be16(static_cast<unsigned>(columns.size()));
    for (const Col& c : columns)
        body += c.name + '\0' + be32(c.table) + be16(c.column) + be32(c.type) + be16(0xffff) +
                be32(0xffffffff) + be16(c.format);
    return msg('T', body);
}
inline std::string row(std::initializer_list<std::optional<std::string>> values) {
    std::string body = be16(static_cast<unsigned>(values.size()));
    for (const auto& v : values)
        body += v ? be32(static_cast<std::uint32_t>(v->size())) + *v : be32(0xffffffff);
    return msg('D', body);
}
inline std::string startup(std::initializer_list<std::string_view> words, unsigned minor = 0) {
    std::string body = be32(3u << 16 | minor);
    for (const auto word : words) body += std::string{word} + '\0';
    body += '\0';
    return be32(static_cast<std::uint32_t>(body.size() + 4)) + body;
}
inline std::string ssl_request() {
    return be32(8) + be32(1234u << 16 | 5679);
}
// The value of one field of the last error in `bytes`, e.g. 'C'.
inline std::string field_of(std::string_view bytes, char letter) {
    const auto at = bytes.rfind(std::string{'\0', letter});
    if (at == std::string_view::npos) return {};
    const auto rest = bytes.substr(at + 2);
    return std::string{rest.substr(0, rest.find('\0'))};
}

}  // namespace chaperone::session::test

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/pg/encoder.h"

#include "userspace/wire/writer.h"

namespace chaperone::wire::pg {
namespace {

// Writes a message: the tag now, the length when it goes out of scope.
class Message {
public:
    Message(Buffer& out, char tag) : writer_(out) {
        writer_.byte(tag);
        length_ = writer_.length();
    }
    Message(const Message&) = delete;
    ~Message() { writer_.patch(length_); }

    Writer* operator->() { return &writer_; }

private:
    Writer writer_;
    std::size_t length_{};
};

template <class Int>
void write_list(Writer& writer, std::span<const Int> list) {
    writer.big_endian(static_cast<std::uint16_t>(list.size()));
    for (const Int item : list) writer.big_endian(item);
}

}  // namespace

void encode_message(Buffer& out, char tag, Bytes body) {
    Message message{out, tag};
    message->bytes(body);
}

void encode_ssl_request(Buffer& out) {
    Writer{out}.big_endian(std::uint32_t{8}).big_endian(std::uint32_t{1234u << 16 | 5679});
}

void encode_cancel_request(Buffer& out, std::uint32_t pid, Bytes secret) {
    Writer writer{out};
    const auto at = writer.length();
    writer.big_endian(std::uint32_t{1234u << 16 | 5678}).big_endian(pid).bytes(secret);
    writer.patch(at);
}

void encode_startup(Buffer& out, const Parameters& parameters) {
    Writer writer{out};
    const auto at = writer.length();
    writer.big_endian(std::uint32_t{3u << 16});
    for (const auto& [name, value] : parameters) writer.c_string(name).c_string(value);
    writer.byte('\0');
    writer.patch(at);
}

void encode_query(Buffer& out, std::string_view sql) {
    Message message{out, 'Q'};
    message->c_string(sql);
}

void encode_parse(Buffer& out, std::string_view statement, std::string_view sql,
                  std::span<const std::uint32_t> types) {
    Message message{out, 'P'};
    message->c_string(statement).c_string(sql);
    write_list(*message.operator->(), types);
}

void encode_describe(Buffer& out, char kind, std::string_view name) {
    Message message{out, 'D'};
    message->byte(kind).c_string(name);
}

void encode_password(Buffer& out, std::string_view password) {
    Message message{out, 'p'};
    message->c_string(password);
}

void encode_sasl_initial(Buffer& out, std::string_view mechanism, std::string_view response) {
    Message message{out, 'p'};
    message->c_string(mechanism).big_endian(static_cast<std::uint32_t>(response.size()));
    message->bytes(as_bytes(response));
}

void encode_sasl_response(Buffer& out, std::string_view response) {
    encode_message(out, 'p', as_bytes(response));
}

void encode_terminate(Buffer& out) {
    encode_message(out, 'X', {});
}

void encode_sync(Buffer& out) {
    encode_message(out, 'S', {});
}

void encode_authentication(Buffer& out, Auth kind, Bytes data) {
    Message message{out, 'R'};
    message->big_endian(static_cast<std::uint32_t>(kind)).bytes(data);
}

void encode_negotiate(Buffer& out, std::uint32_t minor, std::span<const std::string_view> unknown) {
    Message message{out, 'v'};
    message->big_endian(minor).big_endian(static_cast<std::uint32_t>(unknown.size()));
    for (const auto name : unknown) message->c_string(name);
}

void encode_parameter_status(Buffer& out, std::string_view name, std::string_view value) {
    Message message{out, 'S'};
    message->c_string(name).c_string(value);
}

void encode_notification(Buffer& out, const Notification& notification) {
    Message message{out, 'A'};
    message->big_endian(notification.pid)
        .c_string(notification.channel)
        .c_string(notification.payload);
}

void encode_backend_key(Buffer& out, std::uint32_t pid, Bytes secret) {
    Message message{out, 'K'};
    message->big_endian(pid).bytes(secret);
}

void encode_ready(Buffer& out, char status) {
    Message message{out, 'Z'};
    message->byte(status);
}

void encode_diagnostic(Buffer& out, char tag,
                       std::span<const std::pair<char, std::string_view>> fields) {
    Message message{out, tag};
    for (const auto& [letter, text] : fields)
        if (!text.empty()) message->byte(letter).c_string(text);
    message->byte('\0');
}

void encode_row_description(Buffer& out, const RowDescription& fields) {
    Message message{out, 'T'};
    message->big_endian(static_cast<std::uint16_t>(fields.size()));
    for (const Field& field : fields)
        message->c_string(field.name)
            .big_endian(field.table)
            .big_endian(field.column)
            .big_endian(field.type)
            .big_endian(field.size)
            .big_endian(field.modifier)
            .big_endian(field.format);
}

void encode_row(Buffer& out, const Row& row) {
    Message message{out, 'D'};
    message->big_endian(static_cast<std::uint16_t>(row.size()));
    for (const auto& value : row) {
        if (!value) {
            message->big_endian(std::uint32_t{0xffffffff});
            continue;
        }
        message->big_endian(static_cast<std::uint32_t>(value->size())).bytes(*value);
    }
}

void encode_command_complete(Buffer& out, std::string_view tag) {
    Message message{out, 'C'};
    message->c_string(tag);
}

}  // namespace chaperone::wire::pg

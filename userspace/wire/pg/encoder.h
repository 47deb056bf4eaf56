// SPDX-License-Identifier: Apache-2.0
// From messages to bytes, appended to `out`. Texts end at their first NUL.
#pragma once

#include "userspace/wire/pg/message.h"

#include <initializer_list>
#include <span>
#include <string>

namespace chaperone::wire::pg {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// Any message of which the body is at hand.
void encode_message(Buffer& out, char tag, Bytes body);

void encode_ssl_request(Buffer& out);
void encode_cancel_request(Buffer& out, std::uint32_t pid, Bytes secret);
void encode_startup(Buffer& out, const Parameters& parameters);  // protocol 3.0
void encode_query(Buffer& out, std::string_view sql);
void encode_parse(Buffer& out, std::string_view statement, std::string_view sql,
                  std::span<const std::uint32_t> types = {});
void encode_describe(Buffer& out, char kind, std::string_view name);
void encode_password(Buffer& out, std::string_view password);
void encode_sasl_initial(Buffer& out, std::string_view mechanism, std::string_view response);
void encode_sasl_response(Buffer& out, std::string_view response);
void encode_terminate(Buffer& out);
void encode_sync(Buffer& out);

void encode_authentication(Buffer& out, Auth kind, Bytes data = {});
void encode_negotiate(Buffer& out, std::uint32_t minor, std::span<const std::string_view> unknown);
void encode_parameter_status(Buffer& out, std::string_view name, std::string_view value);
void encode_notification(Buffer& out, const Notification& notification);
void encode_backend_key(Buffer& out, std::uint32_t pid, Bytes secret);
void encode_ready(Buffer& out, char status);
// tag 'E' or 'N'; fields with an empty text are left out.
void encode_diagnostic(Buffer& out, char tag,
                       std::span<const std::pair<char, std::string_view>> fields);
void encode_row_description(Buffer& out, const RowDescription& fields);
void encode_row(Buffer& out, const Row& row);
void encode_command_complete(Buffer& out, std::string_view tag);

}  // namespace chaperone::wire::pg

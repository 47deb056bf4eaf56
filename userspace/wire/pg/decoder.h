// SPDX-License-Identifier: Apache-2.0
// From bytes to messages. Pure: no state is kept between calls, and input may be cut anywhere.
// Bodies must be consumed whole; a byte too many is Malformed. Decoders that take `into` reuse its
// vectors, so that a repeated message allocates nothing; on an error it holds no meaning.
#pragma once

#include "userspace/base/error.h"
#include "userspace/wire/pg/message.h"

namespace chaperone::wire::pg {

// The header at the front of `in`: nullopt while it is not whole. TooLarge beyond limits.message,
// Malformed for a length below four.
Result<std::optional<Header>> peek(Bytes in, const Limits& limits = {});

// The untagged packet that opens a connection; nullopt while it is not whole.
Result<std::optional<StartupFrame>> decode_startup(Bytes in, const Limits& limits = {});

// From here on: `body` is a whole message without its header.
Result<Query> decode_query(Bytes body);
Result<> decode_parse(Bytes body, Parse& into);
Result<> decode_bind(Bytes body, Bind& into);
Result<Target> decode_target(Bytes body);
Result<Execute> decode_execute(Bytes body);
Result<> decode_function_call(Bytes body, FunctionCall& into);
Result<SaslInitial> decode_sasl_initial(Bytes body);

Result<Authentication> decode_authentication(Bytes body);
Result<ParameterStatus> decode_parameter_status(Bytes body);
Result<Notification> decode_notification(Bytes body);
Result<BackendKey> decode_backend_key(Bytes body);
Result<Diagnostic> decode_diagnostic(Bytes body);
Result<> decode_row_description(Bytes body, RowDescription& into);
Result<> decode_row(Bytes body, Row& into);
Result<CopyResponse> decode_copy_response(Bytes body);
Result<std::string_view> decode_command_complete(Bytes body);
Result<char> decode_ready(Bytes body);  // 'I' idle, 'T' in a transaction, 'E' in a failed one
Result<std::vector<std::uint32_t>> decode_parameter_description(Bytes body);
// The names in an AuthenticationSASL.
Result<std::vector<std::string_view>> decode_sasl_mechanisms(Bytes data);

}  // namespace chaperone::wire::pg

// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Every decoder of PostgreSQL messages over any bytes.
#include "userspace/wire/pg/decoder.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::wire::pg;
    const Bytes input = std::as_bytes(std::span{data, size});
    (void)decode_startup(input);
    (void)peek(input);
    Parse parse;
    Bind bind;
    Row row;
    RowDescription columns;
    (void)decode_query(input);
    (void)decode_parse(input, parse);
    if (decode_bind(input, bind))
        for (std::size_t i = 0; i != bind.values.size(); ++i) (void)bind.format(i);
    (void)decode_target(input);
    (void)decode_execute(input);
    FunctionCall call;
    (void)decode_function_call(input, call);
    (void)decode_sasl_initial(input);
    if (const auto message = decode_authentication(input))
        (void)decode_sasl_mechanisms(message->data);
    (void)decode_parameter_status(input);
    (void)decode_backend_key(input);
    (void)decode_diagnostic(input);
    (void)decode_row_description(input, columns);
    (void)decode_row(input, row);
    (void)decode_copy_response(input);
    (void)decode_parameter_description(input);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Lines of COPY: what is read and written again reads the same, however it is quoted.
#include "userspace/wire/pg/copy_rows.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::wire::pg;
    if (size == 0) return 0;
    CopyStyle style;
    if (data[0] & 1) style = {.csv = true, .delimiter = ',', .null_text = ""};
    if (data[0] & 2) style.escape = '\\';
    const Bytes input = std::as_bytes(std::span{data, size}).subspan(1);
    Row row;
    (void)binary_header(input);
    (void)binary_row(input, row);
    LineScan scan;
    const auto end = find_line(input, style, scan);
    if (!end) return 0;
    CopyValues values, again;
    if (!decode_line(as_text(input.first(*end - 1)), style, values)) return 0;
    std::string line;
    for (std::size_t i = 0; i != values.size(); ++i) {
        if (i != 0) line += style.delimiter;
        encode_value(line, values[i], style, false);
    }
    if (!decode_line(line, style, again) || again != values) std::abort();
    return 0;
}

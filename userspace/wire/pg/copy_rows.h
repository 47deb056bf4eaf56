// SPDX-License-Identifier: Apache-2.0
// Rows of a COPY stream, in text, CSV and binary. Splitters are given all bytes not consumed yet
// and say where the first row ends; the stream may be cut anywhere. Pure.
// https://www.postgresql.org/docs/current/sql-copy.html, "File Formats".
#pragma once

#include "userspace/base/error.h"
#include "userspace/wire/pg/message.h"

#include <string>

namespace chaperone::wire::pg {

struct CopyStyle {
    bool csv = false;
    char delimiter = '\t';
    std::string null_text = "\\N";
    char quote = '"';
    char escape = '"';
};

// The bytes of the first line of `in`, its newline included; nullopt: it is not whole. In CSV a
// newline between quotes belongs to a value. `from` says up to where an earlier call looked and
// found no end (CSV: with its quotes); give 0 to begin a line.
struct LineScan {
    std::size_t at = 0;
    bool quoted = false;
};
std::optional<std::size_t> find_line(Bytes in, const CopyStyle& style, LineScan& from);

// The values of one line (without its newline), unescaped; nullopt: NULL.
using CopyValues = std::vector<std::optional<std::string>>;
// Malformed: a quote that does not end, bytes behind one.
Result<> decode_line(std::string_view line, const CopyStyle& style, CopyValues& into);
// One value as it stands in a line. `quoted`: CSV quotes it even where it need not.
void encode_value(std::string& out, const std::optional<std::string>& value, const CopyStyle& style,
                  bool quoted);

// --- binary ---

constexpr std::string_view kCopySignature{"PGCOPY\n\377\r\n\0", 11};

// The size of the header; nullopt: not whole. Malformed: another signature, or critical flags.
Result<std::optional<std::size_t>> binary_header(Bytes in);
struct BinaryRow {
    std::size_t size = 0;
    bool end = false;  // the trailer: no row follows
};
// The row at the front, its values in `into`; nullopt: not whole.
Result<std::optional<BinaryRow>> binary_row(Bytes in, Row& into);

}  // namespace chaperone::wire::pg

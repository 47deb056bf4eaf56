// SPDX-License-Identifier: Apache-2.0
// Masks the rows of a COPY … TO STDOUT while they pass. Holds no more than one row, bounded by the
// limit given. plan(), then feed() for each CopyData, then finish() at CopyDone.
#pragma once

#include "userspace/session/masking/mask_context.h"
#include "userspace/wire/pg/copy_rows.h"

namespace chaperone::session {

class CopyMasker {
public:
    // `outputs` null, or another number than `columns`: every column mask applies to every column.
    void plan(const policy::sql::CopyFormat& format, std::size_t columns,
              const std::vector<policy::sql::OutputColumn>* outputs, const MaskContext& context,
              std::size_t max_row);
    bool needed() const noexcept { return needed_; }
    // Appends CopyData messages to `out`, one for each row that is whole. An error: the stream
    // cannot be followed, and nothing of it may pass any more.
    Result<> feed(Bytes data, Buffer& out);
    // Malformed if a row is left unfinished.
    Result<> finish();

private:
    struct Column {
        std::optional<detect::With> with{};
        ValueType type{};
        bool quoted = false;  // FORCE_QUOTE
    };
    Result<> feed_text(Buffer& out);
    Result<> feed_binary(Buffer& out);
    Result<> emit_line(std::string_view line, Buffer& out);
    Result<> emit_row(Buffer& out);
    std::optional<std::string> stand_in(const Column& column, Bytes value, bool binary,
                                        bool& changed) const;

    std::vector<Column> columns_;
    wire::pg::CopyStyle style_;
    TextScan scan_;
    std::shared_ptr<const detect::Masker> masker_;
    bool iso_dates_ = true;
    bool binary_ = false;
    bool header_ = false;  // a line of names comes first
    bool begun_ = false;   // the binary header has passed
    bool ended_ = false;   // the binary trailer has passed
    bool needed_ = false;
    std::size_t max_row_ = 0;
    Buffer preface_;  // the binary header, until the first row or the trailer goes with it
    Buffer held_;
    wire::pg::LineScan line_;
    wire::pg::CopyValues values_;
    wire::pg::Row row_;
    std::string text_;
};

}  // namespace chaperone::session

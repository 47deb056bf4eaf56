// SPDX-License-Identifier: Apache-2.0
// Masks the rows of one result. plan() once for its RowDescription, then rewrite() for each
// DataRow.
#pragma once

#include "userspace/session/masking/mask_context.h"
#include "userspace/wire/pg/message.h"

namespace chaperone::session {

class RowMasker {
public:
    // `outputs`: where the columns come from; null, or another number of them: not known, so that
    // every column mask applies to every column. Table and column numbers of the description are a
    // second opinion: a column is masked if either says so.
    void plan(const wire::pg::RowDescription& columns,
              const std::vector<policy::sql::OutputColumn>* outputs, const MaskContext& context);
    // False: rows may pass as they are.
    bool needed() const noexcept { return needed_; }
    // Appends the masked DataRow to `out`. Malformed, or another number of columns than planned.
    Result<> rewrite(Bytes body, Buffer& out);

private:
    struct Column {
        std::optional<detect::With> with{};
        ValueType type{};
        bool binary = false;
        bool scanned = false;
    };
    std::optional<std::string> replacement(const Column& column, Bytes value, bool& changed) const;

    std::vector<Column> columns_;
    TextScan scan_;
    std::shared_ptr<const detect::Masker> masker_;
    bool iso_dates_ = true;
    bool needed_ = false;
    wire::pg::Row row_;
};

}  // namespace chaperone::session

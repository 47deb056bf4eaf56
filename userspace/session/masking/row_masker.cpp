// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/row_masker.h"

#include "userspace/session/pg_types.h"
#include "userspace/wire/pg/decoder.h"
#include "userspace/wire/writer.h"

namespace chaperone::session {
namespace {

using detect::With;

// `own`: it comes from a table of the session's own, which may be in no snapshot.
std::optional<With> described(const wire::pg::Field& field, bool own, const MaskContext& context) {
    // Catalogs of the system hold no data of people, and are not in the snapshot.
    if (field.table < oid::kFirstUser || context.catalog == nullptr) return std::nullopt;
    const auto column =
        context.catalog->column(field.table, static_cast<std::int16_t>(field.column));
    if (!column) return own ? std::nullopt : context.masks->unknown_column();
    return context.masks->column(column->schema, column->relation, column->column);
}

bool is_scanned(Shape shape) {
    return shape == Shape::Text || shape == Shape::Json || shape == Shape::Jsonb ||
           shape == Shape::Array || shape == Shape::Other;
}

}  // namespace

void RowMasker::plan(const wire::pg::RowDescription& columns,
                     const std::vector<policy::sql::OutputColumn>* outputs,
                     const MaskContext& context) {
    masker_ = context.masker;
    iso_dates_ = context.iso_dates;
    scan_ = TextScan{context};
    columns_.clear();
    needed_ = false;
    if (outputs != nullptr && outputs->size() != columns.size()) outputs = nullptr;
    for (std::size_t i = 0; i != columns.size(); ++i) {
        Column& column = columns_.emplace_back();
        const policy::sql::OutputColumn* output = outputs == nullptr ? nullptr : &(*outputs)[i];
        column.with = mask_of(output, context);
        const bool own = output != nullptr && output->own && !output->unknown;
        if (const auto second = described(columns[i], own, context))
            column.with = column.with ? detect::stronger(*column.with, *second) : *second;
        column.type = type_of(columns[i].type, columns[i].modifier, context.catalog);
        column.binary = columns[i].format != 0;
        // A format that we do not know leaves only NULL.
        if (columns[i].format > 1) column.with = With::Null;
        column.scanned = !scan_.empty() && is_scanned(column.type.shape);
        needed_ = needed_ || column.with || column.scanned;
    }
}

std::optional<std::string> RowMasker::replacement(const Column& column, Bytes value,
                                                  bool& changed) const {
    changed = true;
    if (column.with)
        return masked_value(value, column.type, column.binary, *column.with, *masker_, iso_dates_);
    bool null = false;
    auto found = column.scanned ? scan_.replace_value(value, column.type, column.binary, null)
                                : std::nullopt;
    changed = null || found;
    return found;
}

Result<> RowMasker::rewrite(Bytes body, Buffer& out) {
    if (const auto decoded = wire::pg::decode_row(body, row_); !decoded)
        return fail(decoded.error());
    if (row_.size() != columns_.size()) return fail(Errc::Malformed, "number of columns");
    wire::Writer writer{out};
    writer.byte('D');
    const auto length = writer.length();
    writer.big_endian(static_cast<std::uint16_t>(row_.size()));
    for (std::size_t i = 0; i != row_.size(); ++i) {
        std::optional<Bytes> value = row_[i];
        std::optional<std::string> stand_in;
        bool changed = false;
        if (value) stand_in = replacement(columns_[i], *value, changed);
        if (changed) value = stand_in ? std::optional{as_bytes(*stand_in)} : std::nullopt;
        if (value)
            writer.big_endian(static_cast<std::uint32_t>(value->size())).bytes(*value);
        else
            writer.big_endian(std::uint32_t{0xffffffff});
    }
    writer.patch(length);
    return {};
}

}  // namespace chaperone::session

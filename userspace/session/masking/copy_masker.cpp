// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/copy_masker.h"

#include "userspace/session/pg_types.h"
#include "userspace/wire/pg/encoder.h"
#include "userspace/wire/writer.h"

#include <algorithm>
#include <utility>

namespace chaperone::session {
namespace {

namespace pg = wire::pg;
using policy::sql::CopyFormat;

// COPY does not say types; a column passed on unchanged has that of its table.
ValueType type_in_copy(const policy::sql::OutputColumn* output, const MaskContext& context) {
    if (output == nullptr || !output->direct || output->sources.size() != 1) return {};
    if (context.catalog == nullptr) return {};
    const auto& source = output->sources.front();
    const auto* relation = context.catalog->relation(source.schema, source.relation);
    const auto* column = relation == nullptr ? nullptr : relation->column(source.column);
    if (column == nullptr) return {};
    return type_of(column->type, 0, context.catalog);
}

}  // namespace

void CopyMasker::plan(const CopyFormat& format, std::size_t columns,
                      const std::vector<policy::sql::OutputColumn>* outputs,
                      const MaskContext& context, std::size_t max_row) {
    *this = {};
    masker_ = context.masker;
    iso_dates_ = context.iso_dates;
    scan_ = TextScan{context};
    max_row_ = max_row;
    binary_ = format.kind == CopyFormat::Kind::Binary;
    header_ = format.header;
    style_ = {.csv = format.kind == CopyFormat::Kind::Csv,
              .delimiter = format.delimiter,
              .null_text = format.null_text,
              .quote = format.quote,
              .escape = format.escape};
    needed_ = !scan_.empty();
    if (outputs != nullptr && outputs->size() != columns) outputs = nullptr;
    const bool quote_all = std::ranges::find(format.force_quote, "*") != format.force_quote.end();
    for (std::size_t i = 0; i != columns; ++i) {
        const auto* output = outputs == nullptr ? nullptr : &(*outputs)[i];
        Column& column = columns_.emplace_back();
        column.with = mask_of(output, context);
        column.type = type_in_copy(output, context);
        column.quoted = quote_all ||
                        (output != nullptr && std::ranges::find(format.force_quote, output->name) !=
                                                  format.force_quote.end());
        needed_ = needed_ || column.with;
    }
}

std::optional<std::string> CopyMasker::stand_in(const Column& column, Bytes value, bool binary,
                                                bool& changed) const {
    changed = true;
    if (column.with)
        return masked_value(value, column.type, binary, *column.with, *masker_, iso_dates_);
    if (column.type.shape == Shape::Other && !binary) {
        auto found = scan_.replace(as_text(value), detect::Masker::kUnlimited);
        changed = found.has_value();
        return found;
    }
    bool null = false;
    auto found = scan_.replace_value(value, column.type, binary, null);
    changed = null || found;
    return found;
}

Result<> CopyMasker::feed(Bytes data, Buffer& out) {
    if (ended_ && !data.empty()) return fail(Errc::Malformed, "COPY: data behind its end");
    append(held_, data);
    const auto fed = binary_ ? feed_binary(out) : feed_text(out);
    if (!fed) return fed;
    if (held_.size() > max_row_) return fail(Errc::TooLarge, "COPY: a row");
    return {};
}

Result<> CopyMasker::finish() {
    if (!held_.empty()) return fail(Errc::Malformed, "COPY: an unfinished row");
    return {};
}

Result<> CopyMasker::feed_text(Buffer& out) {
    std::size_t done = 0;
    while (const auto size = pg::find_line(Bytes{held_}.subspan(done), style_, line_)) {
        line_ = {};
        const Bytes line = Bytes{held_}.subspan(done, *size);
        done += *size;
        if (header_) {
            header_ = false;
            pg::encode_message(out, 'd', line);
            continue;
        }
        if (const auto sent = emit_line(as_text(line.first(*size - 1)), out); !sent) return sent;
    }
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(done));
    return {};
}

Result<> CopyMasker::emit_line(std::string_view line, Buffer& out) {
    if (const auto decoded = pg::decode_line(line, style_, values_); !decoded) return decoded;
    // A table without columns has empty lines.
    if (columns_.empty() && line.empty()) values_.clear();
    if (values_.size() != columns_.size()) return fail(Errc::Malformed, "COPY: number of columns");
    text_.clear();
    for (std::size_t i = 0; i != values_.size(); ++i) {
        if (i != 0) text_ += style_.delimiter;
        bool changed = false;
        if (values_[i]) {
            auto found = stand_in(columns_[i], as_bytes(*values_[i]), false, changed);
            if (changed) values_[i] = std::move(found);
        }
        pg::encode_value(text_, values_[i], style_, columns_[i].quoted && values_[i]);
    }
    text_ += '\n';
    pg::encode_message(out, 'd', as_bytes(text_));
    return {};
}

Result<> CopyMasker::feed_binary(Buffer& out) {
    std::size_t done = 0;
    if (!begun_) {
        const auto header = pg::binary_header(held_);
        if (!header) return fail(header.error());
        if (!*header) return {};
        begun_ = true;
        // The server sends it with what follows, in one message, and drivers rely on that.
        preface_ = copy(Bytes{held_}.first(**header));
        done = **header;
    }
    while (!ended_) {
        const auto row = pg::binary_row(Bytes{held_}.subspan(done), row_);
        if (!row) return fail(row.error());
        if (!*row) break;
        ended_ = (*row)->end;
        if (ended_) {
            append(preface_, Bytes{held_}.subspan(done, (*row)->size));
            pg::encode_message(out, 'd', std::exchange(preface_, {}));
        } else if (const auto sent = emit_row(out); !sent) {
            return sent;
        }
        done += (*row)->size;
    }
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(done));
    if (ended_ && !held_.empty()) return fail(Errc::Malformed, "COPY: data behind its end");
    return {};
}

Result<> CopyMasker::emit_row(Buffer& out) {
    if (row_.size() != columns_.size()) return fail(Errc::Malformed, "COPY: number of columns");
    wire::Writer writer{out};
    writer.byte('d');
    const auto length = writer.length();
    if (!preface_.empty()) writer.bytes(std::exchange(preface_, {}));
    writer.big_endian(static_cast<std::uint16_t>(row_.size()));
    for (std::size_t i = 0; i != row_.size(); ++i) {
        std::optional<Bytes> value = row_[i];
        std::optional<std::string> found;
        bool changed = false;
        if (value) found = stand_in(columns_[i], *value, true, changed);
        if (changed) value = found ? std::optional{as_bytes(*found)} : std::nullopt;
        if (value)
            writer.big_endian(static_cast<std::uint32_t>(value->size())).bytes(*value);
        else
            writer.big_endian(std::uint32_t{0xffffffff});
    }
    writer.patch(length);
    return {};
}

}  // namespace chaperone::session

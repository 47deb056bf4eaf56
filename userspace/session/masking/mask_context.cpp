// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/mask_context.h"

#include <algorithm>
#include <span>

namespace chaperone::session {
namespace {

using detect::With;

void add(std::optional<With>& sum, std::optional<With> more) {
    if (more) sum = sum ? detect::stronger(*sum, *more) : *more;
}

// "*": any column of the relation.
std::optional<With> mask_of_relation(const policy::sql::ColumnRef& source,
                                     const MaskContext& context) {
    const policy::sql::Relation* relation =
        context.catalog == nullptr ? nullptr
                                   : context.catalog->relation(source.schema, source.relation);
    if (relation == nullptr) return context.masks->unknown_column();
    std::optional<With> sum;
    for (const auto& column : relation->columns)
        add(sum, context.masks->column(source.schema, source.relation, column.name));
    return sum;
}

// Whether each match lies within one string of a JSON text, and holds no part of an escape.
bool inside_strings(std::string_view json, std::span<const detect::Match> matches) {
    bool inside = false;
    std::size_t at = 0;
    for (const detect::Match& match : matches) {
        for (; at < match.begin; ++at) {
            if (json[at] == '"') inside = !inside;
            if (json[at] == '\\' && inside) ++at;
        }
        const auto found = json.substr(match.begin, match.end - match.begin);
        if (!inside || at != match.begin || found.find_first_of("\"\\") != std::string_view::npos)
            return false;
        at = match.end;
    }
    return true;
}

}  // namespace

std::optional<With> mask_of(const policy::sql::OutputColumn* output, const MaskContext& context) {
    if (output == nullptr || output->unknown) return context.masks->unknown_column();
    std::optional<With> sum;
    for (const auto& source : output->sources) {
        if (source.relation.empty())
            add(sum, context.masks->unknown_column());
        else if (source.column == "*")
            add(sum, mask_of_relation(source, context));
        else
            add(sum, context.masks->column(source.schema, source.relation, source.column));
    }
    return sum;
}

TextScan::TextScan(const MaskContext& context) : masker_(context.masker) {
    for (const policy::DetectMask& mask : context.masks->detectors)
        scans_.push_back({(*context.detectors)(mask), mask.with});
}

bool TextScan::contains(std::string_view text) const {
    return std::ranges::any_of(
        scans_, [&](const Scan& scan) { return !scan.detector || scan.detector->contains(text); });
}

std::optional<std::string> TextScan::replace(std::string_view text, std::size_t max_length) const {
    std::optional<std::string> out;
    for (const Scan& scan : scans_) {
        // What cannot be looked for could be anywhere.
        if (!scan.detector) {
            out = masker_->value(text, With::Redact, detect::kNoKind, max_length).value_or("");
            return out;
        }
        const std::string_view now = out ? std::string_view{*out} : text;
        scan.detector->find(now, matches_);
        if (matches_.empty()) continue;
        out = masker_->spans(now, matches_, scan.with, *scan.detector, max_length);
    }
    return out;
}

// Inside a string of JSON a stand-in may stand, if it needs no escape; a number or a name across
// several strings it may not replace: then the whole value becomes one string.
std::optional<std::string> TextScan::replace_json(std::string_view text, bool versioned) const {
    const std::string head{versioned ? text.substr(0, 1) : std::string_view{}};
    const std::string whole = head + "\"[REDACTED]\"";
    std::string body{text.substr(head.size())};
    bool changed = false;
    for (const Scan& scan : scans_) {
        if (!scan.detector) return whole;
        scan.detector->find(body, matches_);
        if (matches_.empty()) continue;
        changed = true;
        if (!inside_strings(body, matches_)) return whole;
        const auto marks = [](std::string_view json) {
            return std::ranges::count_if(json, [](char c) { return c == '"' || c == '\\'; });
        };
        const auto before = marks(body);
        body = masker_->spans(body, matches_, scan.with, *scan.detector);
        if (marks(body) != before) return whole;
    }
    if (!changed) return std::nullopt;
    return head + body;
}

std::optional<std::string> TextScan::replace_value(Bytes value, ValueType type, bool binary,
                                                   bool& null) const {
    null = false;
    if (scans_.empty()) return std::nullopt;
    const std::string_view text = as_text(value);
    switch (type.shape) {
    case Shape::Text: return replace(text, type.max_length);
    case Shape::Json: return replace_json(text, false);
    case Shape::Jsonb: return replace_json(text, binary);
    case Shape::Array:
    case Shape::Other: {
        if (!contains(text)) return std::nullopt;
        auto empty = type.shape == Shape::Array
                         ? masked_value(value, type, binary, With::Redact, *masker_, true)
                         : std::nullopt;
        null = !empty;
        return empty;
    }
    case Shape::Char:
    case Shape::Bool:
    case Shape::Int2:
    case Shape::Int4:
    case Shape::Int8:
    case Shape::Oid:
    case Shape::Float4:
    case Shape::Float8:
    case Shape::Numeric:
    case Shape::Money:
    case Shape::Date:
    case Shape::Time:
    case Shape::TimeTz:
    case Shape::Timestamp:
    case Shape::TimestampTz:
    case Shape::Interval:
    case Shape::Uuid:
    case Shape::Bytea:
    case Shape::Inet:
    case Shape::Cidr:
    case Shape::Macaddr: return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace chaperone::session

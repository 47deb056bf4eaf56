// SPDX-License-Identifier: Apache-2.0
// One masked value: what stands in for a value of a type, valid in its format. Pure.
#pragma once

#include "policy/detect/mask.h"
#include "policy/sql/catalog.h"
#include "userspace/base/bytes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::session {

// What kinds of values there are, as far as a stand-in is concerned.
enum class Shape : std::uint8_t {
    Text,
    Char,
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Money,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Bytea,
    Inet,
    Cidr,
    Macaddr,
    Array,
    Other,  // enum, composite, range, unknown: only NULL is surely one of its values
};

struct ValueType {
    Shape shape = Shape::Other;
    std::size_t max_length = detect::Masker::kUnlimited;  // of a text, in characters
};

// By OID; `modifier` is atttypmod (varchar(n): n + 4). Domains and types of extensions are looked
// up in `catalog`, which may be null.
ValueType type_of(std::uint32_t oid, std::uint32_t modifier, const policy::sql::Catalog* catalog);

// Replaces `value` (text or binary) of this type; nullopt: SQL NULL. `iso_dates` as DateStyle says:
// without it only NULL is sure to be a date in the client's format.
std::optional<std::string> masked_value(Bytes value, ValueType type, bool binary, detect::With with,
                                        const detect::Masker& masker, bool iso_dates);

}  // namespace chaperone::session

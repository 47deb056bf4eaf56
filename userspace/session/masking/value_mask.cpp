// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/value_mask.h"

#include "userspace/base/encoding.h"
#include "userspace/session/pg_parameters.h"
#include "userspace/session/pg_types.h"
#include "userspace/wire/writer.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace chaperone::session {
namespace {

using detect::With;

Shape builtin_shape(std::uint32_t type) {
    switch (type) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kRefcursor: return Shape::Text;
    case oid::kChar: return Shape::Char;
    case oid::kBool: return Shape::Bool;
    case oid::kInt2: return Shape::Int2;
    case oid::kInt4: return Shape::Int4;
    case oid::kInt8: return Shape::Int8;
    case oid::kOid:
    case oid::kXid: return Shape::Oid;
    case oid::kFloat4: return Shape::Float4;
    case oid::kFloat8: return Shape::Float8;
    case oid::kNumeric: return Shape::Numeric;
    case oid::kMoney: return Shape::Money;
    case oid::kDate: return Shape::Date;
    case oid::kTime: return Shape::Time;
    case oid::kTimetz: return Shape::TimeTz;
    case oid::kTimestamp: return Shape::Timestamp;
    case oid::kTimestamptz: return Shape::TimestampTz;
    case oid::kInterval: return Shape::Interval;
    case oid::kUuid: return Shape::Uuid;
    case oid::kJson: return Shape::Json;
    case oid::kJsonb: return Shape::Jsonb;
    case oid::kBytea: return Shape::Bytea;
    case oid::kInet: return Shape::Inet;
    case oid::kCidr: return Shape::Cidr;
    case oid::kMacaddr: return Shape::Macaddr;
    default: return Shape::Other;
    }
}

// Arrays of built-in types (pg_type.dat).
bool is_builtin_array(std::uint32_t type) {
    constexpr auto kArrays = std::to_array<std::uint32_t>(
        {143,  199,  651,  719,  791,  1000, 1001, 1002, 1003, 1005, 1007, 1008,
         1009, 1014, 1015, 1016, 1021, 1022, 1028, 1040, 1041, 1115, 1182, 1183,
         1185, 1187, 1231, 1263, 1270, 1561, 1563, 2201, 2951, 3807});
    return std::ranges::binary_search(kArrays, type);
}

template <class Int>
std::string bytes_of(Int value) {
    Buffer out;
    wire::Writer{out}.big_endian(value);
    return std::string{as_text(out)};
}

// A number that is the same for the same value, in both formats.
std::uint64_t number_of(Bytes value, std::uint32_t type, bool binary,
                        const detect::Masker& masker) {
    const std::string text = binary ? binary_as_text(type, value) : std::string{as_text(value)};
    const auto hash = masker.value(text, With::Hash).value_or("0");
    std::uint64_t number = 0;
    std::from_chars(hash.data(), hash.data() + hash.size(), number, 16);
    return number;
}

template <class Int>
std::string whole_number(Bytes value, std::uint32_t type, std::uint64_t most, bool binary,
                         With with, const detect::Masker& masker) {
    const bool telling = with == With::Hash || with == With::Pseudonym;
    const auto number =
        static_cast<Int>(telling ? number_of(value, type, binary, masker) & most : 0);
    return binary ? bytes_of(number) : std::to_string(number);
}

std::string uuid(Bytes value, bool binary, With with, const detect::Masker& masker) {
    std::string digits(32, '0');
    if (with == With::Hash || with == With::Pseudonym) {
        std::string text = binary ? binary_as_text(oid::kUuid, value) : std::string{as_text(value)};
        digits = masker.value(text, With::Hash).value_or("");
        digits += masker.value(text + "/2", With::Hash).value_or("");
        digits.resize(32, '0');
        digits[12] = '4';  // RFC 9562: version 4, variant 10
        digits[16] = "89ab"[static_cast<unsigned char>(digits[16]) & 3];
    }
    if (binary) {
        const auto raw = from_hex(digits);
        return raw ? std::string{as_text(*raw)} : std::string(16, '\0');
    }
    for (const std::size_t at : {20, 16, 12, 8}) digits.insert(at, 1, '-');
    return digits;
}

std::string json(Bytes value, bool binary, bool jsonb, With with, const detect::Masker& masker) {
    const bool versioned = binary && jsonb;
    if (versioned && !value.empty()) value = value.subspan(1);
    std::string out = versioned ? std::string(1, '\1') : std::string{};
    out += '"';
    if (with == With::Hash || with == With::Pseudonym)
        out += masker.value(as_text(value), With::Hash).value_or("");
    else
        out += "[REDACTED]";
    return out += '"';
}

// The element's type stands in the value itself: dimensions, flags, OID (array_send).
std::optional<std::string> empty_array(Bytes value, bool binary) {
    if (!binary) return "{}";
    if (value.size() < 12) return std::nullopt;
    return std::string(8, '\0') + std::string{as_text(value.subspan(8, 4))};
}

std::optional<std::string> date_or_time(Shape shape, bool binary, bool iso) {
    constexpr std::int64_t kSeconds = -946'684'800;  // from 2000 to 1970
    if (!binary && !iso) return std::nullopt;
    switch (shape) {
    case Shape::Date:
        return binary ? bytes_of(static_cast<std::uint32_t>(-10'957)) : std::string{"1970-01-01"};
    case Shape::Time: return binary ? std::string(8, '\0') : std::string{"00:00:00"};
    case Shape::TimeTz: return binary ? std::string(12, '\0') : std::string{"00:00:00+00"};
    case Shape::Timestamp:
        return binary ? bytes_of(static_cast<std::uint64_t>(kSeconds * 1'000'000))
                      : std::string{"1970-01-01 00:00:00"};
    case Shape::TimestampTz:
        return binary ? bytes_of(static_cast<std::uint64_t>(kSeconds * 1'000'000))
                      : std::string{"1970-01-01 00:00:00+00"};
    default: return std::nullopt;
    }
}

}  // namespace

ValueType type_of(std::uint32_t type, std::uint32_t modifier, const policy::sql::Catalog* catalog) {
    // Domains of domains: bounded, so that no catalog can hold us here.
    for (int i = 0; i != 16; ++i) {
        ValueType out{.shape = builtin_shape(type)};
        if (type == oid::kVarchar || type == oid::kBpchar) {
            if (modifier > 4 && modifier < 0x7fffffff) out.max_length = modifier - 4;
        }
        if (type == oid::kName) out.max_length = 63;
        if (is_builtin_array(type)) out.shape = Shape::Array;
        if (out.shape != Shape::Other || catalog == nullptr) return out;
        const policy::sql::Type* known = catalog->type(type);
        if (known == nullptr) return out;
        if (known->kind == 'd' && known->base != 0) {
            // A domain may have checks that no stand-in is sure to pass, but drivers do not check.
            type = known->base;
            continue;
        }
        if (known->category == 'A') out.shape = Shape::Array;
        if (known->category == 'S' && known->kind == 'b') out.shape = Shape::Text;
        return out;
    }
    return {};
}

std::optional<std::string> masked_value(Bytes value, ValueType type, bool binary, With with,
                                        const detect::Masker& masker, bool iso_dates) {
    if (with == With::Null) return std::nullopt;
    switch (type.shape) {
    case Shape::Text: return masker.value(as_text(value), with, detect::kNoKind, type.max_length);
    case Shape::Char: return "*";
    case Shape::Bool: return binary ? std::string(1, '\0') : std::string{"f"};
    case Shape::Int2:
        return whole_number<std::uint16_t>(value, oid::kInt2, 0x7fff, binary, with, masker);
    case Shape::Int4:
        return whole_number<std::uint32_t>(value, oid::kInt4, 0x7fffffff, binary, with, masker);
    case Shape::Int8:  // 53 bits, which JavaScript keeps
        return whole_number<std::uint64_t>(value, oid::kInt8, (1ull << 53) - 1, binary, with,
                                           masker);
    case Shape::Oid:
        return whole_number<std::uint32_t>(value, oid::kOid, 0x7fffffff, binary, with, masker);
    case Shape::Float4: return binary ? std::string(4, '\0') : std::string{"0"};
    case Shape::Float8:
    case Shape::Numeric: return binary ? std::string(8, '\0') : std::string{"0"};
    case Shape::Money: return binary ? std::string(8, '\0') : std::string{"$0.00"};
    case Shape::Date:
    case Shape::Time:
    case Shape::TimeTz:
    case Shape::Timestamp:
    case Shape::TimestampTz: return date_or_time(type.shape, binary, iso_dates);
    case Shape::Interval: return binary ? std::string(16, '\0') : std::string{"00:00:00"};
    case Shape::Uuid: return uuid(value, binary, with, masker);
    case Shape::Json: return json(value, binary, false, with, masker);
    case Shape::Jsonb: return json(value, binary, true, with, masker);
    case Shape::Bytea: return binary ? std::string{} : std::string{"\\x"};
    case Shape::Inet:
    case Shape::Cidr: {
        const bool cidr = type.shape == Shape::Cidr;
        // Family 2, 32 bits, whether it is a cidr, four bytes (network_send).
        if (binary)
            return std::string{"\2\40", 2} + (cidr ? '\1' : '\0') + "\4" + std::string(4, '\0');
        return cidr ? "0.0.0.0/32" : "0.0.0.0";
    }
    case Shape::Macaddr: return binary ? std::string(6, '\0') : std::string{"00:00:00:00:00:00"};
    case Shape::Array: return empty_array(value, binary);
    case Shape::Other: return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace chaperone::session

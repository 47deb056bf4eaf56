// SPDX-License-Identifier: Apache-2.0
// int() uint() double() string() bytes() bool() and dyn(). What does not fit is an error.
#include "policy/cel/functions/library.h"
#include "policy/cel/number.h"
#include "policy/cel/utf8.h"

#include <charconv>
#include <cmath>

namespace chaperone::cel {
namespace {

Value out_of_range() {
    return Value::error("range error: the number does not fit");
}
Value unparsable(std::string_view type) {
    return Value::own_error("conversion error: the text is no " + std::string{type});
}
Value same(Call&, Arguments a) {
    return a[0];
}

Value int_from_uint(Call&, Arguments a) {
    if (a[0].as_uint() > INT64_MAX) return out_of_range();
    return Value::integer(static_cast<std::int64_t>(a[0].as_uint()));
}
// The bounds themselves are refused: they are where doubles stop telling integers apart.
Value int_from_double(Call&, Arguments a) {
    const double value = a[0].as_double();
    if (!(value > -0x1p63 && value < 0x1p63)) return out_of_range();
    return Value::integer(static_cast<std::int64_t>(value));
}
template <class Number>
bool whole(std::string_view text, Number& number) {
    const auto got = std::from_chars(text.data(), text.data() + text.size(), number);
    return got.ec == std::errc{} && got.ptr == text.data() + text.size();
}
std::string_view without_plus(std::string_view text) {
    return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}
Value int_from_text(Call&, Arguments a) {
    std::int64_t value = 0;
    return whole(without_plus(a[0].as_text()), value) ? Value::integer(value) : unparsable("int");
}
Value int_from_time(Call&, Arguments a) {
    return Value::integer(a[0].seconds());
}

Value uint_from_int(Call&, Arguments a) {
    if (a[0].as_int() < 0) return out_of_range();
    return Value::unsigned_integer(static_cast<std::uint64_t>(a[0].as_int()));
}
Value uint_from_double(Call&, Arguments a) {
    const double value = a[0].as_double();
    if (!(value > -1 && value < 0x1p64) || value < 0) return out_of_range();
    return Value::unsigned_integer(static_cast<std::uint64_t>(value));
}
Value uint_from_text(Call&, Arguments a) {
    std::uint64_t value = 0;
    return whole(without_plus(a[0].as_text()), value) ? Value::unsigned_integer(value)
                                                      : unparsable("uint");
}

Value double_from_int(Call&, Arguments a) {
    return Value::real(static_cast<double>(a[0].as_int()));
}
Value double_from_uint(Call&, Arguments a) {
    return Value::real(static_cast<double>(a[0].as_uint()));
}
Value double_from_text(Call&, Arguments a) {
    std::string_view text = a[0].as_text();
    double value = 0;
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    std::string lower{text.substr(0, 9)};
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (text.size() <= 8 && (lower == "infinity" || lower == "inf")) {
        value = HUGE_VAL;
    } else if (lower == "nan" && text.size() == 3) {
        value = NAN;
    } else {
        if (text.empty() || text[0] == '-' || text[0] == '+') return unparsable("double");
        const auto got = read_double(text, value);
        if (got.ptr != text.data() + text.size()) return unparsable("double");
        if (got.ec == std::errc::result_out_of_range) return out_of_range();
        if (got.ec != std::errc{}) return unparsable("double");
    }
    return Value::real(negative ? -value : value);
}

Value text_from_bool(Call&, Arguments a) {
    return Value::text(a[0].as_bool() ? "true" : "false");
}
Value text_from_int(Call&, Arguments a) {
    return Value::own_text(std::to_string(a[0].as_int()));
}
Value text_from_uint(Call&, Arguments a) {
    return Value::own_text(std::to_string(a[0].as_uint()));
}
Value text_from_double(Call&, Arguments a) {
    return Value::own_text(double_text(a[0].as_double()));
}
Value text_from_bytes(Call& call, Arguments a) {
    if (!utf8::valid(a[0].as_text()))
        return Value::error("invalid UTF-8 in bytes, cannot convert to string");
    return made_text(call, a[0].as_text());
}
Value text_from_timestamp(Call&, Arguments a) {
    return Value::own_text(timestamp_text(a[0]));
}
Value text_from_duration(Call&, Arguments a) {
    return Value::own_text(duration_text(a[0]));
}

Value bytes_from_text(Call& call, Arguments a) {
    if (!call.spend(a[0].as_text().size() / 16)) return steps_used_up();
    return Value::own_bytes(a[0].as_text());
}

Value bool_from_text(Call&, Arguments a) {
    const std::string_view text = a[0].as_text();
    for (const char* yes : {"1", "t", "true", "True", "TRUE", "T"})
        if (text == yes) return Value::boolean(true);
    for (const char* no : {"0", "f", "false", "False", "FALSE", "F"})
        if (text == no) return Value::boolean(false);
    return unparsable("bool");
}

}  // namespace

std::string double_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    char buffer[32];
    // Plain digits in the range where people write them so, else with an exponent.
    const double size = std::fabs(value);
    const bool plain = size == 0 || (size >= 1e-4 && size < 1e21);
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, value,
                      plain ? std::chars_format::fixed : std::chars_format::scientific);
    return {buffer, end.ptr};
}

void add_conversions(Environment::Builder& to) {
    to.function("int(int) -> int", same)
        .function("int(uint) -> int", int_from_uint)
        .function("int(double) -> int", int_from_double)
        .function("int(string) -> int", int_from_text)
        .function("int(google.protobuf.Timestamp) -> int", int_from_time)
        .function("int(google.protobuf.Duration) -> int", int_from_time)
        .function("uint(uint) -> uint", same)
        .function("uint(int) -> uint", uint_from_int)
        .function("uint(double) -> uint", uint_from_double)
        .function("uint(string) -> uint", uint_from_text)
        .function("double(double) -> double", same)
        .function("double(int) -> double", double_from_int)
        .function("double(uint) -> double", double_from_uint)
        .function("double(string) -> double", double_from_text)
        .function("string(string) -> string", same)
        .function("string(bool) -> string", text_from_bool)
        .function("string(int) -> string", text_from_int)
        .function("string(uint) -> string", text_from_uint)
        .function("string(double) -> string", text_from_double)
        .function("string(bytes) -> string", text_from_bytes)
        .function("string(google.protobuf.Timestamp) -> string", text_from_timestamp)
        .function("string(google.protobuf.Duration) -> string", text_from_duration)
        .function("bytes(bytes) -> bytes", same)
        .function("bytes(string) -> bytes", bytes_from_text)
        .function("bool(bool) -> bool", same)
        .function("bool(string) -> bool", bool_from_text)
        .function("dyn(A) -> dyn", same);
}

}  // namespace chaperone::cel

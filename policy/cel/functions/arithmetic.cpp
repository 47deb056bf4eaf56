// SPDX-License-Identifier: Apache-2.0
// + - * / % and negation. Integers that overflow are errors, doubles follow IEEE 754.
#include "policy/cel/functions/library.h"

#include <cmath>

namespace chaperone::cel {
namespace {

Value overflow() {
    return Value::error("return error for overflow: integer out of range");
}

template <bool (*Operation)(std::int64_t, std::int64_t, std::int64_t*)>
Value ints(Call&, Arguments a) {
    std::int64_t result = 0;
    if (Operation(a[0].as_int(), a[1].as_int(), &result)) return overflow();
    return Value::integer(result);
}
template <bool (*Operation)(std::uint64_t, std::uint64_t, std::uint64_t*)>
Value uints(Call&, Arguments a) {
    std::uint64_t result = 0;
    if (Operation(a[0].as_uint(), a[1].as_uint(), &result)) return overflow();
    return Value::unsigned_integer(result);
}

template <class T>
bool add(T a, T b, T* result) {
    return __builtin_add_overflow(a, b, result);
}
template <class T>
bool subtract(T a, T b, T* result) {
    return __builtin_sub_overflow(a, b, result);
}
template <class T>
bool multiply(T a, T b, T* result) {
    return __builtin_mul_overflow(a, b, result);
}

Value divide_ints(Call&, Arguments a) {
    if (a[1].as_int() == 0) return Value::error("divide by zero");
    if (a[0].as_int() == INT64_MIN && a[1].as_int() == -1) return overflow();
    return Value::integer(a[0].as_int() / a[1].as_int());
}
Value modulo_ints(Call&, Arguments a) {
    if (a[1].as_int() == 0) return Value::error("modulus by zero");
    if (a[0].as_int() == INT64_MIN && a[1].as_int() == -1) return overflow();
    return Value::integer(a[0].as_int() % a[1].as_int());
}
Value divide_uints(Call&, Arguments a) {
    if (a[1].as_uint() == 0) return Value::error("divide by zero");
    return Value::unsigned_integer(a[0].as_uint() / a[1].as_uint());
}
Value modulo_uints(Call&, Arguments a) {
    if (a[1].as_uint() == 0) return Value::error("modulus by zero");
    return Value::unsigned_integer(a[0].as_uint() % a[1].as_uint());
}

Value add_doubles(Call&, Arguments a) {
    return Value::real(a[0].as_double() + a[1].as_double());
}
Value subtract_doubles(Call&, Arguments a) {
    return Value::real(a[0].as_double() - a[1].as_double());
}
Value multiply_doubles(Call&, Arguments a) {
    return Value::real(a[0].as_double() * a[1].as_double());
}
__attribute__((no_sanitize("float-divide-by-zero"))) Value divide_doubles(Call&, Arguments a) {
    return Value::real(a[0].as_double() / a[1].as_double());
}

Value join(Call& call, Arguments a) {
    std::string text;
    const std::size_t size = a[0].as_text().size() + a[1].as_text().size();
    if (size > call.limits().value_size)
        return Value::error("the evaluation makes a value that is too large");
    if (!call.spend(size / 16)) return steps_used_up();
    text.reserve(size);
    text.append(a[0].as_text()).append(a[1].as_text());
    return a[0].is(Kind::Bytes) ? Value::own_bytes(text) : Value::own_text(text);
}
Value join_lists(Call& call, Arguments a) {
    const List& left = a[0].as_list();
    const List& right = a[1].as_list();
    if (right.size() == 0) return a[0];
    if (left.size() == 0) return a[1];
    if (!call.spend(left.size() + right.size())) return steps_used_up();
    std::vector<Value> all;
    all.reserve(left.size() + right.size());
    for (std::size_t i = 0; i != left.size(); ++i) all.push_back(left.at(i));
    for (std::size_t i = 0; i != right.size(); ++i) all.push_back(right.at(i));
    return made_list(call, std::move(all));
}

template <int Sign>
Value move_time(Call&, Arguments a) {
    return checked_timestamp(nanoseconds(a[0]) + Sign * nanoseconds(a[1]));
}
template <int Sign>
Value durations(Call&, Arguments a) {
    return checked_duration(nanoseconds(a[0]) + Sign * nanoseconds(a[1]));
}

Value negate_int(Call&, Arguments a) {
    if (a[0].as_int() == INT64_MIN) return overflow();
    return Value::integer(-a[0].as_int());
}
Value negate_double(Call&, Arguments a) {
    return Value::real(-a[0].as_double());
}

}  // namespace

void add_arithmetic(Environment::Builder& to) {
    to.function("_+_(int, int) -> int", ints<add<std::int64_t>>)
        .function("_+_(uint, uint) -> uint", uints<add<std::uint64_t>>)
        .function("_+_(double, double) -> double", add_doubles)
        .function("_+_(string, string) -> string", join)
        .function("_+_(bytes, bytes) -> bytes", join)
        .function("_+_(list(A), list(A)) -> list(A)", join_lists)
        .function(
            "_+_(google.protobuf.Timestamp, google.protobuf.Duration) -> "
            "google.protobuf.Timestamp",
            move_time<1>)
        .function(
            "_+_(google.protobuf.Duration, google.protobuf.Timestamp) -> "
            "google.protobuf.Timestamp",
            move_time<1>)
        .function(
            "_+_(google.protobuf.Duration, google.protobuf.Duration) -> "
            "google.protobuf.Duration",
            durations<1>)
        .function("_-_(int, int) -> int", ints<subtract<std::int64_t>>)
        .function("_-_(uint, uint) -> uint", uints<subtract<std::uint64_t>>)
        .function("_-_(double, double) -> double", subtract_doubles)
        .function(
            "_-_(google.protobuf.Timestamp, google.protobuf.Duration) -> "
            "google.protobuf.Timestamp",
            move_time<-1>)
        .function(
            "_-_(google.protobuf.Timestamp, google.protobuf.Timestamp) -> "
            "google.protobuf.Duration",
            durations<-1>)
        .function(
            "_-_(google.protobuf.Duration, google.protobuf.Duration) -> "
            "google.protobuf.Duration",
            durations<-1>)
        .function("_*_(int, int) -> int", ints<multiply<std::int64_t>>)
        .function("_*_(uint, uint) -> uint", uints<multiply<std::uint64_t>>)
        .function("_*_(double, double) -> double", multiply_doubles)
        .function("_/_(int, int) -> int", divide_ints)
        .function("_/_(uint, uint) -> uint", divide_uints)
        .function("_/_(double, double) -> double", divide_doubles)
        .function("_%_(int, int) -> int", modulo_ints)
        .function("_%_(uint, uint) -> uint", modulo_uints)
        .function("-_(int) -> int", negate_int)
        .function("-_(double) -> double", negate_double);
}

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// The math extension: greatest and least (as @max and @min, which the macros call), rounding,
// signs, classification, bits and roots.
#include "policy/cel/compare.h"
#include "policy/cel/functions/library.h"

#include <cmath>

namespace chaperone::cel {
namespace {

template <bool Greatest>
const Value& better(const Value& left, const Value& right) {
    const auto order = compare_numbers(right, left);
    return (Greatest ? order > 0 : order < 0) ? right : left;
}
template <bool Greatest>
Value best_of_two(Call&, Arguments a) {
    if (!is_number(a[0]) || !is_number(a[1]))
        return Value::error("no such overload: numbers are needed");
    return better<Greatest>(a[0], a[1]);
}
template <bool Greatest>
Value best(Call& call, Arguments a) {
    if (is_number(a[0])) return a[0];
    if (!a[0].is(Kind::List)) return Value::error("no such overload: numbers are needed");
    const List& list = a[0].as_list();
    if (list.size() == 0) return Value::error("the list must not be empty");
    if (!call.spend(list.size())) return steps_used_up();
    Value found = list.at(0);
    for (std::size_t i = 0; i != list.size(); ++i) {
        const Value next = list.at(i);
        if (!is_number(next)) return Value::error("no such overload: numbers are needed");
        found = better<Greatest>(found, next);
    }
    return found;
}
void add_extreme(Environment::Builder& to, const std::string& name, const Function& one,
                 const Function& two) {
    for (const std::string type : {"int", "uint", "double"}) {
        to.function(name + "(" + type + ") -> " + type, one);
        to.function(name + "(list(" + type + ")) -> " + type, one);
        for (const std::string other : {"int", "uint", "double"})
            to.function(name + "(" + type + ", " + other + ") -> " + (type == other ? type : "dyn"),
                        two);
    }
}

template <double (*Operation)(double)>
Value real(Call&, Arguments a) {
    return Value::real(Operation(a[0].as_double()));
}
double sign_of(double x) {
    return std::isnan(x) ? x : x > 0 ? 1 : x < 0 ? -1 : 0;
}

Value abs_int(Call&, Arguments a) {
    if (a[0].as_int() == INT64_MIN) return Value::error("integer overflow");
    return Value::integer(std::abs(a[0].as_int()));
}
Value same(Call&, Arguments a) {
    return a[0];
}
Value sign_int(Call&, Arguments a) {
    return Value::integer(a[0].as_int() > 0 ? 1 : a[0].as_int() < 0 ? -1 : 0);
}
Value sign_uint(Call&, Arguments a) {
    return Value::unsigned_integer(a[0].as_uint() > 0 ? 1 : 0);
}
Value is_nan(Call&, Arguments a) {
    return Value::boolean(std::isnan(a[0].as_double()));
}
Value is_inf(Call&, Arguments a) {
    return Value::boolean(std::isinf(a[0].as_double()));
}
Value is_finite(Call&, Arguments a) {
    return Value::boolean(std::isfinite(a[0].as_double()));
}

double number(const Value& value) {
    if (value.is(Kind::Int)) return static_cast<double>(value.as_int());
    if (value.is(Kind::Uint)) return static_cast<double>(value.as_uint());
    return value.as_double();
}
Value square_root(Call&, Arguments a) {
    return Value::real(std::sqrt(number(a[0])));
}

template <class Operation>
void add_bits(Environment::Builder& to, const std::string& name, Operation operation) {
    to.function(name + "(int, int) -> int", [operation](Call&, Arguments a) {
        return Value::integer(operation(a[0].as_int(), a[1].as_int()));
    });
    to.function(name + "(uint, uint) -> uint", [operation](Call&, Arguments a) {
        return Value::unsigned_integer(operation(a[0].as_uint(), a[1].as_uint()));
    });
}

template <bool Left>
Value shift(Call&, Arguments a) {
    const std::int64_t by = a[1].as_int();
    if (by < 0) return Value::error("math: a shift needs a non-negative offset");
    const std::uint64_t bits =
        a[0].is(Kind::Int) ? static_cast<std::uint64_t>(a[0].as_int()) : a[0].as_uint();
    const std::uint64_t shifted = by > 63 ? 0 : Left ? bits << by : bits >> by;
    return a[0].is(Kind::Int) ? Value::integer(static_cast<std::int64_t>(shifted))
                              : Value::unsigned_integer(shifted);
}
Value not_int(Call&, Arguments a) {
    return Value::integer(~a[0].as_int());
}
Value not_uint(Call&, Arguments a) {
    return Value::unsigned_integer(~a[0].as_uint());
}

}  // namespace

void add_math(Environment::Builder& to) {
    add_extreme(to, "math.@max", best<true>, best_of_two<true>);
    add_extreme(to, "math.@min", best<false>, best_of_two<false>);
    to.function("math.ceil(double) -> double", real<std::ceil>)
        .function("math.floor(double) -> double", real<std::floor>)
        .function("math.round(double) -> double", real<std::round>)
        .function("math.trunc(double) -> double", real<std::trunc>)
        .function("math.abs(int) -> int", abs_int)
        .function("math.abs(uint) -> uint", same)
        .function("math.abs(double) -> double", real<std::fabs>)
        .function("math.sign(int) -> int", sign_int)
        .function("math.sign(uint) -> uint", sign_uint)
        .function("math.sign(double) -> double", real<sign_of>)
        .function("math.isNaN(double) -> bool", is_nan)
        .function("math.isInf(double) -> bool", is_inf)
        .function("math.isFinite(double) -> bool", is_finite)
        .function("math.sqrt(int) -> double", square_root)
        .function("math.sqrt(uint) -> double", square_root)
        .function("math.sqrt(double) -> double", square_root);
    add_bits(to, "math.bitAnd", [](auto a, auto b) { return a & b; });
    add_bits(to, "math.bitOr", [](auto a, auto b) { return a | b; });
    add_bits(to, "math.bitXor", [](auto a, auto b) { return a ^ b; });
    to.function("math.bitNot(int) -> int", not_int)
        .function("math.bitNot(uint) -> uint", not_uint)
        .function("math.bitShiftLeft(int, int) -> int", shift<true>)
        .function("math.bitShiftLeft(uint, int) -> uint", shift<true>)
        .function("math.bitShiftRight(int, int) -> int", shift<false>)
        .function("math.bitShiftRight(uint, int) -> uint", shift<false>);
}

}  // namespace chaperone::cel

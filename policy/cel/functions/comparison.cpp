// SPDX-License-Identifier: Apache-2.0
// == != < <= > >= in !, size and type. Equality, in and ! have nodes of their own; what is declared
// here for them is their types.
#include "policy/cel/compare.h"
#include "policy/cel/functions/library.h"
#include "policy/cel/utf8.h"

namespace chaperone::cel {
namespace {

template <class Verdict>
Function ordered(Verdict verdict) {
    return [verdict](Call& call, Arguments a) {
        if ((a[0].is(Kind::String) || a[0].is(Kind::Bytes)) &&
            !call.spend(std::min(a[0].as_text().size(), a[1].as_text().size()) / 64))
            return steps_used_up();
        const auto order = compare(a[0], a[1]);
        if (!order) return Value::error("no such overload: values without an order");
        return Value::boolean(verdict(*order));
    };
}

void add_order(Environment::Builder& to, const std::string& name, const Function& run) {
    for (const char* left : {"int", "uint", "double"})
        for (const char* right : {"int", "uint", "double"})
            to.function(name + "(" + left + ", " + right + ") -> bool", run);
    for (const char* type :
         {"bool", "string", "bytes", "google.protobuf.Timestamp", "google.protobuf.Duration"})
        to.function(name + "(" + type + ", " + type + ") -> bool", run);
}

Value equals(Call&, Arguments a) {
    return Value::boolean(equal(a[0], a[1]));
}
Value differs(Call&, Arguments a) {
    return Value::boolean(!equal(a[0], a[1]));
}
Value negate(Call&, Arguments a) {
    return Value::boolean(!a[0].as_bool());
}
Value in_list(Call&, Arguments a) {
    const List& list = a[1].as_list();
    for (std::size_t i = 0; i != list.size(); ++i)
        if (equal(list.at(i), a[0])) return Value::boolean(true);
    return Value::boolean(false);
}
Value in_map(Call&, Arguments a) {
    return Value::boolean(a[1].as_map().find(a[0]).has_value());
}

Value number(std::size_t size) {
    return Value::integer(static_cast<std::int64_t>(size));
}
Value size_text(Call& call, Arguments a) {
    if (!call.spend(a[0].as_text().size() / 64)) return steps_used_up();
    return number(utf8::count(a[0].as_text()));
}
Value size_bytes(Call&, Arguments a) {
    return number(a[0].as_text().size());
}
Value size_list(Call&, Arguments a) {
    return number(a[0].as_list().size());
}
Value size_map(Call&, Arguments a) {
    return number(a[0].as_map().size());
}

Value type_of(Call&, Arguments a) {
    return Value::type(type_name(a[0]));
}

}  // namespace

void add_comparison(Environment::Builder& to) {
    to.function("_==_(A, A) -> bool", equals)
        .function("_!=_(A, A) -> bool", differs)
        .function("!_(bool) -> bool", negate)
        .function("@in(A, list(A)) -> bool", in_list)
        .function("@in(A, map(A, B)) -> bool", in_map);
    add_order(to, "_<_", ordered([](std::partial_ordering o) { return o < 0; }));
    add_order(to, "_<=_", ordered([](std::partial_ordering o) { return o <= 0; }));
    add_order(to, "_>_", ordered([](std::partial_ordering o) { return o > 0; }));
    add_order(to, "_>=_", ordered([](std::partial_ordering o) { return o >= 0; }));
    to.function("size(string) -> int", size_text)
        .function("size(bytes) -> int", size_bytes)
        .function("size(list(A)) -> int", size_list)
        .function("size(map(A, B)) -> int", size_map)
        .function("string.size() -> int", size_text)
        .function("bytes.size() -> int", size_bytes)
        .function("list(A).size() -> int", size_list)
        .function("map(A, B).size() -> int", size_map)
        .function("type(A) -> type(A)", type_of);
}

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Optional values, and what lists and the unwrapping of optionals give.
#include "policy/cel/functions/library.h"

namespace chaperone::cel {
namespace {

bool is_zero(const Value& value) {
    switch (value.kind()) {
    case Kind::Null: return true;
    case Kind::Bool: return !value.as_bool();
    case Kind::Int: return value.as_int() == 0;
    case Kind::Uint: return value.as_uint() == 0;
    case Kind::Double: return value.as_double() == 0;
    case Kind::String:
    case Kind::Bytes: return value.as_text().empty();
    case Kind::List: return value.as_list().size() == 0;
    case Kind::Map: return value.as_map().size() == 0;
    case Kind::Timestamp:
    case Kind::Duration: return value.seconds() == 0 && value.nanos() == 0;
    case Kind::Optional: return value.held() == nullptr;
    case Kind::Object:
    case Kind::Type:
    case Kind::Error:
    case Kind::Unknown: return false;
    }
    return false;
}

Value of(Call&, Arguments a) {
    return Value::some(a[0]);
}
Value of_non_zero(Call&, Arguments a) {
    return is_zero(a[0]) ? Value::none() : Value::some(a[0]);
}
Value none(Call&, Arguments) {
    return Value::none();
}
Value has_value(Call&, Arguments a) {
    return Value::boolean(a[0].held() != nullptr);
}
Value value(Call&, Arguments a) {
    return a[0].held() == nullptr ? Value::error("optional.none() dereference") : *a[0].held();
}
Value either(Call&, Arguments a) {
    return a[0].held() == nullptr ? a[1] : a[0];
}
Value or_value(Call&, Arguments a) {
    return a[0].held() == nullptr ? a[1] : *a[0].held();
}

Value first(Call&, Arguments a) {
    const List& list = a[0].as_list();
    return list.size() == 0 ? Value::none() : Value::some(list.at(0));
}
Value last(Call&, Arguments a) {
    const List& list = a[0].as_list();
    return list.size() == 0 ? Value::none() : Value::some(list.at(list.size() - 1));
}
Value unwrap(Call& call, Arguments a) {
    std::vector<Value> present;
    const List& list = a[0].as_list();
    if (!call.spend(list.size())) return steps_used_up();
    for (std::size_t i = 0; i != list.size(); ++i) {
        const Value next = list.at(i);
        if (!next.is(Kind::Optional)) return Value::error("no such overload: optionals are needed");
        if (next.held() != nullptr) present.push_back(*next.held());
    }
    return made_list(call, std::move(present));
}

}  // namespace

void add_optionals(Environment::Builder& to) {
    to.function("optional.of(A) -> optional_type(A)", of)
        .function("optional.ofNonZeroValue(A) -> optional_type(A)", of_non_zero)
        .function("optional.none() -> optional_type(A)", none)
        .function("optional.unwrap(list(optional_type(A))) -> list(A)", unwrap)
        .function("list(optional_type(A)).unwrapOpt() -> list(A)", unwrap)
        .function("optional_type(A).hasValue() -> bool", has_value)
        .function("optional_type(A).value() -> A", value)
        .function("optional_type(A).or(optional_type(A)) -> optional_type(A)", either)
        .function("optional_type(A).orValue(A) -> A", or_value)
        .function("list(A).first() -> optional_type(A)", first)
        .function("list(A).last() -> optional_type(A)", last);
}

}  // namespace chaperone::cel

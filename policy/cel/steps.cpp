// SPDX-License-Identifier: Apache-2.0
// Selection and indexing, plain, optional and testing; and how failures combine.
#include "policy/cel/node.h"

#include <algorithm>
#include <cmath>

namespace chaperone::cel {
namespace {

using Form = Step::Form;

Value formed(Form form, Value found) {
    if (form == Form::Plain) return found;
    if (form == Form::Test) return Value::boolean(true);
    return Value::some(std::move(found));
}

Value missing(Form form, const Value& key) {
    if (form == Form::Test) return Value::boolean(false);
    if (form == Form::Optional) return Value::none();
    return Value::own_error("no such key: " + describe(key, 80));
}

Value of_object(const Object& object, const Step& step) {
    std::size_t index = step.index;
    if (&object.type() != step.object) index = object.type().index_of(step.key.as_text());
    if (index == ObjectType::kNone)
        return Value::own_error("no such field: '" + std::string{step.key.as_text()} + "'");
    Value found = object.field(index);
    if (!found.is_absent()) return found.is_failure() ? found : formed(step.form, std::move(found));
    if (step.form == Form::Plain)
        return Value::own_error("field '" + std::string{step.key.as_text()} + "' is not set");
    return missing(step.form, step.key);
}

std::optional<std::size_t> list_index(const Value& key, std::size_t size) {
    if (key.is(Kind::Int) && key.as_int() >= 0 && static_cast<std::uint64_t>(key.as_int()) < size)
        return static_cast<std::size_t>(key.as_int());
    if (key.is(Kind::Uint) && key.as_uint() < size) return static_cast<std::size_t>(key.as_uint());
    if (key.is(Kind::Double) && key.as_double() >= 0 &&
        key.as_double() < static_cast<double>(size) &&
        key.as_double() == std::floor(key.as_double()))
        return static_cast<std::size_t>(key.as_double());
    return std::nullopt;
}

Value of_list(const List& list, const Value& key, Form form) {
    const bool whole = key.is(Kind::Int) || key.is(Kind::Uint) ||
                       (key.is(Kind::Double) && key.as_double() == std::floor(key.as_double()));
    if (!whole) return Value::error("invalid_argument: the index of a list must be an integer");
    const auto index = list_index(key, list.size());
    if (index) return formed(form, list.at(*index));
    if (form == Form::Optional) return Value::none();
    return Value::own_error("index out of bounds: " + describe(key, 40));
}

Value of_map(const Map& map, const Value& key, Form form) {
    const bool possible = key.is(Kind::String) || key.is(Kind::Int) || key.is(Kind::Uint) ||
                          key.is(Kind::Bool) || key.is(Kind::Double);
    if (!possible) return Value::error("no such overload: a map has no key of this type");
    auto found = map.find(key);
    return found ? formed(form, *std::move(found)) : missing(form, key);
}

Value indexed(const Value& operand, const Value& key, Form form) {
    if (operand.is(Kind::List)) return of_list(operand.as_list(), key, form);
    if (operand.is(Kind::Map)) return of_map(operand.as_map(), key, form);
    return Value::own_error("no such overload: " + std::string{type_name(operand)} + "[" +
                            std::string{type_name(key)} + "]");
}

Value stepped(const Value& operand, const Step& step) {
    if (!step.is_field) return indexed(operand, step.key, step.form);
    if (operand.is(Kind::Object)) return of_object(operand.as_object(), step);
    if (operand.is(Kind::Map)) return of_map(operand.as_map(), step.key, step.form);
    return Value::own_error("type '" + std::string{type_name(operand)} +
                            "' does not support field selection");
}

// Behind an optional every step is optional.
template <class Take>
Value through_optional(const Value& operand, bool test, Take take) {
    if (operand.held() == nullptr) return test ? Value::boolean(false) : Value::none();
    return take(*operand.held());
}

}  // namespace

Value take_step(Value operand, const Step& step) {
    if (operand.is_failure()) return operand;
    if (!operand.is(Kind::Optional)) return stepped(operand, step);
    return through_optional(operand, step.form == Form::Test, [&](const Value& held) {
        Step optional = step;
        if (step.form == Form::Plain) optional.form = Form::Optional;
        return stepped(held, optional);
    });
}

Value take_index(Value operand, const Value& key, bool optional) {
    if (operand.is_failure()) return operand;
    if (!operand.is(Kind::Optional))
        return indexed(operand, key, optional ? Form::Optional : Form::Plain);
    return through_optional(operand, false,
                            [&](const Value& held) { return indexed(held, key, Form::Optional); });
}

namespace {

Value both_unknown(const Value& left, const Value& right) {
    std::vector<std::string> names{left.attributes().begin(), left.attributes().end()};
    names.insert(names.end(), right.attributes().begin(), right.attributes().end());
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return Value::unknown(std::move(names));
}

}  // namespace

Value worse(Value left, Value right) {
    if (left.is(Kind::Error)) return left;
    if (right.is(Kind::Error)) return right;
    if (!left.is(Kind::Unknown)) return right;
    if (!right.is(Kind::Unknown)) return left;
    return both_unknown(left, right);
}

Value undecided(Value left, Value right) {
    if (left.is(Kind::Unknown)) return right.is(Kind::Unknown) ? both_unknown(left, right) : left;
    if (right.is(Kind::Unknown)) return right;
    if (left.is(Kind::Error)) return left;
    if (right.is(Kind::Error)) return right;
    return not_a_bool();
}

Value no_such_overload(std::string_view function, std::span<const Value> arguments) {
    std::string text = "no such overload: " + std::string{function} + "(";
    for (std::size_t i = 0; i != arguments.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::string{type_name(arguments[i])};
    return Value::own_error(text + ")");
}

}  // namespace chaperone::cel

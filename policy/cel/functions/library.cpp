// SPDX-License-Identifier: Apache-2.0
// All functions together, and what they share.
#include "policy/cel/functions/library.h"

namespace chaperone::cel {

void add_standard_functions(Environment::Builder& to) {
    add_arithmetic(to);
    add_comparison(to);
    add_conversions(to);
    add_strings(to);
    add_string_format(to);
    add_math(to);
    add_lists(to);
    add_sets(to);
    add_time(to);
    add_network(to);
    add_optionals(to);
    add_regex(to);
    add_encoders(to);
}

Value made_text(Call& call, std::string_view text) {
    if (text.size() > call.limits().value_size)
        return Value::error("the evaluation makes a value that is too large");
    if (!call.spend(text.size() / 16)) return steps_used_up();
    return Value::own_text(text);
}

Value made_list(Call& call, std::vector<Value> elements) {
    if (!call.spend(elements.size())) return steps_used_up();
    Value list = Value::list_of(std::move(elements));
    if (weight(list) > call.limits().value_size)
        return Value::error("the evaluation makes a value that is too large");
    return list;
}

}  // namespace chaperone::cel

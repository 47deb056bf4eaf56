// SPDX-License-Identifier: Apache-2.0
// Type checking of what makes values: lists, maps, messages; and of what binds variables: loops,
// optMap, blocks.
#include "policy/cel/check_walk.h"

#include <algorithm>
#include <optional>

namespace chaperone::cel {

Type Checker::element(const Expr& arg, bool marked) {
    if (!marked) return arg.type;
    const Type wanted = Type::optional(types_.fresh());
    if (!types_.assignable(arg.type, wanted))
        report(arg, "'?' needs an optional value, found " + types_.closed(arg.type).text());
    const Type found = types_.shallow(arg.type);
    return found.is(TypeKind::Optional) ? found.arguments()[0] : Type{};
}

void Checker::list(Expr& expr) {
    std::optional<Type> joined;
    for (std::size_t i = 0; i != expr.args.size(); ++i) {
        visit(*expr.args[i]);
        const Type next = element(*expr.args[i], expr.marked[i]);
        joined = joined ? types_.join(*joined, next) : next;
    }
    set(expr, Type::list(joined ? *joined : types_.fresh()));
}

void Checker::map(Expr& expr) {
    std::optional<Type> keys;
    std::optional<Type> values;
    for (std::size_t i = 0; i + 1 < expr.args.size(); i += 2) {
        visit(*expr.args[i]);
        visit(*expr.args[i + 1]);
        const Type value = element(*expr.args[i + 1], expr.marked[i / 2]);
        keys = keys ? types_.join(*keys, expr.args[i]->type) : expr.args[i]->type;
        values = values ? types_.join(*values, value) : value;
    }
    set(expr, Type::map(keys ? *keys : types_.fresh(), values ? *values : types_.fresh()));
}

void Checker::message(Expr& expr) {
    for (Expr* arg : expr.args) visit(*arg);
    const MessageType* type = nullptr;
    for (const std::string& name :
         candidates(environment_.container(), expr.name, expr.leading_dot)) {
        type = find_message_type(name);
        if (type != nullptr) break;
    }
    set(expr, type == nullptr ? Type{} : type->type);
    if (type == nullptr) return report(expr, "undeclared reference to type '" + expr.name + "'");
    expr.name = type->name;
    for (std::size_t i = 0; i != expr.fields.size(); ++i) {
        const auto field = std::ranges::find(type->fields, expr.fields[i], &Field::name);
        if (field == type->fields.end()) {
            report(expr, "undefined field '" + expr.fields[i] + "' of " + expr.name);
            continue;
        }
        const Type given = element(*expr.args[i], expr.marked[i]);
        if (!types_.assignable(given, field->type))
            report(*expr.args[i], "field '" + field->name + "' needs " + field->type.text() +
                                      ", found " + types_.closed(given).text());
    }
}

void Checker::loop(Expr& expr) {
    visit(*expr.args[0]);
    const Type range = types_.shallow(expr.args[0]->type);
    Type first;
    Type second;
    const bool two = !expr.variable2.empty();
    if (range.is(TypeKind::List)) {
        first = two ? Type{TypeKind::Int} : range.arguments()[0];
        second = range.arguments()[0];
    } else if (range.is(TypeKind::Map)) {
        first = range.arguments()[0];
        second = range.arguments()[1];
    } else if (range.is(TypeKind::Parameter)) {
        types_.assignable(range, TypeKind::Dyn);
    } else if (!range.is(TypeKind::Dyn) && !range.is(TypeKind::Any)) {
        report(*expr.args[0],
               "a comprehension needs a list or a map, found " + types_.closed(range).text());
    }
    locals_.push_back({expr.variable, first});
    if (two) locals_.push_back({expr.variable2, second});
    for (std::size_t i = 1; i != expr.args.size(); ++i) visit(*expr.args[i]);
    locals_.resize(locals_.size() - (two ? 2 : 1));
    loop_result(expr, range, first);
}

void Checker::loop_result(Expr& expr, const Type& range, const Type& first) {
    const Expr& last = *expr.args.back();
    if (expr.args.size() == 3) expect(*expr.args[1], TypeKind::Bool, "the filter");
    switch (expr.loop) {
    case Loop::All:
    case Loop::Exists:
    case Loop::ExistsOne:
        expect(last, TypeKind::Bool, "the condition");
        return set(expr, TypeKind::Bool);
    case Loop::Filter:
        expect(last, TypeKind::Bool, "the condition");
        return set(expr, Type::list(first));
    case Loop::Map:
    case Loop::TransformList: return set(expr, Type::list(last.type));
    case Loop::TransformMap:
        return set(expr,
                   Type::map(range.is(TypeKind::List) ? Type{TypeKind::Int} : first, last.type));
    case Loop::TransformMapEntry: {
        const Type entry = types_.shallow(last.type);
        if (!entry.is(TypeKind::Map) && !entry.is(TypeKind::Dyn))
            report(last, "transformMapEntry needs a map of one entry, found " +
                             types_.closed(entry).text());
        return set(expr, entry);
    }
    case Loop::SortBy: return set(expr, range.is(TypeKind::List) ? range : Type{});
    }
}

void Checker::opt_map(Expr& expr) {
    visit(*expr.args[0]);
    const Type target = types_.shallow(expr.args[0]->type);
    const bool known = target.is(TypeKind::Optional);
    if (!known && !target.is(TypeKind::Dyn) && !target.is(TypeKind::Parameter))
        report(*expr.args[0], "an optional value is needed, found " + types_.closed(target).text());
    locals_.push_back({expr.variable, known ? target.arguments()[0] : Type{}});
    visit(*expr.args[1]);
    locals_.pop_back();
    const Type body = types_.shallow(expr.args[1]->type);
    if (!expr.optional) return set(expr, Type::optional(body));
    if (!body.is(TypeKind::Optional) && !body.is(TypeKind::Dyn))
        report(*expr.args[1],
               "optFlatMap needs an optional result, found " + types_.closed(body).text());
    set(expr, body);
}

bool Checker::depends_on_loop(const Expr& expr) {
    if (expr.op == Op::Identifier &&
        (expr.name.starts_with("@it:") || expr.name.starts_with("@ac:")))
        return true;
    return std::ranges::any_of(expr.args, [](const Expr* arg) { return depends_on_loop(*arg); });
}

void Checker::block(Expr& expr) {
    const std::size_t before = locals_.size();
    for (std::size_t i = 0; i + 1 != expr.args.size(); ++i) {
        Expr& slot = *expr.args[i];
        visit(slot);
        const bool open = depends_on_loop(slot) || uses_open_slot(slot);
        locals_.push_back({"@index" + std::to_string(i), open ? Type{} : slot.type});
    }
    visit(*expr.args.back());
    locals_.resize(before);
    set(expr, expr.args.back()->type);
}

// A slot that reads a slot whose type is not known is not known better.
bool Checker::uses_open_slot(const Expr& expr) const {
    if (expr.op == Op::Identifier && expr.name.starts_with("@index")) {
        const Local* slot = local(expr.name);
        return slot != nullptr && slot->type.is(TypeKind::Dyn);
    }
    return std::ranges::any_of(expr.args, [&](const Expr* arg) { return uses_open_slot(*arg); });
}

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Name resolution and type checking in one walk: its start, names and fields.
#include "policy/cel/checker.h"

#include "policy/cel/check_walk.h"

#include <algorithm>

namespace chaperone::cel {

std::string chain_name(const Expr& expr) {
    if (expr.op == Op::Identifier) return expr.name;
    if (expr.op != Op::Select || expr.optional) return {};
    std::string name = chain_name(*expr.args[0]);
    return name.empty() ? name : name + "." + expr.name;
}
const Expr& chain_root(const Expr& expr) {
    const Expr* root = &expr;
    while (root->op == Op::Select) root = root->args[0];
    return *root;
}

Type Checker::run(Expr& root) {
    visit(root);
    close(root);
    if (types_.exhausted())
        issues_.error(root.begin, root.end, "the types of this expression are too complex");
    if (options_.check && options_.expected && !issues_.failed() &&
        !types_.assignable(root.type, *options_.expected))
        report(root, "expected an expression of type " + options_.expected->text() + ", found " +
                         root.type.text());
    return root.type;
}

void Checker::report(const Expr& where, std::string message, std::string suggestion) {
    if (options_.check)
        issues_.error(where.begin, where.end, std::move(message), std::move(suggestion));
}

void Checker::report_at(const Expr& where, std::string message, std::string suggestion) {
    const auto end = std::max<std::uint32_t>(
        where.at + static_cast<std::uint32_t>(where.name.size()), where.at + 1);
    if (options_.check) issues_.error(where.at, end, std::move(message), std::move(suggestion));
}

std::string Checker::meant(std::string_view name, const std::vector<std::string>& names) {
    const std::string close = closest(name, names);
    return close.empty() ? close : "did you mean '" + close + "'?";
}

void Checker::expect(const Expr& arg, const Type& wanted, std::string_view who) {
    if (!types_.assignable(arg.type, wanted))
        report(arg, "'" + std::string{who} + "' needs " + wanted.text() + ", found " +
                        types_.closed(arg.type).text());
}

void Checker::visit(Expr& expr) {
    switch (expr.op) {
    case Op::Constant: set(expr, type_of(expr.value)); break;
    case Op::Identifier: identifier(expr); break;
    case Op::Select: select(expr); break;
    case Op::Has: has(expr); break;
    case Op::Index: index(expr); break;
    case Op::Call: call(expr); break;
    case Op::And:
    case Op::Or:
        for (Expr* arg : expr.args) {
            visit(*arg);
            expect(*arg, TypeKind::Bool, expr.op == Op::And ? "&&" : "||");
        }
        set(expr, TypeKind::Bool);
        break;
    case Op::Conditional: conditional(expr); break;
    case Op::List: list(expr); break;
    case Op::Map: map(expr); break;
    case Op::Struct: message(expr); break;
    case Op::Loop: loop(expr); break;
    case Op::Bind:
        visit(*expr.args[0]);
        locals_.push_back({expr.variable, expr.args[0]->type});
        visit(*expr.args[1]);
        locals_.pop_back();
        set(expr, expr.args[1]->type);
        break;
    case Op::OptMap: opt_map(expr); break;
    case Op::Block: block(expr); break;
    }
}

Type Checker::type_of(const Value& value) {
    if (value.is(Kind::Object)) return TypeKind::Dyn;
    const Type* type = find_type_name(type_name(value));
    return type == nullptr ? Type{} : *type;
}

const Checker::Local* Checker::local(std::string_view name) const {
    const auto found = std::find_if(locals_.rbegin(), locals_.rend(),
                                    [&](const Local& local) { return local.name == name; });
    return found == locals_.rend() ? nullptr : &*found;
}

// A variable or a type of this name, inside the container; the expression becomes it.
bool Checker::global(Expr& expr, std::string_view name, bool leading_dot) {
    for (const std::string& candidate : candidates(environment_.container(), name, leading_dot)) {
        if (const std::size_t slot = environment_.slot(candidate); slot != Environment::kNone) {
            become(expr, candidate);
            expr.slot = slot;
            set(expr, environment_.variables()[slot].type);
            return true;
        }
        if (candidate == "google.protobuf.NullValue.NULL_VALUE") {
            become(expr, candidate);
            expr.op = Op::Constant;
            expr.value = Value::integer(0);  // an enumerator is its number
            set(expr, TypeKind::Int);
            return true;
        }
        if (const Type* type = find_type_name(candidate); type != nullptr) {
            become(expr, candidate);
            expr.op = Op::Constant;
            expr.value = Value::type(runtime_name(*type));
            set(expr, Type::type(*type));
            return true;
        }
    }
    return false;
}

void Checker::become(Expr& expr, std::string name) {
    expr.op = Op::Identifier;
    expr.name = std::move(name);
    expr.args.clear();
    expr.height = 1;
}

void Checker::identifier(Expr& expr) {
    if (!expr.leading_dot) {
        if (const Local* found = local(expr.name); found != nullptr) {
            expr.local = true;
            return set(expr, found->type);
        }
    }
    if (global(expr, expr.name, expr.leading_dot)) return;
    set(expr, {});
    // Variables of a comprehension that a block's slot is written for, not bound here.
    if (expr.name.starts_with("@it") || expr.name.starts_with("@ac")) return;
    std::vector<std::string> names;
    for (const Variable& variable : environment_.variables()) names.push_back(variable.name);
    for (const Local& known : locals_) names.push_back(known.name);
    report(expr, "undeclared reference to '" + expr.name + "'", meant(expr.name, names));
}

bool Checker::qualified(Expr& expr) {
    const std::string name = chain_name(expr);
    if (name.empty()) return false;
    const Expr& root = chain_root(expr);
    if (!root.leading_dot && local(root.name) != nullptr) return false;
    return global(expr, name, root.leading_dot);
}

void Checker::select(Expr& expr) {
    if (!expr.optional && qualified(expr)) return;
    visit(*expr.args[0]);
    Type operand = types_.shallow(expr.args[0]->type);
    const bool chained = operand.is(TypeKind::Optional);
    if (chained) operand = types_.shallow(operand.arguments()[0]);
    Type field = field_type(expr, operand);
    set(expr, chained || expr.optional ? Type::optional(std::move(field)) : field);
}

void Checker::has(Expr& expr) {
    visit(*expr.args[0]);
    Type operand = types_.shallow(expr.args[0]->type);
    if (operand.is(TypeKind::Optional)) operand = types_.shallow(operand.arguments()[0]);
    field_type(expr, operand);
    set(expr, TypeKind::Bool);
}

Type Checker::field_type(const Expr& expr, const Type& operand) {
    switch (operand.kind()) {
    case TypeKind::Dyn:
    case TypeKind::Any: return {};
    case TypeKind::Parameter: types_.assignable(operand, TypeKind::Dyn); return {};
    case TypeKind::Map:
        if (!types_.assignable(TypeKind::String, operand.arguments()[0]))
            report_at(expr, "a " + types_.closed(operand).text() + " has no field '" + expr.name +
                                "': its keys are no strings");
        return operand.arguments()[1];
    case TypeKind::Object:
        if (const ObjectType* type = operand.object_type(); type != nullptr) {
            const std::size_t found = type->index_of(expr.name);
            if (found != ObjectType::kNone) return type->fields[found].type;
            std::vector<std::string> names;
            for (const Field& field : type->fields) names.push_back(field.name);
            report_at(expr, "undefined field '" + expr.name + "' of " + type->name,
                      meant(expr.name, names));
            return {};
        }
        [[fallthrough]];
    case TypeKind::Null:
    case TypeKind::Bool:
    case TypeKind::Int:
    case TypeKind::Uint:
    case TypeKind::Double:
    case TypeKind::String:
    case TypeKind::Bytes:
    case TypeKind::Timestamp:
    case TypeKind::Duration:
    case TypeKind::List:
    case TypeKind::Type:
    case TypeKind::Wrapper:
    case TypeKind::Optional:
        report_at(expr,
                  "type '" + types_.closed(operand).text() + "' does not support field selection");
        return {};
    }
    return {};
}

void Checker::close(Expr& expr) {
    expr.type = types_.closed(expr.type);
    for (Expr* arg : expr.args) close(*arg);
}

Type check(Ast& ast, const Environment& environment, const Options& options, Issues& issues) {
    return Checker{environment, options, issues}.run(*ast.root);
}

}  // namespace chaperone::cel

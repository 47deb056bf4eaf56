// SPDX-License-Identifier: Apache-2.0
// Type checking of functions and operators: which overloads take these arguments.
#include "policy/cel/check_walk.h"

#include <optional>

namespace chaperone::cel {
namespace {

// What an operator is called in a message: "_+_" is shown as it is in the language.
std::string shown(const std::vector<Type>& types, bool member) {
    std::string text;
    std::size_t i = 0;
    if (member && !types.empty()) text = types[i++].text() + ".";
    text += "(";
    for (const std::size_t first = i; i < types.size(); ++i)
        text += (i == first ? "" : ", ") + types[i].text();
    return text + ")";
}

}  // namespace

void Checker::index(Expr& expr) {
    visit(*expr.args[0]);
    visit(*expr.args[1]);
    Type operand = types_.shallow(expr.args[0]->type);
    const bool chained = operand.is(TypeKind::Optional);
    if (chained) operand = types_.shallow(operand.arguments()[0]);
    Type element;
    if (operand.is(TypeKind::List)) {
        expect(*expr.args[1], TypeKind::Int, "[]");
        element = operand.arguments()[0];
    } else if (operand.is(TypeKind::Map)) {
        const Type key = operand.arguments()[0];
        if (!types_.assignable(expr.args[1]->type, key))
            report(*expr.args[1], "'[]' of a " + types_.closed(operand).text() + " needs " +
                                      types_.closed(key).text() + ", found " +
                                      types_.closed(expr.args[1]->type).text());
        element = operand.arguments()[1];
    } else if (operand.is(TypeKind::Parameter)) {
        types_.assignable(operand, TypeKind::Dyn);
    } else if (!operand.is(TypeKind::Dyn) && !operand.is(TypeKind::Any)) {
        report(expr, "a " + types_.closed(operand).text() + " has no elements to index");
    }
    set(expr, chained || expr.optional ? Type::optional(element) : element);
}

// "math.abs(x)" is parsed as a call on a receiver named math; it is a function of that name.
bool Checker::namespaced(Expr& expr) {
    if (!expr.member) return false;
    const std::string target = chain_name(*expr.args[0]);
    if (target.empty()) return false;
    const Expr& root = chain_root(*expr.args[0]);
    if (!root.leading_dot && local(root.name) != nullptr) return false;
    for (const std::string& name :
         candidates(environment_.container(), target + "." + expr.name, root.leading_dot)) {
        if (environment_.functions(name).empty()) continue;
        expr.name = name;
        expr.member = false;
        expr.args.erase(expr.args.begin());
        return true;
    }
    return false;
}

void Checker::call(Expr& expr) {
    if (!namespaced(expr) && !expr.member) {
        for (const std::string& name :
             candidates(environment_.container(), expr.name, expr.leading_dot))
            if (!environment_.functions(name).empty()) {
                expr.name = name;
                break;
            }
    }
    for (Expr* arg : expr.args) visit(*arg);
    const auto all = environment_.functions(expr.name);
    if (all.empty()) {
        set(expr, {});
        return report_at(expr, "undeclared reference to '" + expr.name + "'",
                         meant(expr.name, environment_.function_names()));
    }
    resolve(expr, all);
}

void Checker::resolve(Expr& expr, std::span<const Overload> all) {
    std::optional<Type> result;
    expr.overloads.clear();
    for (const Overload& overload : all) {
        if (overload.member != expr.member || overload.parameters.size() != expr.args.size())
            continue;
        if (!options_.check) {
            expr.overloads.push_back(&overload);
            continue;
        }
        Inference::Instance instance{types_};
        if (!accepts(overload, expr, instance)) continue;
        expr.overloads.push_back(&overload);
        const Type found = types_.resolve(instance.of(overload.result));
        if (!result)
            result = found;
        else if (!(types_.resolve(*result) == found))
            result = Type{};
    }
    set(expr, result.value_or(Type{}));
    if (!expr.overloads.empty() || !options_.check) return;
    std::vector<Type> given;
    for (const Expr* arg : expr.args) given.push_back(types_.closed(arg->type));
    report_at(expr, "found no matching overload for '" + expr.name + "' applied to '" +
                        shown(given, expr.member) + "'");
}

bool Checker::accepts(const Overload& overload, const Expr& expr, Inference::Instance& instance) {
    Inference::Mark before = types_.mark();
    for (std::size_t i = 0; i != expr.args.size(); ++i)
        if (!types_.assignable(expr.args[i]->type, instance.of(overload.parameters[i]))) {
            types_.rewind(std::move(before));
            return false;
        }
    return true;
}

void Checker::conditional(Expr& expr) {
    for (Expr* arg : expr.args) visit(*arg);
    expect(*expr.args[0], TypeKind::Bool, "?:");
    const Type& then = expr.args[1]->type;
    const Type& otherwise = expr.args[2]->type;
    if (!types_.assignable(otherwise, then) && !types_.assignable(then, otherwise))
        report(expr, "both results of '?:' need one type, found " + types_.closed(then).text() +
                         " and " + types_.closed(otherwise).text());
    set(expr, types_.join(then, otherwise));
}

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Name resolution and type checking in one walk.
#include "policy/cel/checker.h"

#include "policy/cel/infer.h"

#include <algorithm>
#include <optional>

namespace chaperone::cel {
namespace {

struct Local {
    std::string name;
    Type type;
};

// The name of a chain of plain selections "a.b.c"; empty if it is none.
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

class Checker {
public:
    Checker(const Environment& environment, const Options& options, Issues& issues)
        : environment_(environment), options_(options), issues_(issues) {}

    Type run(Expr& root) {
        visit(root);
        close(root);
        if (types_.exhausted())
            issues_.error(root.begin, root.end, "the types of this expression are too complex");
        if (options_.check && options_.expected && !issues_.failed() &&
            !types_.assignable(root.type, *options_.expected))
            report(root, "expected an expression of type " + options_.expected->text() +
                             ", found " + root.type.text());
        return root.type;
    }

private:
    void report(const Expr& where, std::string message, std::string suggestion = {}) {
        if (options_.check)
            issues_.error(where.begin, where.end, std::move(message), std::move(suggestion));
    }
    void report_at(const Expr& where, std::string message, std::string suggestion = {}) {
        const auto end = std::max<std::uint32_t>(
            where.at + static_cast<std::uint32_t>(where.name.size()), where.at + 1);
        if (options_.check) issues_.error(where.at, end, std::move(message), std::move(suggestion));
    }
    static std::string meant(std::string_view name, const std::vector<std::string>& names) {
        const std::string close = closest(name, names);
        return close.empty() ? close : "did you mean '" + close + "'?";
    }

    // Without checking every type is dyn, whatever was declared.
    void set(Expr& expr, Type type) { expr.type = options_.check ? std::move(type) : Type{}; }

    void visit(Expr& expr) {
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

    static Type type_of(const Value& value) {
        if (value.is(Kind::Object)) return TypeKind::Dyn;
        const Type* type = find_type_name(type_name(value));
        return type == nullptr ? Type{} : *type;
    }

    void expect(const Expr& arg, const Type& wanted, std::string_view who) {
        if (!types_.assignable(arg.type, wanted))
            report(arg, "'" + std::string{who} + "' needs " + wanted.text() + ", found " +
                            types_.closed(arg.type).text());
    }

    const Local* local(std::string_view name) const {
        const auto found = std::find_if(locals_.rbegin(), locals_.rend(),
                                        [&](const Local& local) { return local.name == name; });
        return found == locals_.rend() ? nullptr : &*found;
    }

    // A variable or a type of this name, inside the container; the expression becomes it.
    bool global(Expr& expr, std::string_view name, bool leading_dot) {
        for (const std::string& candidate :
             candidates(environment_.container(), name, leading_dot)) {
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
    static void become(Expr& expr, std::string name) {
        expr.op = Op::Identifier;
        expr.name = std::move(name);
        expr.args.clear();
        expr.height = 1;
    }

    void identifier(Expr& expr) {
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

    bool qualified(Expr& expr) {
        const std::string name = chain_name(expr);
        if (name.empty()) return false;
        const Expr& root = chain_root(expr);
        if (!root.leading_dot && local(root.name) != nullptr) return false;
        return global(expr, name, root.leading_dot);
    }

    void select(Expr& expr) {
        if (!expr.optional && qualified(expr)) return;
        visit(*expr.args[0]);
        Type operand = types_.shallow(expr.args[0]->type);
        const bool chained = operand.is(TypeKind::Optional);
        if (chained) operand = types_.shallow(operand.arguments()[0]);
        Type field = field_type(expr, operand);
        set(expr, chained || expr.optional ? Type::optional(std::move(field)) : field);
    }
    void has(Expr& expr) {
        visit(*expr.args[0]);
        Type operand = types_.shallow(expr.args[0]->type);
        if (operand.is(TypeKind::Optional)) operand = types_.shallow(operand.arguments()[0]);
        field_type(expr, operand);
        set(expr, TypeKind::Bool);
    }
    Type field_type(const Expr& expr, const Type& operand) {
        switch (operand.kind()) {
        case TypeKind::Dyn:
        case TypeKind::Any: return {};
        case TypeKind::Parameter: types_.assignable(operand, TypeKind::Dyn); return {};
        case TypeKind::Map:
            if (!types_.assignable(TypeKind::String, operand.arguments()[0]))
                report_at(expr, "a " + types_.closed(operand).text() + " has no field '" +
                                    expr.name + "': its keys are no strings");
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
            report_at(expr, "type '" + types_.closed(operand).text() +
                                "' does not support field selection");
            return {};
        }
        return {};
    }

    void index(Expr& expr) {
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
    bool namespaced(Expr& expr) {
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

    void call(Expr& expr) {
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

    void resolve(Expr& expr, std::span<const Overload> all) {
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
    bool accepts(const Overload& overload, const Expr& expr, Inference::Instance& instance) {
        Inference::Mark before = types_.mark();
        for (std::size_t i = 0; i != expr.args.size(); ++i)
            if (!types_.assignable(expr.args[i]->type, instance.of(overload.parameters[i]))) {
                types_.rewind(std::move(before));
                return false;
            }
        return true;
    }

    void conditional(Expr& expr) {
        for (Expr* arg : expr.args) visit(*arg);
        expect(*expr.args[0], TypeKind::Bool, "?:");
        const Type& then = expr.args[1]->type;
        const Type& otherwise = expr.args[2]->type;
        if (!types_.assignable(otherwise, then) && !types_.assignable(then, otherwise))
            report(expr, "both results of '?:' need one type, found " + types_.closed(then).text() +
                             " and " + types_.closed(otherwise).text());
        set(expr, types_.join(then, otherwise));
    }

    Type element(const Expr& arg, bool marked) {
        if (!marked) return arg.type;
        const Type wanted = Type::optional(types_.fresh());
        if (!types_.assignable(arg.type, wanted))
            report(arg, "'?' needs an optional value, found " + types_.closed(arg.type).text());
        const Type found = types_.shallow(arg.type);
        return found.is(TypeKind::Optional) ? found.arguments()[0] : Type{};
    }
    void list(Expr& expr) {
        std::optional<Type> joined;
        for (std::size_t i = 0; i != expr.args.size(); ++i) {
            visit(*expr.args[i]);
            const Type next = element(*expr.args[i], expr.marked[i]);
            joined = joined ? types_.join(*joined, next) : next;
        }
        set(expr, Type::list(joined ? *joined : types_.fresh()));
    }
    void map(Expr& expr) {
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

    void message(Expr& expr) {
        for (Expr* arg : expr.args) visit(*arg);
        const MessageType* type = nullptr;
        for (const std::string& name :
             candidates(environment_.container(), expr.name, expr.leading_dot)) {
            type = find_message_type(name);
            if (type != nullptr) break;
        }
        set(expr, type == nullptr ? Type{} : type->type);
        if (type == nullptr)
            return report(expr, "undeclared reference to type '" + expr.name + "'");
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

    void loop(Expr& expr) {
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
    void loop_result(Expr& expr, const Type& range, const Type& first) {
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
            return set(
                expr, Type::map(range.is(TypeKind::List) ? Type{TypeKind::Int} : first, last.type));
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

    void opt_map(Expr& expr) {
        visit(*expr.args[0]);
        const Type target = types_.shallow(expr.args[0]->type);
        const bool known = target.is(TypeKind::Optional);
        if (!known && !target.is(TypeKind::Dyn) && !target.is(TypeKind::Parameter))
            report(*expr.args[0],
                   "an optional value is needed, found " + types_.closed(target).text());
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

    static bool depends_on_loop(const Expr& expr) {
        if (expr.op == Op::Identifier &&
            (expr.name.starts_with("@it:") || expr.name.starts_with("@ac:")))
            return true;
        return std::ranges::any_of(expr.args,
                                   [](const Expr* arg) { return depends_on_loop(*arg); });
    }
    void block(Expr& expr) {
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
    bool uses_open_slot(const Expr& expr) const {
        if (expr.op == Op::Identifier && expr.name.starts_with("@index")) {
            const Local* slot = local(expr.name);
            return slot != nullptr && slot->type.is(TypeKind::Dyn);
        }
        return std::ranges::any_of(expr.args,
                                   [&](const Expr* arg) { return uses_open_slot(*arg); });
    }

    void close(Expr& expr) {
        expr.type = types_.closed(expr.type);
        for (Expr* arg : expr.args) close(*arg);
    }

    const Environment& environment_;
    const Options& options_;
    Issues& issues_;
    Inference types_;
    std::vector<Local> locals_;
};

}  // namespace

Type check(Ast& ast, const Environment& environment, const Options& options, Issues& issues) {
    return Checker{environment, options, issues}.run(*ast.root);
}

}  // namespace chaperone::cel

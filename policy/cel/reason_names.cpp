// SPDX-License-Identifier: Apache-2.0
// What a condition names: its literals, and the values it has for paths.
#include "policy/cel/ast.h"
#include "policy/cel/reason.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace chaperone::cel {
namespace {

class Namer {
public:
    void visit(const Expr& expr) {
        if (expr.op == Op::Call && expr.name == kNot) return;
        if (expr.op == Op::Call && expr.args.size() == 2) {
            if (expr.name == "_==_") {
                name(*expr.args[0], *expr.args[1]);
                name(*expr.args[1], *expr.args[0]);
            } else if (expr.name == kIn) {
                name_all(*expr.args[0], *expr.args[1]);
            }
            return;
        }
        if (expr.op != Op::Loop || !expr.variable2.empty()) {
            for (const Expr* arg : expr.args) visit(*arg);
            return;
        }
        const auto list = path(*expr.args[0]);
        if (!list) return;
        bound_.emplace_back(expr.variable, *list + "[]");
        for (std::size_t i = 1; i != expr.args.size(); ++i) visit(*expr.args[i]);
        bound_.pop_back();
    }
    std::vector<NamedValue> take() { return {found_.begin(), found_.end()}; }

private:
    std::optional<std::string> path(const Expr& expr) const {
        if (expr.op == Op::Identifier) {
            if (!expr.local) return expr.name;
            for (auto bound = bound_.rbegin(); bound != bound_.rend(); ++bound)
                if (bound->first == expr.name) return bound->second;
            return std::nullopt;
        }
        if (expr.op != Op::Select || expr.optional) return std::nullopt;
        const auto operand = path(*expr.args[0]);
        if (!operand) return std::nullopt;
        return *operand + "." + expr.name;
    }
    void name(const Expr& term, const Expr& value) {
        if (value.op != Op::Constant || value.value.is_failure()) return;
        if (const auto found = path(term)) found_.insert({*found, describe(value.value)});
    }
    void name_all(const Expr& term, const Expr& list) {
        if (list.op != Op::Constant || !list.value.is(Kind::List)) {
            if (term.op != Op::Constant) return;
            if (const auto found = path(list)) found_.insert({*found + "[]", describe(term.value)});
            return;
        }
        const auto found = path(term);
        for (std::size_t i = 0; found && i != list.value.as_list().size(); ++i)
            found_.insert({*found, describe(list.value.as_list().at(i))});
    }

    std::vector<std::pair<std::string, std::string>> bound_;
    std::set<NamedValue> found_;
};

void collect(const Value& value, std::set<std::string>& texts) {
    if (value.is(Kind::String)) texts.emplace(value.as_text());
    if (value.is(Kind::List))
        for (std::size_t i = 0; i != value.as_list().size(); ++i)
            collect(value.as_list().at(i), texts);
    if (value.is(Kind::Map))
        for (std::size_t i = 0; i != value.as_map().size(); ++i) {
            collect(value.as_map().key(i), texts);
            collect(value.as_map().at(i), texts);
        }
}
void collect(const Expr& expr, std::set<std::string>& texts) {
    if (expr.op == Op::Constant) collect(expr.value, texts);
    for (const Expr* arg : expr.args) collect(*arg, texts);
}

}  // namespace

std::vector<NamedValue> named_values(const Program& program) {
    Namer namer;
    namer.visit(tree(program));
    return namer.take();
}

std::vector<std::string> text_literals(const Program& program) {
    std::set<std::string> texts;
    collect(tree(program), texts);
    return {texts.begin(), texts.end()};
}

}  // namespace chaperone::cel

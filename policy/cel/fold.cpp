// SPDX-License-Identifier: Apache-2.0
// Partial evaluation: every largest part that reads only what is known is evaluated; && || and ?:
// with a known side shrink to what is left of them.
#include "policy/cel/fold.h"

#include "policy/cel/nodes.h"

#include <algorithm>
#include <set>

namespace chaperone::cel {
namespace {

bool is_constant_key(const Expr& expr) {
    return expr.op == Op::Constant && !expr.value.is_failure();
}
bool is_chain(const Expr& expr) {
    return expr.op == Op::Select || expr.op == Op::Has ||
           (expr.op == Op::Index && is_constant_key(*expr.args[1]));
}
const Expr& chain_root(const Expr& expr) {
    const Expr* root = &expr;
    while (is_chain(*root)) root = root->args[0];
    return *root;
}
bool is_variable(const Expr& expr) {
    return expr.op == Op::Identifier && !expr.local && expr.slot != Environment::kNone;
}
std::string path_of(const Expr& expr, const Environment& environment) {
    if (expr.op == Op::Identifier) return environment.variables()[expr.slot].name;
    std::string path = path_of(*expr.args[0], environment);
    if (expr.op == Op::Index) return path + "[" + describe(expr.args[1]->value, 80) + "]";
    return path + "." + expr.name;
}

// Objects are views into facts that the residual program may outlive.
bool may_be_kept(const Value& value, int depth = 0) {
    constexpr int kMaxDepth = 50;
    constexpr std::size_t kMaxSize = 10'000;  // more elements are cheaper to leave where they are
    if (depth > kMaxDepth) return false;
    if (value.is(Kind::Object)) return false;
    if (value.is(Kind::List)) {
        const List& list = value.as_list();
        if (list.size() > kMaxSize) return false;
        for (std::size_t i = 0; i != list.size(); ++i)
            if (!may_be_kept(list.at(i), depth + 1)) return false;
    }
    if (value.is(Kind::Map)) {
        const Map& map = value.as_map();
        if (map.size() > kMaxSize) return false;
        for (std::size_t i = 0; i != map.size(); ++i)
            if (!may_be_kept(map.at(i), depth + 1)) return false;
    }
    return !value.is(Kind::Optional) || value.held() == nullptr ||
           may_be_kept(*value.held(), depth + 1);
}

class Folder {
public:
    Folder(Ast& ast, const Environment& environment, const Activation& known, const Limits& limits)
        : ast_(ast), environment_(environment), known_(known), limits_(limits) {}

    Expr* fold(Expr& expr) {
        if (expr.op == Op::Constant || locals_refer(expr)) return &expr;
        if (is_known(expr)) {
            if (Expr* constant = evaluate(expr); constant != nullptr) return constant;
        }
        if (is_chain(expr) && is_variable(chain_root(expr))) return &expr;
        if (is_variable(expr) || expr.op == Op::Identifier) return &expr;
        // The slots of a block are read by name inside; only the whole of it folds.
        if (expr.op == Op::Block) return &expr;
        return rebuilt(expr);
    }

private:
    // Of a macro's own variable nothing is known.
    static bool locals_refer(const Expr& expr) { return expr.op == Op::Identifier && expr.local; }

    bool is_bound(const std::string& name) const {
        return std::ranges::find(bound_, name) != bound_.end();
    }

    // Whether evaluating needs nothing but what is known.
    bool is_known(const Expr& expr) {
        switch (expr.op) {
        case Op::Constant: return true;
        case Op::Identifier:
            if (expr.local || expr.name.starts_with('@')) return is_bound(expr.name);
            return known_attribute(expr);
        case Op::Select:
        case Op::Has:
        case Op::Index:
            if (is_chain(expr) && is_variable(chain_root(expr))) return known_attribute(expr);
            return all_known(expr);
        case Op::Call:
            return std::ranges::all_of(expr.overloads, [](const Overload* o) { return o->pure; }) &&
                   all_known(expr);
        case Op::And:
        case Op::Or:
        case Op::Conditional:
        case Op::List:
        case Op::Map:
        case Op::Struct: return all_known(expr);
        case Op::Loop:
        case Op::Bind:
        case Op::OptMap: {
            if (!is_known(*expr.args[0])) return false;
            const std::size_t before = bound_.size();
            bound_.push_back(expr.variable);
            if (!expr.variable2.empty()) bound_.push_back(expr.variable2);
            const bool known = std::all_of(expr.args.begin() + 1, expr.args.end(),
                                           [&](const Expr* arg) { return is_known(*arg); });
            bound_.resize(before);
            return known;
        }
        case Op::Block: {
            const std::size_t before = bound_.size();
            for (std::size_t i = 0; i + 1 != expr.args.size(); ++i)
                bound_.push_back("@index" + std::to_string(i));
            const bool known = all_known(expr);
            bound_.resize(before);
            return known;
        }
        }
        return false;
    }
    bool all_known(const Expr& expr) {
        return std::ranges::all_of(expr.args, [&](const Expr* arg) { return is_known(*arg); });
    }
    bool known_attribute(const Expr& expr) {
        const Expr& root = chain_root(expr);
        if (!is_variable(root)) return root.op == Op::Identifier ? false : is_known(root);
        const std::string path = path_of(expr, environment_);
        for (const std::string& pattern : known_.unknowns())
            if (related(path, pattern)) return false;
        if (variables_.size() <= root.slot) variables_.resize(root.slot + 1, -1);
        signed char& known = variables_[root.slot];
        if (known < 0) known = known_.variable(root.slot).is(Kind::Unknown) ? 0 : 1;
        return known == 1;
    }

    Expr* evaluate(const Expr& expr) {
        const Lowered code = lower(expr, environment_, nullptr);
        const Value value = run(code, known_, limits_);
        if (value.is(Kind::Unknown) || !may_be_kept(value)) return nullptr;
        Expr* made = ast_.make(Op::Constant, expr.begin, expr.end);
        made->at = expr.at;
        made->type = expr.type;
        made->value = value.keep();
        return made;
    }

    Expr* rebuilt(Expr& expr) {
        std::vector<Expr*> args;
        bool changed = false;
        for (Expr* arg : expr.args) {
            args.push_back(fold(*arg));
            changed = changed || args.back() != arg;
        }
        Expr* shrunk = nullptr;
        if (expr.op == Op::And || expr.op == Op::Or) shrunk = logic(expr, args);
        if (expr.op == Op::Conditional && args[0]->op == Op::Constant &&
            args[0]->value.is(Kind::Bool))
            shrunk = args[0]->value.as_bool() ? args[1] : args[2];
        if (shrunk != nullptr) return shrunk;
        if (!changed) return &expr;
        Expr* made = ast_.make(expr.op, expr.begin, expr.end);
        *made = expr;
        made->args = std::move(args);
        return made;
    }
    // A side that decides is the result; one that cannot change a bool leaves the other.
    static Expr* logic(const Expr& expr, const std::vector<Expr*>& args) {
        const bool absorbs = expr.op == Op::Or;
        for (std::size_t i = 0; i != 2; ++i) {
            const Expr& side = *args[i];
            Expr* other = args[1 - i];
            if (side.op != Op::Constant || !side.value.is(Kind::Bool)) continue;
            if (side.value.as_bool() == absorbs) return args[i];
            if (other->type.is(TypeKind::Bool)) return other;
        }
        return nullptr;
    }

    Ast& ast_;
    const Environment& environment_;
    const Activation& known_;
    const Limits& limits_;
    std::vector<std::string> bound_;
    std::vector<signed char> variables_;  // by slot: -1 not asked yet, 0 unknown, 1 known
};

void collect(const Expr& expr, const Environment& environment, std::set<std::string>& paths) {
    if ((is_chain(expr) || expr.op == Op::Identifier) && is_variable(chain_root(expr))) {
        paths.insert(path_of(expr, environment));
        return;
    }
    for (const Expr* arg : expr.args) collect(*arg, environment, paths);
}

}  // namespace

Expr* fold(Ast& ast, Expr& root, const Environment& environment, const Activation& known,
           const Limits& limits) {
    return Folder{ast, environment, known, limits}.fold(root);
}

std::vector<std::string> references(const Expr& root, const Environment& environment) {
    std::set<std::string> paths;
    collect(root, environment, paths);
    return {paths.begin(), paths.end()};
}

}  // namespace chaperone::cel

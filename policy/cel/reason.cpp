// SPDX-License-Identifier: Apache-2.0
// A tableau: claims are taken apart case by case until each case holds a contradiction, or one does
// not and there is no proof.
#include "policy/cel/reason.h"

#include "policy/cel/compare.h"
#include "policy/cel/reason_cube.h"

#include <algorithm>
#include <deque>

namespace chaperone::cel {
namespace {

constexpr std::size_t kCases = 2'000;        // taken apart before a search is given up
constexpr std::size_t kMostGoals = 500;      // of one case
constexpr std::size_t kDeepest = 250;        // cases inside one another
constexpr std::size_t kLongestList = 200;    // elements of a constant list that are followed
constexpr std::string_view kElement = "[]";  // the path of a list's elements

std::optional<std::int64_t> integer(const Value* value) {
    if (value == nullptr || !value->is(Kind::Int)) return std::nullopt;
    return value->as_int();
}

bool holds(std::string_view order, std::int64_t left, std::int64_t right) {
    if (order == "_==_") return left == right;
    if (order == "_!=_") return left != right;
    if (order == "_<_") return left < right;
    if (order == "_<=_") return left <= right;
    return order == "_>_" ? left > right : left >= right;
}
std::string_view mirrored(std::string_view order) {
    if (order == "_<_") return "_>_";
    if (order == "_<=_") return "_>=_";
    if (order == "_>_") return "_<_";
    return order == "_>=_" ? "_<=_" : order;
}
std::string_view negated(std::string_view order) {
    if (order == "_<_") return "_>=_";
    if (order == "_<=_") return "_>_";
    return order == "_>_" ? "_<=_" : "_<_";
}

class Proof {
public:
    explicit Proof(const World& world) : world_(world) {}

    struct Goal {
        const Expr* expr;
        bool holds;
        Names names;
    };

    // Whether no facts beside those of the cube meet all goals.
    bool closes(std::vector<Goal> goals, Cube cube) {
        if (depth_ == kDeepest || ++cases_ > kCases || !spend()) return false;
        const Deeper deeper{depth_};
        while (!goals.empty()) {
            if (goals.size() > kMostGoals) return false;
            const Goal goal = std::move(goals.back());
            goals.pop_back();
            const Expr& expr = *goal.expr;
            const auto with = [&](const Expr* part, bool holds) {
                return Goal{part, holds, goal.names};
            };
            if (expr.op == Op::Call && expr.name == kNot) {
                goals.push_back(with(expr.args[0], !goal.holds));
            } else if (expr.op == Op::And || expr.op == Op::Or) {
                if ((expr.op == Op::And) == goal.holds) {
                    for (const Expr* arg : expr.args) goals.push_back(with(arg, goal.holds));
                    continue;
                }
                return std::ranges::all_of(expr.args, [&](const Expr* arg) {
                    auto more = goals;
                    more.push_back(with(arg, goal.holds));
                    return closes(std::move(more), cube);
                });
            } else if (expr.op == Op::Conditional) {
                auto then = goals;
                then.push_back(with(expr.args[0], true));
                then.push_back(with(expr.args[1], goal.holds));
                goals.push_back(with(expr.args[0], false));
                goals.push_back(with(expr.args[2], goal.holds));
                return closes(std::move(then), cube) && closes(std::move(goals), std::move(cube));
            } else if (unrolls(expr, goal.names)) {
                return unrolled(goal, goals, cube);
            } else if (!learn(goal, goals, cube)) {
                return true;
            }
        }
        return lists_close(cube);
    }

    bool assume(const NamedValue& given, Cube& cube) {
        const auto at = given.path.find(kElement);
        if (at == given.path.npos) return cube.one_of(given.path, {given.value}, true);
        const std::string list = given.path.substr(0, at);
        std::string field = given.path.substr(at + kElement.size());
        if (field.starts_with('.')) field.erase(0, 1);
        cube.lists()[list].every.push_back({.field = field, .values = {given.value}});
        cube.lists()[list].some.push_back({.anything = true});
        return true;
    }

private:
    struct Deeper {
        explicit Deeper(std::size_t& at) : depth(at) { ++depth; }
        ~Deeper() { --depth; }
        Deeper(const Deeper&) = delete;
        Deeper& operator=(const Deeper&) = delete;
        std::size_t& depth;
    };
    // Of what all proofs together may cost.
    bool spend() const {
        if (world_.budget == nullptr) return true;
        if (*world_.budget == 0) return false;
        --*world_.budget;
        return true;
    }
    const Value* constant(const Expr& expr, const Names& names) const {
        if (expr.op == Op::Constant) return &expr.value;
        if (expr.op != Op::Identifier || !expr.local) return nullptr;
        for (auto name = names.rbegin(); name != names.rend(); ++name)
            if (name->name == expr.name) return name->value;
        return nullptr;
    }

    // The expression's name in this proof: the same text, the same value.
    std::string path(const Expr& expr, const Names& names) const {
        if (const Value* value = constant(expr, names)) return describe(*value, 4'096);
        switch (expr.op) {
        case Op::Identifier:
            if (!expr.local) return expr.name;
            for (auto name = names.rbegin(); name != names.rend(); ++name)
                if (name->name == expr.name) return name->path;
            break;
        case Op::Select:
            if (!expr.optional) return path(*expr.args[0], names) + "." + expr.name;
            break;
        case Op::Index:
            if (!expr.optional)
                return path(*expr.args[0], names) + "[" + path(*expr.args[1], names) + "]";
            break;
        case Op::Call: {
            std::string text = expr.name + "(";
            for (const Expr* arg : expr.args) text += path(*arg, names) + ",";
            return text + ")";
        }
        default: break;
        }
        // Without variables of macros around it the text says it all; else it is like no other.
        return names.empty() ? unparse(expr) : unparse(expr) + "@" + std::to_string(++unique_);
    }

    // A quantifier over a constant list is a conjunction or a disjunction.
    bool unrolls(const Expr& expr, const Names& names) const {
        if (expr.op != Op::Loop || expr.args.size() != 2 || !expr.variable2.empty()) return false;
        if (expr.loop != Loop::All && expr.loop != Loop::Exists) return false;
        const Value* list = constant(*expr.args[0], names);
        return list != nullptr && list->is(Kind::List) && list->as_list().size() <= kLongestList;
    }
    bool unrolled(const Goal& goal, std::vector<Goal> goals, const Cube& cube) {
        const Value held = *constant(*goal.expr->args[0], goal.names);
        const List& list = held.as_list();
        std::vector<Goal> bodies;
        for (std::size_t i = 0; i != list.size(); ++i) {
            Names names = goal.names;
            names.push_back({goal.expr->variable, {}, &values_.emplace_back(list.at(i).keep())});
            bodies.push_back({goal.expr->args[1], goal.holds, std::move(names)});
        }
        if ((goal.expr->loop == Loop::All) == goal.holds) {
            goals.insert(goals.end(), bodies.begin(), bodies.end());
            return closes(std::move(goals), cube);
        }
        return std::ranges::all_of(bodies, [&](const Goal& body) {
            auto more = goals;
            more.push_back(body);
            return closes(std::move(more), cube);
        });
    }

    // Adds what the goal says; false if it contradicts the cube.
    bool learn(const Goal& goal, std::vector<Goal>& goals, Cube& cube) {
        const Expr& expr = *goal.expr;
        if (const Value* value = constant(expr, goal.names))
            return goal.holds ? value->is_true() : value->is_false();
        if (expr.op == Op::Loop) return learn_loop(goal, cube);
        if (expr.op == Op::Call && expr.args.size() == 2) {
            if (expr.name == "_==_" || expr.name == "_!=_" || expr.name.starts_with("_<") ||
                expr.name.starts_with("_>"))
                return learn_order(goal, goals, cube);
            if (expr.name == kIn) return learn_in(goal, cube);
            if (expr.name == "startsWith" || expr.name == "endsWith" || expr.name == "contains")
                return learn_test(goal, cube);
        }
        return cube.atom(path(expr, goal.names), goal.holds);
    }

    bool learn_loop(const Goal& goal, Cube& cube) {
        const Expr& expr = *goal.expr;
        const bool plain = expr.args.size() == 2 && expr.variable2.empty();
        const bool known = expr.loop == Loop::All || expr.loop == Loop::Exists;
        const std::string list = path(*expr.args[0], goal.names);
        if (plain && (known || (expr.loop == Loop::ExistsOne && goal.holds))) {
            ElementOf element{.body = expr.args[1], .variable = expr.variable, .names = goal.names};
            element.holds = goal.holds;
            auto& elements = cube.lists()[list];
            ((expr.loop == Loop::All) == goal.holds ? elements.every : elements.some)
                .push_back(std::move(element));
        }
        return known && plain ? true : cube.atom(path(expr, goal.names), goal.holds);
    }

    bool learn_order(const Goal& goal, std::vector<Goal>& goals, Cube& cube) {
        const Expr* left = goal.expr->args[0];
        const Expr* right = goal.expr->args[1];
        std::string_view order = goal.expr->name;
        if (constant(*left, goal.names) != nullptr) {
            std::swap(left, right);
            order = mirrored(order);
        }
        const Value* with = constant(*right, goal.names);
        const Value* other = constant(*left, goal.names);
        const bool equality = order == "_==_" || order == "_!=_";
        if (with == nullptr || (!equality && !integer(with)))
            return cube.atom(path(*goal.expr, goal.names), goal.holds);
        if (other != nullptr) {
            if (equality) return (equal(*other, *with) == (order == "_==_")) == goal.holds;
            if (!integer(other)) return true;
            return holds(order, other->as_int(), with->as_int()) == goal.holds;
        }
        if (equality && with->is(Kind::Bool)) {
            goals.push_back(
                {left, (with->as_bool() == (order == "_==_")) == goal.holds, goal.names});
            return true;
        }
        if (with->is(Kind::List) && with->as_list().size() == 0 && equality)
            return learn_size(*left, goal.names, (order == "_==_") == goal.holds, cube);
        if (left->op == Op::Call && left->name == "size" && left->args.size() == 1 && integer(with))
            if (!learn_count(*left->args[0], goal, order, with->as_int(), cube)) return false;
        const std::string name = path(*left, goal.names);
        if (equality) return cube.one_of(name, {describe(*with)}, (order == "_==_") == goal.holds);
        return cube.compare(name, goal.holds ? order : negated(order), with->as_int());
    }
    // size(list) against a number may say that there is an element, or that there is none.
    bool learn_count(const Expr& list, const Goal& goal, std::string_view order, std::int64_t with,
                     Cube& cube) {
        const bool none = holds(order, 0, with) == goal.holds;
        bool any = with < 0 || with > 1'000;  // some size that is not 0
        for (std::int64_t size = 1; !any && size <= with + 1; ++size)
            any = holds(order, size, with) == goal.holds;
        if (none && any) return true;
        return (none || any) && learn_size(list, goal.names, none, cube);
    }
    bool learn_size(const Expr& list, const Names& names, bool empty, Cube& cube) {
        auto& elements = cube.lists()[path(list, names)];
        ElementOf element{.anything = true, .holds = !empty};
        (empty ? elements.every : elements.some).push_back(std::move(element));
        return true;
    }

    bool learn_in(const Goal& goal, Cube& cube) {
        const Value* element = constant(*goal.expr->args[0], goal.names);
        const Value* list = constant(*goal.expr->args[1], goal.names);
        if (list != nullptr && list->is(Kind::List)) {
            std::set<std::string> values;
            for (std::size_t i = 0; i != list->as_list().size(); ++i)
                values.insert(describe(list->as_list().at(i)));
            if (element != nullptr) return values.contains(describe(*element)) == goal.holds;
            return cube.one_of(path(*goal.expr->args[0], goal.names), values, goal.holds);
        }
        const bool of_list = goal.expr->args[1]->type.is(TypeKind::List);
        if (element == nullptr || list != nullptr || !of_list)
            return cube.atom(path(*goal.expr, goal.names), goal.holds);
        auto& elements = cube.lists()[path(*goal.expr->args[1], goal.names)];
        ElementOf made{.values = {describe(*element)}, .holds = goal.holds};
        (goal.holds ? elements.some : elements.every).push_back(std::move(made));
        return true;
    }

    bool learn_test(const Goal& goal, Cube& cube) {
        const Value* part = constant(*goal.expr->args[1], goal.names);
        const Value* text = constant(*goal.expr->args[0], goal.names);
        if (part == nullptr || !part->is(Kind::String) || text != nullptr)
            return cube.atom(path(*goal.expr, goal.names), goal.holds);
        return cube.test(path(*goal.expr->args[0], goal.names),
                         {goal.expr->name, std::string{part->as_text()}, goal.holds});
    }

    // An element as one list demands it; false if it cannot be.
    bool demand(const ElementOf& element, const std::string& name, std::vector<Goal>& goals,
                Cube& cube) const {
        if (element.anything) return element.holds;
        if (element.body == nullptr)
            return cube.one_of(element.field.empty() ? name : name + "." + element.field,
                               element.values, element.holds);
        Names names = element.names;
        names.push_back({element.variable, name});
        goals.push_back({element.body, element.holds, std::move(names)});
        return true;
    }

    bool lists_close(Cube& cube) {
        for (const auto& [list, implied] : world_.implied) {
            const auto found = cube.lists().find(list);
            if (found == cube.lists().end() || found->second.some.empty()) continue;
            cube.lists()[implied.list].some.push_back(
                {.field = implied.field, .values = implied.values});
        }
        for (const auto& [list, elements] : cube.lists()) {
            std::vector<ElementOf> witnesses = elements.some;
            if (world_.filled.contains(list)) witnesses.push_back({.anything = true});
            for (const ElementOf& witness : witnesses) {
                const std::string name = list + std::string{kElement};
                Cube inner = cube.around();
                std::vector<Goal> goals;
                bool can_be = demand(witness, name, goals, inner);
                for (const ElementOf& other : elements.every)
                    can_be = can_be && demand(other, name, goals, inner);
                if (!can_be || closes(std::move(goals), std::move(inner))) return true;
            }
        }
        return false;
    }

    const World& world_;
    std::deque<Value> values_;
    std::size_t cases_ = 0;
    std::size_t depth_ = 0;
    mutable std::size_t unique_ = 0;
};

}  // namespace

bool impossible(std::span<const Claim> claims, const World& world) {
    Proof proof{world};
    Cube cube{world};
    std::vector<Proof::Goal> goals;
    for (const Claim& claim : claims) {
        if (claim.program != nullptr)
            goals.push_back({&tree(*claim.program), claim.holds, {}});
        else if (!claim.holds)
            return true;
    }
    for (const NamedValue& given : world.assumed)
        if (!proof.assume(given, cube)) return true;
    return proof.closes(std::move(goals), std::move(cube));
}

}  // namespace chaperone::cel

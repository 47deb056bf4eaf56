// SPDX-License-Identifier: Apache-2.0
// The macros: has, the comprehensions with one and two variables, the optional ones, cel.bind,
// cel.block and the variadic math functions.
#include "policy/cel/parser.h"

#include <array>
#include <optional>

namespace chaperone::cel {
namespace {

struct LoopMacro {
    std::string_view name;
    std::size_t arguments;  // beside the receiver
    Loop loop;
    bool two_variables;
    bool filter;  // a filter stands before the transformation
};

constexpr std::array<LoopMacro, 16> kLoops{{
    {"all", 2, Loop::All, false, false},
    {"all", 3, Loop::All, true, false},
    {"exists", 2, Loop::Exists, false, false},
    {"exists", 3, Loop::Exists, true, false},
    {"exists_one", 2, Loop::ExistsOne, false, false},
    {"existsOne", 2, Loop::ExistsOne, false, false},
    {"existsOne", 3, Loop::ExistsOne, true, false},
    {"map", 2, Loop::Map, false, false},
    {"map", 3, Loop::Map, false, true},
    {"filter", 2, Loop::Filter, false, false},
    {"transformList", 3, Loop::TransformList, true, false},
    {"transformList", 4, Loop::TransformList, true, true},
    {"transformMap", 3, Loop::TransformMap, true, false},
    {"transformMap", 4, Loop::TransformMap, true, true},
    {"transformMapEntry", 3, Loop::TransformMapEntry, true, false},
    {"transformMapEntry", 4, Loop::TransformMapEntry, true, true},
}};

class Expander {
public:
    Expander(Ast& ast, Expr& call, Issues& issues) : ast_(ast), call_(call), issues_(issues) {}

    Expr* run() {
        if (!call_.member) return call_.name == "has" && call_.args.size() == 1 ? has() : nullptr;
        const Expr& target = *call_.args[0];
        if (target.op == Op::Identifier && !target.leading_dot) {
            if (target.name == "cel") return of_cel();
            if (target.name == "math" && (call_.name == "greatest" || call_.name == "least"))
                return extreme();
        }
        if (call_.args.size() == 3 && (call_.name == "optMap" || call_.name == "optFlatMap"))
            return optional();
        if (call_.args.size() == 3 && call_.name == "sortBy")
            return loop({"sortBy", 2, Loop::SortBy, false, false});
        for (const LoopMacro& macro : kLoops)
            if (macro.name == call_.name && macro.arguments + 1 == call_.args.size())
                return loop(macro);
        return nullptr;
    }

private:
    Expr* make(Op op) {
        Expr* made = ast_.make(op, call_.begin, call_.end);
        made->at = call_.at;
        return made;
    }
    Expr* wrong(const Expr& where, std::string message) {
        issues_.error(where.begin, where.end, std::move(message));
        return make(Op::Constant);
    }
    bool name_of(const Expr& expr, std::string& name) {
        if (expr.op == Op::Identifier && !expr.leading_dot) {
            name = expr.name;
            return true;
        }
        wrong(expr, "'" + call_.name + "' needs a simple name here: the variable of the macro");
        return false;
    }

    Expr* has() {
        const Expr& argument = *call_.args[0];
        if (argument.op != Op::Select || argument.optional)
            return wrong(argument, "has() needs a field selection: has(e.f)");
        Expr* made = make(Op::Has);
        made->name = argument.name;
        made->at = argument.at;
        made->args = argument.args;
        return made;
    }

    Expr* loop(const LoopMacro& macro) {
        Expr* made = make(Op::Loop);
        made->loop = macro.loop;
        std::size_t at = 1;
        if (!name_of(*call_.args[at++], made->variable)) return made;
        if (macro.two_variables) {
            if (!name_of(*call_.args[at], made->variable2)) return made;
            if (made->variable == made->variable2)
                return wrong(*call_.args[at], "the two variables need different names");
            ++at;
        }
        made->args.push_back(call_.args[0]);
        for (; at != call_.args.size(); ++at) made->args.push_back(call_.args[at]);
        return made;
    }

    Expr* optional() {
        Expr* made = make(Op::OptMap);
        made->optional = call_.name == "optFlatMap";
        if (name_of(*call_.args[1], made->variable))
            made->args = {call_.args[0], call_.args[2]};
        else
            made->args = {call_.args[0], call_.args[0]};
        return made;
    }

    static std::optional<std::int64_t> natural(const Expr& expr) {
        constexpr std::int64_t kMost = 100'000;  // no expression has more slots
        if (expr.op != Op::Constant || !expr.value.is(Kind::Int)) return std::nullopt;
        if (expr.value.as_int() < 0 || expr.value.as_int() > kMost) return std::nullopt;
        return expr.value.as_int();
    }

    Expr* of_cel() {
        const auto& args = call_.args;
        if (call_.name == "bind" && args.size() == 4) {
            Expr* made = make(Op::Bind);
            made->args = {args[2], args[3]};
            name_of(*args[1], made->variable);
            return made;
        }
        if ((call_.name == "block" || call_.name == "@block") && args.size() == 3) {
            if (args[1]->op != Op::List) return wrong(*args[1], "cel.block needs a list literal");
            Expr* made = make(Op::Block);
            made->args = args[1]->args;
            made->args.push_back(args[2]);
            return made;
        }
        if (call_.name == "index" && args.size() == 2) return generated("@index", {args[1]});
        if (args.size() == 3 && call_.name == "iterVar")
            return generated("@it", {args[1], args[2]});
        if (args.size() == 3 && call_.name == "accuVar")
            return generated("@ac", {args[1], args[2]});
        return nullptr;
    }
    Expr* generated(std::string name, const std::vector<Expr*>& numbers) {
        for (const Expr* number : numbers) {
            const auto value = natural(*number);
            if (!value) return wrong(*number, "a small number is needed here");
            name += (numbers.size() == 1 ? "" : ":") + std::to_string(*value);
        }
        Expr* made = make(Op::Identifier);
        made->name = std::move(name);
        return made;
    }

    // math.greatest(a, b, c…) is math.@max([a, b, c…]); one or two arguments are passed as such.
    Expr* extreme() {
        if (call_.args.size() == 1)
            return wrong(call_, "math." + call_.name + "() needs at least one argument");
        Expr* made = make(Op::Call);
        made->name = call_.name == "greatest" ? "math.@max" : "math.@min";
        made->args.assign(call_.args.begin() + 1, call_.args.end());
        if (made->args.size() <= 2) return made;
        Expr* list = make(Op::List);
        list->args = std::move(made->args);
        list->marked.resize(list->args.size());
        for (const Expr* arg : list->args) list->height = std::max(list->height, arg->height);
        ++list->height;
        made->args = {list};
        return made;
    }

    Ast& ast_;
    Expr& call_;
    Issues& issues_;
};

}  // namespace

Expr* expand_macro(Ast& ast, Expr& call, Issues& issues) {
    return Expander{ast, call, issues}.run();
}

}  // namespace chaperone::cel

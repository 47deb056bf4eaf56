// SPDX-License-Identifier: Apache-2.0
// The walk of the type checker: one member a kind of expression, each annotates the node it is
// given and those below it. Inside of checker.cpp and its parts only.
#pragma once

#include "policy/cel/checker.h"
#include "policy/cel/infer.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

class Checker {
public:
    Checker(const Environment& environment, const Options& options, Issues& issues)
        : environment_(environment), options_(options), issues_(issues) {}

    Type run(Expr& root);

private:
    struct Local {
        std::string name;
        Type type;
    };

    void report(const Expr& where, std::string message, std::string suggestion = {});
    void report_at(const Expr& where, std::string message, std::string suggestion = {});
    static std::string meant(std::string_view name, const std::vector<std::string>& names);
    // Without checking every type is dyn, whatever was declared.
    void set(Expr& expr, Type type) { expr.type = options_.check ? std::move(type) : Type{}; }
    void expect(const Expr& arg, const Type& wanted, std::string_view who);
    void visit(Expr& expr);
    void close(Expr& expr);

    // Names and fields: checker.cpp.
    static Type type_of(const Value& value);
    const Local* local(std::string_view name) const;
    // A variable or a type of this name, inside the container; the expression becomes it.
    bool global(Expr& expr, std::string_view name, bool leading_dot);
    static void become(Expr& expr, std::string name);
    void identifier(Expr& expr);
    bool qualified(Expr& expr);
    void select(Expr& expr);
    void has(Expr& expr);
    Type field_type(const Expr& expr, const Type& operand);

    // Functions and operators: check_calls.cpp.
    void index(Expr& expr);
    // "math.abs(x)" is parsed as a call on a receiver named math; it is a function of that name.
    bool namespaced(Expr& expr);
    void call(Expr& expr);
    void resolve(Expr& expr, std::span<const Overload> all);
    bool accepts(const Overload& overload, const Expr& expr, Inference::Instance& instance);
    void conditional(Expr& expr);

    // What makes values and binds variables: check_makers.cpp.
    Type element(const Expr& arg, bool marked);
    void list(Expr& expr);
    void map(Expr& expr);
    void message(Expr& expr);
    void loop(Expr& expr);
    void loop_result(Expr& expr, const Type& range, const Type& first);
    void opt_map(Expr& expr);
    static bool depends_on_loop(const Expr& expr);
    void block(Expr& expr);
    // A slot that reads a slot whose type is not known is not known better.
    bool uses_open_slot(const Expr& expr) const;

    const Environment& environment_;
    const Options& options_;
    Issues& issues_;
    Inference types_;
    std::vector<Local> locals_;
};

// The name of a chain of plain selections "a.b.c"; empty if it is none.
std::string chain_name(const Expr& expr);
const Expr& chain_root(const Expr& expr);

}  // namespace chaperone::cel

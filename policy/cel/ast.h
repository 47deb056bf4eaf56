// SPDX-License-Identifier: Apache-2.0
// The syntax tree, macros expanded to nodes of their own. The Ast owns its nodes; nodes point to
// each other and may be shared (a residual program shares the untouched parts of its original).
#pragma once

#include "policy/cel/environment.h"
#include "policy/cel/type.h"
#include "policy/cel/value.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

enum class Op : std::uint8_t {
    Constant,     // value
    Identifier,   // name; after resolution: slot, or local
    Select,       // args[0].name, or args[0].?name
    Has,          // has(args[0].name)
    Index,        // args[0][args[1]], or args[0][?args[1]]
    Call,         // name(args…); member: args[0].name(args[1]…)
    And,          // args[0] && args[1]
    Or,           // args[0] || args[1]
    Conditional,  // args[0] ? args[1] : args[2]
    List,         // args; marked[i]: optional element
    Map,          // args: key, value, key, value…; marked[i]: optional entry
    Struct,       // name{fields[i]: args[i]}; marked[i]: optional field
    Loop,         // args: range, [filter], body; loop says which
    Bind,         // args: init, body; variable
    OptMap,       // args: target, body; variable
    Block,        // args: slots…, result
};

enum class Loop : std::uint8_t {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    SortBy,
};

struct Expr {
    Op op = Op::Constant;
    Loop loop = Loop::All;
    bool optional = false;     // Select, Index: the optional form. OptMap: optFlatMap
    bool member = false;       // Call: receiver style
    bool leading_dot = false;  // Identifier, Struct: resolved without the container
    bool local = false;        // Identifier: a macro's variable (set by resolution)
    std::uint16_t height = 1;
    std::uint32_t begin = 0;  // bytes of the source, [begin, end)
    std::uint32_t end = 0;
    std::uint32_t at = 0;  // where an error is reported: the operator or the name
    std::string name;
    std::string variable;   // Loop, Bind, OptMap
    std::string variable2;  // Loop with two variables, else empty
    Value value;
    std::vector<Expr*> args;
    std::vector<std::string> fields;
    std::vector<bool> marked;

    // Set by the checker.
    Type type;
    std::size_t slot = Environment::kNone;   // of a variable
    std::vector<const Overload*> overloads;  // that may apply
};

class Ast {
public:
    Expr* make(Op op, std::uint32_t begin, std::uint32_t end) {
        Expr& made = nodes_.emplace_back();
        made.op = op;
        made.begin = begin;
        made.end = end;
        made.at = begin;
        return &made;
    }
    std::size_t size() const { return nodes_.size(); }

    Expr* root = nullptr;

private:
    std::deque<Expr> nodes_;
};

// Operators are calls of functions of these names.
inline constexpr std::string_view kNot = "!_";
inline constexpr std::string_view kNegate = "-_";
inline constexpr std::string_view kIn = "@in";

// CEL text that parses to the same tree; values that no literal can write show described.
std::string unparse(const Expr& expr);
// A string literal.
std::string quote(std::string_view text, bool bytes = false);

}  // namespace chaperone::cel

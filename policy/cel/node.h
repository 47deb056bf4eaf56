// SPDX-License-Identifier: Apache-2.0
// What a program runs: a tree of nodes made from the checked syntax tree. Nodes are immutable; the
// state of an evaluation is its Frame.
#pragma once

#include "policy/cel/ast.h"
#include "policy/cel/program.h"
#include "policy/cel/source.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chaperone::cel {

struct Frame final : Call {
    Frame(const Activation& activation, const Limits& bounds, Value* locals)
        : activation(activation),
          unknowns(activation.unknowns()),
          bounds(bounds),
          locals(locals),
          steps(bounds.steps) {}

    bool spend(std::uint64_t count) override {
        if (count > steps) {
            steps = 0;
            return false;
        }
        steps -= count;
        return true;
    }
    const Limits& limits() const override { return bounds; }

    const Activation& activation;
    std::span<const std::string> unknowns;
    const Limits& bounds;
    Value* locals;
    std::uint64_t steps;
    Tracer* tracer = nullptr;
};

class Node {
public:
    virtual ~Node() = default;
    virtual Value eval(Frame& frame) const = 0;
    virtual const Value* constant() const { return nullptr; }

    std::int32_t at = -1;  // byte of the source that an error is reported at
};
using NodePtr = std::unique_ptr<Node>;

// One step along an attribute: .name, [key], and their optional and testing forms.
struct Step {
    enum class Form : std::uint8_t { Plain, Optional, Test };
    Form form = Form::Plain;
    bool is_field = true;                // .name: also of objects; [key] is for lists and maps only
    Value key;                           // a string for fields
    const ObjectType* object = nullptr;  // what the checker found, and
    std::size_t index = 0;               // the field's index there
};
Value take_step(Value operand, const Step& step);
// operand[key] with a key known only now.
Value take_index(Value operand, const Value& key, bool optional);

// Of two failures the one that a strict function returns: an error if there is one, else both
// unknowns together.
Value worse(Value left, Value right);
// Of a logical operator: the unknowns if there are any, since they may yet decide.
Value undecided(Value left, Value right);
Value no_such_overload(std::string_view function, std::span<const Value> arguments);
inline Value not_a_bool() {
    return Value::error("no such overload: a bool is needed here");
}
inline Value out_of_steps() {
    return Value::error("the evaluation takes too many steps");
}
inline Value too_large() {
    return Value::error("the evaluation makes a value that is too large");
}

class Source;

struct LoopParts {
    Loop loop = Loop::All;
    NodePtr range;
    NodePtr filter;  // may be null
    NodePtr body;
    std::size_t local = 0;  // of the first variable; the second follows it
    bool two = false;
    std::uint64_t cost = 1;  // steps of one round
};
NodePtr make_loop(LoopParts parts);
NodePtr make_message(std::string name, std::vector<std::string> fields, std::vector<NodePtr> values,
                     std::vector<bool> marked);

struct Lowered {
    NodePtr root;
    std::size_t locals = 0;
};
// With `traced` every node tells the frame's tracer what it evaluated to.
Lowered lower(const Expr& root, const Environment& environment, const Source* traced);

// Evaluates what was lowered.
Value run(const Lowered& code, const Activation& activation, const Limits& limits,
          Tracer* tracer = nullptr);

}  // namespace chaperone::cel

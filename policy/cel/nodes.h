// SPDX-License-Identifier: Apache-2.0
// The nodes that lowering makes, beside the loops and messages of node.h.
#pragma once

#include "policy/cel/containers.h"
#include "policy/cel/node.h"

namespace chaperone::cel {

class ConstantNode : public Node {
public:
    explicit ConstantNode(Value value) : value_(std::move(value)) {}
    Value eval(Frame&) const override { return value_; }
    const Value* constant() const override { return &value_; }

private:
    Value value_;
};

// A variable, a macro's variable or any value, and the steps from there.
class PathNode : public Node {
public:
    enum class Root : std::uint8_t { Variable, Local, Node };
    Root root = Root::Variable;
    std::size_t slot = 0;
    NodePtr from;  // Root::Node
    std::vector<Step> steps;
    std::string attribute;  // Root::Variable: its full name, "sql.effects"

    Value eval(Frame& frame) const override;

private:
    Value walk(Frame& frame) const;
};

// True if one of the two attribute paths is the other or an ancestor of it.
bool related(std::string_view path, std::string_view pattern);

class IndexNode : public Node {
public:
    NodePtr operand;
    NodePtr key;
    bool optional = false;
    Value eval(Frame& frame) const override;
};

class CallNode : public Node {
public:
    std::string name;
    std::vector<const Overload*> overloads;
    std::vector<NodePtr> args;
    Value eval(Frame& frame) const override;

private:
    static constexpr std::size_t kInline = 4;
    Value dispatch(Frame& frame, std::span<const Value> values) const;
};

// a == b and a != b, a constant side not copied.
class EqualNode : public Node {
public:
    NodePtr left;
    NodePtr right;
    bool negated = false;
    Value eval(Frame& frame) const override;
};

// a in b
class InNode : public Node {
public:
    NodePtr element;
    NodePtr range;
    const VectorMap* set = nullptr;  // of the elements of a constant list, if they may be keys
    Value held;                      // owns it
    Value eval(Frame& frame) const override;
};

// a && b (absorbs false), a || b (absorbs true)
class LogicNode : public Node {
public:
    NodePtr left;
    NodePtr right;
    bool absorbs = false;
    Value eval(Frame& frame) const override;
};

class NotNode : public Node {
public:
    NodePtr operand;
    Value eval(Frame& frame) const override;
};

class ConditionalNode : public Node {
public:
    NodePtr condition;
    NodePtr then;
    NodePtr otherwise;
    Value eval(Frame& frame) const override;
};

class ListNode : public Node {
public:
    std::vector<NodePtr> elements;
    std::vector<bool> marked;
    Value eval(Frame& frame) const override;
};

class MapNode : public Node {
public:
    std::vector<NodePtr> entries;  // key, value, key, value…
    std::vector<bool> marked;
    Value eval(Frame& frame) const override;
};

// Evaluates each slot into a local, failures too, then the body.
class LetNode : public Node {
public:
    struct Slot {
        std::size_t local;
        NodePtr value;
    };
    std::vector<Slot> slots;
    NodePtr body;
    Value eval(Frame& frame) const override;
};

class OptMapNode : public Node {
public:
    NodePtr target;
    NodePtr body;
    std::size_t local = 0;
    bool flat = false;
    Value eval(Frame& frame) const override;
};

class TracedNode : public Node {
public:
    TracedNode(NodePtr inner, SourceRange where, std::string_view text)
        : inner_(std::move(inner)), where_(where), text_(text) {}
    Value eval(Frame& frame) const override {
        Value value = inner_->eval(frame);
        if (frame.tracer != nullptr) frame.tracer->value(where_, text_, value);
        return value;
    }

private:
    NodePtr inner_;
    SourceRange where_;
    std::string_view text_;
};

// Whether a value may be passed where the overload wants this type.
bool fits(const Value& value, const Type& type);

}  // namespace chaperone::cel

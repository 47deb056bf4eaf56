// SPDX-License-Identifier: Apache-2.0
// Evaluation of the nodes.
#include "policy/cel/nodes.h"

#include "policy/cel/compare.h"

#include <algorithm>
#include <array>

namespace chaperone::cel {

bool related(std::string_view path, std::string_view pattern) {
    if (path.size() > pattern.size()) std::swap(path, pattern);
    if (!pattern.starts_with(path)) return false;
    return path.size() == pattern.size() || pattern[path.size()] == '.' ||
           pattern[path.size()] == '[';
}

Value PathNode::walk(Frame& frame) const {
    Value value;
    switch (root) {
    case Root::Variable: value = frame.activation.variable(slot); break;
    case Root::Local: value = frame.locals[slot]; break;
    case Root::Node: value = from->eval(frame); break;
    }
    for (const Step& step : steps) {
        if (value.is_failure()) break;
        value = take_step(std::move(value), step);
    }
    return value;
}

Value PathNode::eval(Frame& frame) const {
    if (!frame.unknowns.empty() && root == Root::Variable)
        for (const std::string& pattern : frame.unknowns)
            if (related(attribute, pattern)) return Value::unknown({attribute});
    Value value = walk(frame);
    if (value.is(Kind::Unknown) && value.attributes().empty() && root == Root::Variable)
        return Value::unknown({attribute});
    return std::move(value).at_offset(at);
}

Value IndexNode::eval(Frame& frame) const {
    Value value = operand->eval(frame);
    const Value index = key->eval(frame);
    if (value.is_failure() || index.is_failure()) return worse(std::move(value), index);
    return take_index(std::move(value), index, optional).at_offset(at);
}

bool fits(const Value& value, const Type& type) {
    switch (type.kind()) {
    case TypeKind::Dyn:
    case TypeKind::Any:
    case TypeKind::Parameter: return true;
    case TypeKind::Null: return value.is(Kind::Null);
    case TypeKind::Bool: return value.is(Kind::Bool);
    case TypeKind::Int: return value.is(Kind::Int);
    case TypeKind::Uint: return value.is(Kind::Uint);
    case TypeKind::Double: return value.is(Kind::Double);
    case TypeKind::String: return value.is(Kind::String);
    case TypeKind::Bytes: return value.is(Kind::Bytes);
    case TypeKind::Timestamp: return value.is(Kind::Timestamp);
    case TypeKind::Duration: return value.is(Kind::Duration);
    case TypeKind::List: return value.is(Kind::List);
    case TypeKind::Map: return value.is(Kind::Map);
    case TypeKind::Type: return value.is(Kind::Type);
    case TypeKind::Optional: return value.is(Kind::Optional);
    case TypeKind::Wrapper: return value.is(Kind::Null) || fits(value, type.arguments()[0]);
    case TypeKind::Object:
        return value.is(Kind::Object) && value.as_object().type().name == type.name();
    }
    return false;
}

Value CallNode::dispatch(Frame& frame, std::span<const Value> values) const {
    for (const Overload* overload : overloads) {
        bool all = true;
        for (std::size_t i = 0; all && i != values.size(); ++i)
            all = fits(values[i], overload->parameters[i]);
        if (all) return overload->run(frame, values);
    }
    return no_such_overload(name, values);
}

Value CallNode::eval(Frame& frame) const {
    std::array<Value, kInline> few;
    std::vector<Value> many(args.size() > kInline ? args.size() : 0);
    Value* values = many.empty() ? few.data() : many.data();
    Value failure;
    for (std::size_t i = 0; i != args.size(); ++i) {
        values[i] = args[i]->eval(frame);
        if (values[i].is_failure())
            failure = failure.is_failure() ? worse(std::move(failure), values[i]) : values[i];
    }
    if (failure.is_failure()) return failure;
    if (!frame.spend(1)) return out_of_steps();
    return dispatch(frame, {values, args.size()}).at_offset(at);
}

namespace {

// Reads a node without copying what a constant holds.
class Operand {
public:
    Operand(const Node& node, Frame& frame) : constant_(node.constant()) {
        if (constant_ == nullptr) value_ = node.eval(frame);
    }
    const Value& operator*() const { return constant_ != nullptr ? *constant_ : value_; }
    const Value* operator->() const { return &**this; }

private:
    const Value* constant_;
    Value value_;
};

bool is_deep(const Value& value) {
    return value.is(Kind::List) || value.is(Kind::Map) || value.is(Kind::Optional);
}

// What comparing with this value may cost, at most.
std::uint64_t cost(const Value& value) {
    return is_deep(value) ? weight(value) / 24 : 0;
}

}  // namespace

Value EqualNode::eval(Frame& frame) const {
    const Operand a{*left, frame};
    const Operand b{*right, frame};
    if (a->is_failure() || b->is_failure()) return worse(*a, *b);
    if (is_deep(*a) && is_deep(*b) && !frame.spend(std::min(cost(*a), cost(*b))))
        return out_of_steps();
    return Value::boolean(equal(*a, *b) != negated);
}

Value InNode::eval(Frame& frame) const {
    const Operand sought{*element, frame};
    if (set != nullptr) {
        if (sought->is_failure()) return *sought;
        return Value::boolean(set->find(*sought).has_value());
    }
    const Operand where{*range, frame};
    if (sought->is_failure() || where->is_failure()) return worse(*sought, *where);
    if (where->is(Kind::Map)) return Value::boolean(where->as_map().find(*sought).has_value());
    if (!where->is(Kind::List)) {
        const std::array<Value, 2> both{*sought, *where};
        return no_such_overload("in", both).at_offset(at);
    }
    const List& list = where->as_list();
    const std::uint64_t work = is_deep(*sought) ? cost(*where) : list.size() / 8;
    if (!frame.spend(work)) return out_of_steps();
    for (std::size_t i = 0; i != list.size(); ++i)
        if (equal(list.at(i), *sought)) return Value::boolean(true);
    return Value::boolean(false);
}

Value LogicNode::eval(Frame& frame) const {
    Value a = left->eval(frame);
    if (a.is(Kind::Bool) && a.as_bool() == absorbs) return a;
    Value b = right->eval(frame);
    if (b.is(Kind::Bool) && (b.as_bool() == absorbs || a.is(Kind::Bool)))
        return b.as_bool() == absorbs ? b : a;
    return undecided(std::move(a), std::move(b)).at_offset(at);
}

Value NotNode::eval(Frame& frame) const {
    Value value = operand->eval(frame);
    if (value.is(Kind::Bool)) return Value::boolean(!value.as_bool());
    if (value.is_failure()) return value;
    return no_such_overload("!", {&value, 1}).at_offset(at);
}

Value ConditionalNode::eval(Frame& frame) const {
    Value value = condition->eval(frame);
    if (value.is(Kind::Bool)) return (value.as_bool() ? then : otherwise)->eval(frame);
    if (value.is_failure()) return value;
    return not_a_bool().at_offset(at);
}

namespace {

// What "?" before an element means: the held value, or nothing (then `skip`).
Value unmarked(Value value, bool& skip) {
    if (value.is_failure()) return value;
    if (!value.is(Kind::Optional)) return Value::error("no such overload: '?' needs an optional");
    skip = value.held() == nullptr;
    return skip ? Value{} : *value.held();
}

}  // namespace

Value ListNode::eval(Frame& frame) const {
    std::vector<Value> made;
    made.reserve(elements.size());
    Value failure;
    for (std::size_t i = 0; i != elements.size(); ++i) {
        Value next = elements[i]->eval(frame);
        bool skip = false;
        if (marked[i]) next = unmarked(std::move(next), skip);
        if (next.is_failure())
            failure =
                failure.is_failure() ? worse(std::move(failure), std::move(next)) : std::move(next);
        else if (!skip)
            made.push_back(std::move(next));
    }
    if (failure.is_failure()) return std::move(failure).at_offset(at);
    if (!frame.spend(made.size())) return out_of_steps();
    Value list = Value::list_of(std::move(made));
    return weight(list) > frame.bounds.value_size ? too_large() : list;
}

Value MapNode::eval(Frame& frame) const {
    auto made = std::make_unique<VectorMap>();
    Value failure;
    const auto fail_with = [&](Value value) {
        failure =
            failure.is_failure() ? worse(std::move(failure), std::move(value)) : std::move(value);
    };
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
        Value key = entries[i]->eval(frame);
        Value value = entries[i + 1]->eval(frame);
        bool skip = false;
        if (marked[i / 2]) value = unmarked(std::move(value), skip);
        if (key.is_failure() || value.is_failure()) {
            fail_with(worse(std::move(key), std::move(value)));
            continue;
        }
        if (!is_key(key)) {
            fail_with(Value::own_error("unsupported key type: " + std::string{type_name(key)}));
        } else if (!skip && !made->add(key, std::move(value))) {
            fail_with(Value::own_error("Failed with repeated key: " + describe(key, 80)));
        }
    }
    if (failure.is_failure()) return std::move(failure).at_offset(at);
    if (!frame.spend(made->size())) return out_of_steps();
    if (made->weight() > frame.bounds.value_size) return too_large();
    return Value::own_map(made.release());
}

Value LetNode::eval(Frame& frame) const {
    for (const Slot& slot : slots) frame.locals[slot.local] = slot.value->eval(frame);
    Value value = body->eval(frame);
    for (const Slot& slot : slots) frame.locals[slot.local] = Value{};
    return value;
}

Value OptMapNode::eval(Frame& frame) const {
    Value value = target->eval(frame);
    if (value.is_failure()) return value;
    if (!value.is(Kind::Optional))
        return no_such_overload(flat ? "optFlatMap" : "optMap", {&value, 1}).at_offset(at);
    if (value.held() == nullptr) return value;
    frame.locals[local] = *value.held();
    Value made = body->eval(frame);
    frame.locals[local] = Value{};
    if (made.is_failure()) return made;
    if (!flat) return Value::some(std::move(made));
    if (made.is(Kind::Optional)) return made;
    return no_such_overload("optFlatMap", {&made, 1}).at_offset(at);
}

}  // namespace chaperone::cel

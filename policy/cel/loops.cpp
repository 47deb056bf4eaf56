// SPDX-License-Identifier: Apache-2.0
// The comprehensions: one round per element of a list or key of a map.
#include "policy/cel/compare.h"
#include "policy/cel/containers.h"
#include "policy/cel/node.h"

namespace chaperone::cel {
namespace {

class LoopNode : public Node {
public:
    explicit LoopNode(LoopParts parts) : parts_(std::move(parts)) {}

    Value eval(Frame& frame) const override {
        Value range = parts_.range->eval(frame);
        if (range.is_failure()) return range;
        if (!range.is(Kind::List) && !range.is(Kind::Map))
            return Value::own_error("no such overload: a comprehension over " +
                                    std::string{type_name(range)})
                .at_offset(at);
        Value result = over(frame, range);
        frame.locals[parts_.local] = Value{};
        if (parts_.two) frame.locals[parts_.local + 1] = Value{};
        return std::move(result).at_offset(at);
    }

protected:
    virtual Value over(Frame& frame, const Value& range) const = 0;

    // Calls each(body's value, index) per round, until it says false. The failure of a step limit.
    template <class Each>
    bool rounds(Frame& frame, const Value& range, Each each) const {
        const bool list = range.is(Kind::List);
        const std::size_t size = list ? range.as_list().size() : range.as_map().size();
        Value* locals = frame.locals + parts_.local;
        for (std::size_t i = 0; i != size; ++i) {
            if (!frame.spend(parts_.cost)) return false;
            if (!parts_.two) {
                locals[0] = list ? range.as_list().at(i) : range.as_map().key(i);
            } else {
                locals[0] =
                    list ? Value::integer(static_cast<std::int64_t>(i)) : range.as_map().key(i);
                locals[1] = list ? range.as_list().at(i) : range.as_map().at(i);
            }
            if (!each()) break;
        }
        return true;
    }

    // Whether the round counts; a failure stops it and is left in `failure`.
    bool passes(Frame& frame, const Node* filter, Value& failure) const {
        if (filter == nullptr) return true;
        Value verdict = filter->eval(frame);
        if (verdict.is(Kind::Bool)) return verdict.as_bool();
        fail_with(failure, verdict.is_failure() ? std::move(verdict) : not_a_bool());
        return false;
    }
    static void fail_with(Value& failure, Value value) {
        failure =
            failure.is_failure() ? worse(std::move(failure), std::move(value)) : std::move(value);
    }

    LoopParts parts_;
};

// all() is && over the rounds, exists() is ||: a round that decides wins over failures.
class Quantifier : public LoopNode {
public:
    using LoopNode::LoopNode;

protected:
    Value over(Frame& frame, const Value& range) const override {
        const bool deciding = parts_.loop == Loop::Exists;
        Value result = Value::boolean(!deciding);
        const bool complete = rounds(frame, range, [&] {
            Value verdict = parts_.body->eval(frame);
            if (verdict.is(Kind::Bool)) {
                if (verdict.as_bool() != deciding) return true;
                result = std::move(verdict);
                return false;
            }
            if (!verdict.is_failure()) verdict = not_a_bool();
            result = result.is_failure() ? undecided(std::move(result), std::move(verdict))
                                         : std::move(verdict);
            return true;
        });
        return complete ? result : out_of_steps();
    }
};

class ExactlyOne : public LoopNode {
public:
    using LoopNode::LoopNode;

protected:
    Value over(Frame& frame, const Value& range) const override {
        std::size_t found = 0;
        Value failure;
        const bool complete = rounds(frame, range, [&] {
            if (passes(frame, parts_.body.get(), failure)) ++found;
            return !failure.is(Kind::Error);
        });
        if (!complete) return out_of_steps();
        return failure.is_failure() ? failure : Value::boolean(found == 1);
    }
};

// map, filter, transformList
class ListMaker : public LoopNode {
public:
    using LoopNode::LoopNode;

protected:
    Value over(Frame& frame, const Value& range) const override {
        std::vector<Value> made;
        Value failure;
        std::uint64_t size = 0;
        const bool filters = parts_.loop == Loop::Filter;
        const Node* filter = filters ? parts_.body.get() : parts_.filter.get();
        const bool complete = rounds(frame, range, [&] {
            if (!passes(frame, filter, failure)) return !failure.is(Kind::Error);
            Value next = filters ? frame.locals[parts_.local] : parts_.body->eval(frame);
            if (next.is_failure()) {
                fail_with(failure, std::move(next));
                return !failure.is(Kind::Error);
            }
            size += weight(next);
            if (size > frame.bounds.value_size) {
                failure = too_large();
                return false;
            }
            made.push_back(std::move(next));
            return true;
        });
        if (!complete) return out_of_steps();
        return failure.is_failure() ? failure : Value::list_of(std::move(made));
    }
};

// transformMap, transformMapEntry
class MapMaker : public LoopNode {
public:
    using LoopNode::LoopNode;

protected:
    Value over(Frame& frame, const Value& range) const override {
        auto made = std::make_unique<VectorMap>();
        Value failure;
        const bool complete = rounds(frame, range, [&] {
            if (!passes(frame, parts_.filter.get(), failure)) return !failure.is(Kind::Error);
            Value next = parts_.body->eval(frame);
            if (!next.is_failure()) next = add(frame, *made, range, std::move(next));
            if (!next.is_failure()) return true;
            fail_with(failure, std::move(next));
            return !failure.is(Kind::Error);
        });
        if (!complete) return out_of_steps();
        return failure.is_failure() ? failure : Value::own_map(made.release());
    }

private:
    Value add(Frame& frame, VectorMap& made, const Value&, Value next) const {
        if (parts_.loop == Loop::TransformMap) {
            made.add(frame.locals[parts_.local], std::move(next));
        } else {
            if (!next.is(Kind::Map)) return Value::error("transformMapEntry needs a map");
            const Map& entries = next.as_map();
            if (!frame.spend(entries.size())) return out_of_steps();
            for (std::size_t i = 0; i != entries.size(); ++i)
                if (!made.add(entries.key(i), entries.at(i)))
                    return Value::own_error("insert failed: key " + describe(entries.key(i), 80) +
                                            " already exists");
        }
        return made.weight() > frame.bounds.value_size ? too_large() : Value{};
    }
};

class SortBy : public LoopNode {
public:
    using LoopNode::LoopNode;

protected:
    Value over(Frame& frame, const Value& range) const override {
        if (!range.is(Kind::List)) return no_such_overload("sortBy", {&range, 1});
        std::vector<Value> keys;
        Value failure;
        const bool complete = rounds(frame, range, [&] {
            Value key = parts_.body->eval(frame);
            if (key.is_failure()) {
                fail_with(failure, std::move(key));
                return !failure.is(Kind::Error);
            }
            if (!compare(key, key) || key.is(Kind::Null))
                failure = Value::error("sortBy needs keys that have an order");
            else if (!keys.empty() && keys[0].kind() != key.kind())
                failure = Value::error("sortBy needs keys of one type");
            keys.push_back(std::move(key));
            return !failure.is(Kind::Error);
        });
        if (!complete || !frame.spend(16 * keys.size())) return out_of_steps();
        if (failure.is_failure()) return failure;
        std::vector<Value> sorted;
        sorted.reserve(keys.size());
        for (const std::size_t i : sorted_order(keys)) sorted.push_back(range.as_list().at(i));
        return Value::list_of(std::move(sorted));
    }
};

}  // namespace

NodePtr make_loop(LoopParts parts) {
    switch (parts.loop) {
    case Loop::All:
    case Loop::Exists: return std::make_unique<Quantifier>(std::move(parts));
    case Loop::ExistsOne: return std::make_unique<ExactlyOne>(std::move(parts));
    case Loop::Map:
    case Loop::Filter:
    case Loop::TransformList: return std::make_unique<ListMaker>(std::move(parts));
    case Loop::TransformMap:
    case Loop::TransformMapEntry: return std::make_unique<MapMaker>(std::move(parts));
    case Loop::SortBy: return std::make_unique<SortBy>(std::move(parts));
    }
    return nullptr;
}

}  // namespace chaperone::cel

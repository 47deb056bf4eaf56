// SPDX-License-Identifier: Apache-2.0
// The checked syntax tree to nodes.
#include "policy/cel/nodes.h"
#include "policy/cel/parser.h"

#include <algorithm>
#include <array>

namespace chaperone::cel {
namespace {

class Lowering {
public:
    Lowering(const Environment& environment, const Source* traced)
        : environment_(environment), traced_(traced) {}

    Lowered run(const Expr& root) {
        out_.root = lower(root);
        return std::move(out_);
    }

private:
    struct Local {
        std::string name;
        std::size_t index;
        const Expr* deferred = nullptr;  // a slot of a block that depends on loop variables
    };

    std::size_t push(std::string name) {
        const std::size_t index = next_++;
        out_.locals = std::max(out_.locals, next_);
        locals_.push_back({std::move(name), index});
        return index;
    }
    void pop(std::size_t count = 1) {
        locals_.resize(locals_.size() - count);
        next_ -= count;
    }
    const Local* local(std::string_view name) const {
        const auto found = std::find_if(locals_.rbegin(), locals_.rend(),
                                        [&](const Local& local) { return local.name == name; });
        return found == locals_.rend() ? nullptr : &*found;
    }

    // Slots of blocks are lowered where they are used, so size and depth are not the source's.
    static constexpr std::size_t kMaxNodes = 400'000;
    static constexpr std::size_t kMaxDepth = 2 * kMaxHeight;

    NodePtr lower(const Expr& expr) {
        if (++count_ > kMaxNodes || depth_ > kMaxDepth)
            return std::make_unique<ConstantNode>(Value::error("the expression is too complex"));
        ++depth_;
        NodePtr made = bare(expr);
        --depth_;
        if (made->at < 0) made->at = static_cast<std::int32_t>(expr.at);
        if (traced_ == nullptr || expr.op == Op::Constant) return made;
        const std::string_view text =
            std::string_view{traced_->text()}.substr(expr.begin, expr.end - expr.begin);
        return std::make_unique<TracedNode>(std::move(made), traced_->range(expr.begin, expr.end),
                                            text);
    }
    std::vector<NodePtr> lower_all(const std::vector<Expr*>& exprs) {
        std::vector<NodePtr> made;
        for (const Expr* expr : exprs) made.push_back(lower(*expr));
        return made;
    }
    template <class Made>
    NodePtr error(Made&& message) {
        return std::make_unique<ConstantNode>(Value::own_error(message));
    }

    NodePtr bare(const Expr& expr) {
        switch (expr.op) {
        case Op::Constant: return std::make_unique<ConstantNode>(expr.value);
        case Op::Identifier:
        case Op::Select:
        case Op::Has: return path(expr);
        case Op::Index:
            return expr.args[1]->op == Op::Constant && traced_ == nullptr ? path(expr)
                                                                          : index(expr);
        case Op::Call: return call(expr);
        case Op::And:
        case Op::Or: {
            auto made = std::make_unique<LogicNode>();
            made->left = lower(*expr.args[0]);
            made->right = lower(*expr.args[1]);
            made->absorbs = expr.op == Op::Or;
            return made;
        }
        case Op::Conditional: {
            auto made = std::make_unique<ConditionalNode>();
            made->condition = lower(*expr.args[0]);
            made->then = lower(*expr.args[1]);
            made->otherwise = lower(*expr.args[2]);
            return made;
        }
        case Op::List: {
            auto made = std::make_unique<ListNode>();
            made->elements = lower_all(expr.args);
            made->marked = expr.marked;
            return made;
        }
        case Op::Map: {
            auto made = std::make_unique<MapNode>();
            made->entries = lower_all(expr.args);
            made->marked = expr.marked;
            return made;
        }
        case Op::Struct:
            return make_message(expr.name, expr.fields, lower_all(expr.args), expr.marked);
        case Op::Loop: return loop(expr);
        case Op::Bind: {
            auto made = std::make_unique<LetNode>();
            NodePtr init = lower(*expr.args[0]);
            made->slots.push_back({push(expr.variable), std::move(init)});
            made->body = lower(*expr.args[1]);
            pop();
            return made;
        }
        case Op::OptMap: {
            auto made = std::make_unique<OptMapNode>();
            made->target = lower(*expr.args[0]);
            made->local = push(expr.variable);
            made->body = lower(*expr.args[1]);
            made->flat = expr.optional;
            pop();
            return made;
        }
        case Op::Block: return block(expr);
        }
        return error("not an expression");
    }

    static bool is_step(const Expr& expr) {
        return expr.op == Op::Select || expr.op == Op::Has ||
               (expr.op == Op::Index && expr.args[1]->op == Op::Constant &&
                !expr.args[1]->value.is_failure());
    }
    Step step(const Expr& expr) const {
        Step made;
        made.form = expr.op == Op::Has ? Step::Form::Test
                    : expr.optional    ? Step::Form::Optional
                                       : Step::Form::Plain;
        made.is_field = expr.op != Op::Index;
        made.key = made.is_field ? Value::own_text(expr.name) : expr.args[1]->value;
        Type operand = expr.args[0]->type;
        if (operand.is(TypeKind::Optional)) operand = operand.arguments()[0];
        made.object = operand.object_type();
        if (made.object != nullptr && made.is_field) made.index = made.object->index_of(expr.name);
        return made;
    }
    static std::string step_text(const Expr& expr) {
        if (expr.op == Op::Index) return "[" + describe(expr.args[1]->value, 80) + "]";
        return "." + expr.name;
    }

    // The chain down to a variable, a macro's variable, or whatever else it begins with. When
    // tracing, each step is a node, so that its value is seen.
    NodePtr path(const Expr& expr) {
        auto made = std::make_unique<PathNode>();
        const Expr* root = &expr;
        std::vector<const Expr*> chain;
        while (is_step(*root)) {
            chain.push_back(root);
            root = root->args[0];
            if (traced_ != nullptr && root->op != Op::Identifier) break;
        }
        std::ranges::reverse(chain);
        for (const Expr* link : chain) made->steps.push_back(step(*link));
        made->at = static_cast<std::int32_t>(expr.at);
        if (root->op != Op::Identifier) {
            if (chain.empty()) return index(expr);
            made->root = PathNode::Root::Node;
            made->from = lower(*root);
            return made;
        }
        if (root->slot != Environment::kNone && !root->local) {
            made->slot = root->slot;
            made->attribute = environment_.variables()[root->slot].name;
            for (const Expr* link : chain) made->attribute += step_text(*link);
            return made;
        }
        const Local* found = local(root->name);
        if (found == nullptr || !(root->local || root->name.starts_with('@'))) {
            const std::string message = "undeclared reference to '" + root->name + "'";
            return error(message);
        }
        if (found->deferred != nullptr) {
            made->root = PathNode::Root::Node;
            made->from = lower(*found->deferred);
            return made;
        }
        made->root = PathNode::Root::Local;
        made->slot = found->index;
        return made;
    }
    NodePtr index(const Expr& expr) {
        auto made = std::make_unique<IndexNode>();
        made->operand = lower(*expr.args[0]);
        made->key = lower(*expr.args[1]);
        made->optional = expr.optional;
        return made;
    }

    NodePtr call(const Expr& expr) {
        if (!expr.member && expr.args.size() == 2) {
            if (expr.name == "_==_" || expr.name == "_!=_") {
                auto made = std::make_unique<EqualNode>();
                made->left = lower(*expr.args[0]);
                made->right = lower(*expr.args[1]);
                made->negated = expr.name == "_!=_";
                return made;
            }
            if (expr.name == kIn) return in(expr);
        }
        if (!expr.member && expr.args.size() == 1 && expr.name == kNot) {
            auto made = std::make_unique<NotNode>();
            made->operand = lower(*expr.args[0]);
            return made;
        }
        auto made = std::make_unique<CallNode>();
        made->name = expr.name;
        made->overloads = expr.overloads;
        made->args = lower_all(expr.args);
        return made;
    }
    NodePtr in(const Expr& expr) {
        auto made = std::make_unique<InNode>();
        made->element = lower(*expr.args[0]);
        made->range = lower(*expr.args[1]);
        const Value* constant = made->range->constant();
        if (constant == nullptr || !constant->is(Kind::List)) return made;
        auto set = std::make_unique<VectorMap>();
        const List& list = constant->as_list();
        for (std::size_t i = 0; i != list.size(); ++i) {
            Value element = list.at(i);
            if (!is_key(element)) return made;
            set->add(std::move(element), Value{});
        }
        made->set = set.get();
        made->held = Value::own_map(set.release());
        return made;
    }

    NodePtr loop(const Expr& expr) {
        LoopParts parts;
        parts.loop = expr.loop;
        parts.range = lower(*expr.args[0]);
        parts.local = push(expr.variable);
        parts.two = !expr.variable2.empty();
        if (parts.two) push(expr.variable2);
        const std::size_t before = count_;
        if (expr.args.size() == 3) parts.filter = lower(*expr.args[1]);
        parts.body = lower(*expr.args.back());
        parts.cost = count_ - before;
        pop(parts.two ? 2 : 1);
        return make_loop(std::move(parts));
    }

    static bool depends_on_loop(const Expr& expr, const std::vector<bool>& open) {
        if (expr.op == Op::Identifier &&
            (expr.name.starts_with("@it:") || expr.name.starts_with("@ac:")))
            return true;
        if (expr.op == Op::Identifier && expr.name.starts_with("@index")) {
            const auto slot = static_cast<std::size_t>(std::atoi(expr.name.c_str() + 6));
            return slot < open.size() && open[slot];
        }
        return std::ranges::any_of(expr.args,
                                   [&](const Expr* arg) { return depends_on_loop(*arg, open); });
    }
    // Slots are evaluated once, in order; those that depend on loop variables at each use.
    NodePtr block(const Expr& expr) {
        auto made = std::make_unique<LetNode>();
        const std::size_t slots = expr.args.size() - 1;
        std::vector<bool> open;
        for (std::size_t i = 0; i != slots; ++i) {
            const Expr& slot = *expr.args[i];
            const bool depends = depends_on_loop(slot, open);
            open.push_back(depends);
            const std::string name = "@index" + std::to_string(i);
            if (!depends) {
                NodePtr value = lower(slot);
                made->slots.push_back({push(name), std::move(value)});
                continue;
            }
            // Its nodes name the locals of the loops around its use: it is lowered there.
            push(name);
            locals_.back().deferred = &slot;
        }
        made->body = lower(*expr.args.back());
        pop(slots);
        return made;
    }

    const Environment& environment_;
    const Source* traced_;
    Lowered out_;
    std::vector<Local> locals_;
    std::size_t next_ = 0;
    std::size_t count_ = 0;
    std::size_t depth_ = 0;
};

}  // namespace

Lowered lower(const Expr& root, const Environment& environment, const Source* traced) {
    return Lowering{environment, traced}.run(root);
}

Value run(const Lowered& code, const Activation& activation, const Limits& limits, Tracer* tracer) {
    const auto evaluate = [&](Value* locals) {
        Frame frame{activation, limits, locals};
        frame.tracer = tracer;
        return code.root->eval(frame);
    };
    // Values are not free to make: few conditions have many variables of their own.
    if (code.locals == 0) return evaluate(nullptr);
    if (code.locals <= 2) return evaluate(std::array<Value, 2>{}.data());
    if (code.locals <= 8) return evaluate(std::array<Value, 8>{}.data());
    std::vector<Value> many(code.locals);
    return evaluate(many.data());
}

}  // namespace chaperone::cel

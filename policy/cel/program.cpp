// SPDX-License-Identifier: Apache-2.0
// Programs: compiling, evaluating, and what they tell about themselves.
#include "policy/cel/program.h"

#include "policy/cel/checker.h"
#include "policy/cel/fold.h"
#include "policy/cel/node.h"
#include "policy/cel/parser.h"
#include "policy/cel/reason.h"
#include "policy/cel/utf8.h"

#include <algorithm>

namespace chaperone::cel {

struct Program::Code {
    std::shared_ptr<const Source> source;
    std::shared_ptr<const Environment> environment;
    Type type;
    Expr* whole = nullptr;                         // as it was written, for tracing
    Expr* root = nullptr;                          // folded: what is run
    std::vector<std::shared_ptr<const Ast>> asts;  // that own the nodes of both
    Lowered lowered;
    std::vector<std::string> references;
    std::vector<SourceRange> branches;
};

namespace {

// Knows nothing: what folds under it is constant.
class Nothing : public Activation {
public:
    Value variable(std::size_t) const override { return Value::unknown(); }
};

// Constants are folded with little effort; what takes longer is left to the evaluation.
constexpr Limits kFoldLimits{.steps = 10'000, .value_size = 1U << 20};

void collect_branches(const Expr& expr, const Source& source, std::vector<SourceRange>& out) {
    const auto add = [&](const Expr& condition) {
        if (condition.op != Op::And && condition.op != Op::Or && condition.op != Op::Constant)
            out.push_back(source.range(condition.begin, condition.end));
    };
    if (expr.op == Op::And || expr.op == Op::Or)
        for (const Expr* arg : expr.args) add(*arg);
    if (expr.op == Op::Conditional) add(*expr.args[0]);
    for (const Expr* arg : expr.args) collect_branches(*arg, source, out);
}

bool is_out_of_limits(const Expr& expr) {
    return expr.op == Op::Constant && expr.value.is(Kind::Error) &&
           (expr.value.as_text().contains("too many steps") ||
            expr.value.as_text().contains("too large"));
}

// A folded tree, unless folding ran into its own limits: those are not the program's.
Expr* folded(Ast& ast, Expr& root, const Environment& environment, const Activation& known,
             const Limits& limits) {
    Expr* made = fold(ast, root, environment, known, limits);
    const auto limited = [](const Expr& expr, auto&& self) -> bool {
        return is_out_of_limits(expr) ||
               std::ranges::any_of(expr.args, [&](const Expr* arg) { return self(*arg, self); });
    };
    return limited(*made, limited) ? &root : made;
}

}  // namespace

MapActivation::MapActivation(std::shared_ptr<const Environment> environment)
    : environment_(std::move(environment)),
      values_(environment_->variables().size(), Value::unknown()) {}

bool MapActivation::set(std::string_view name, Value value) {
    const std::size_t slot = environment_->slot(name);
    if (slot == Environment::kNone) return false;
    values_[slot] = std::move(value);
    return true;
}

void MapActivation::unknown(std::string_view attribute) {
    unknowns_.emplace_back(attribute);
}

Value MapActivation::variable(std::size_t slot) const {
    return slot < values_.size() ? values_[slot] : Value::unknown();
}

Program::Program(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

Value Program::evaluate(const Activation& activation, const Limits& limits) const {
    return run(code_->lowered, activation, limits);
}

Value Program::trace(const Activation& activation, Tracer& tracer, const Limits& limits) const {
    const Lowered traced = lower(*code_->whole, *code_->environment, code_->source.get());
    return run(traced, activation, limits, &tracer);
}

Program Program::partial(const Activation& known, const Limits& limits) const {
    auto ast = std::make_shared<Ast>();
    auto code = std::make_shared<Code>();
    code->source = code_->source;
    code->environment = code_->environment;
    code->type = code_->type;
    code->asts = code_->asts;
    code->whole = code_->whole;
    code->branches = code_->branches;
    code->root = folded(*ast, *code_->root, *code->environment, known, limits);
    if (ast->size() != 0) code->asts.push_back(std::move(ast));
    code->references = cel::references(*code->root, *code->environment);
    code->lowered = lower(*code->root, *code->environment, nullptr);
    return Program{std::move(code)};
}

const Value* Program::constant() const noexcept {
    return code_->root->op == Op::Constant ? &code_->root->value : nullptr;
}

const std::vector<std::string>& Program::references() const {
    return code_->references;
}
const std::vector<SourceRange>& Program::branches() const {
    return code_->branches;
}
const Expr& tree(const Program& program) {
    return *program.code_->root;
}
const std::string& Program::source() const noexcept {
    return code_->source->text();
}
const Type& Program::type() const noexcept {
    return code_->type;
}
const std::shared_ptr<const Environment>& Program::environment() const noexcept {
    return code_->environment;
}
std::string Program::text() const {
    return unparse(*code_->root);
}

SourceRange Program::locate(std::size_t offset) const {
    const auto at = static_cast<std::uint32_t>(std::min(offset, source().size()));
    return code_->source->range(at, at);
}

Compiled compile(std::string_view source, std::shared_ptr<const Environment> environment,
                 const Options& options) {
    Compiled result;
    const auto refuse = [&](std::string message) {
        result.issues.push_back({.length = 1, .message = std::move(message), .suggestion = {}});
        return result;
    };
    if (source.size() > options.max_bytes) return refuse("the expression is too long");
    if (!utf8::valid(source)) return refuse("the expression is not valid UTF-8");
    auto code = std::make_shared<Program::Code>();
    code->source = std::make_shared<const Source>(std::string{source});
    code->environment = std::move(environment);
    Issues issues{*code->source};
    auto ast = std::make_shared<Ast>(parse(*code->source, options, issues));
    if (!issues.failed()) result.type = check(*ast, *code->environment, options, issues);
    if (issues.failed()) {
        result.issues = issues.take();
        return result;
    }
    code->type = result.type;
    code->whole = ast->root;
    collect_branches(*code->whole, *code->source, code->branches);
    code->root = folded(*ast, *code->whole, *code->environment, Nothing{}, kFoldLimits);
    code->asts.push_back(std::move(ast));
    code->references = references(*code->root, *code->environment);
    code->lowered = lower(*code->root, *code->environment, nullptr);
    result.program = Program{std::move(code)};
    return result;
}

}  // namespace chaperone::cel

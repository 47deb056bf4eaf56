// SPDX-License-Identifier: Apache-2.0
// CEL source to a program, and running it. A Program is immutable, cheap to copy and may be
// evaluated by several threads at once. Cost is bounded by construction: sizes and depths at
// compile time, steps and value sizes at run time.
#pragma once

#include "policy/cel/environment.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

enum class Severity : std::uint8_t { Warning, Error };

// Where in the source: bytes [begin, end), and the line and column (1-based, in code points).
struct SourceRange {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    std::uint32_t line = 1;
    std::uint32_t column = 1;
};

struct Issue {
    Severity severity = Severity::Error;
    std::uint32_t line = 1;
    std::uint32_t column = 1;  // by code point
    std::uint32_t length = 0;  // code points, at least 1
    std::string message;
    std::string suggestion;  // "did you mean 'size'?", or empty
};

struct Options {
    bool check = true;
    bool macros = true;
    std::optional<Type> expected{};   // the type that the result must be assignable to
    std::size_t max_bytes = 100'000;  // of source
    std::size_t max_depth = 250;      // of nesting in the source; beyond it is an issue
};

// The variables of one evaluation, by slot of the program's environment.
class Activation {
public:
    virtual ~Activation() = default;
    // Called when the program reads the variable. Value::unknown() says that it is not known yet.
    virtual Value variable(std::size_t slot) const = 0;
    // Attributes that are unknown although the variable is there: "resource", "sql.text",
    // "sql.effects". Everything below a pattern is unknown too.
    virtual std::span<const std::string> unknowns() const { return {}; }
};

// An activation from names; variables that were not set are unknown.
class MapActivation : public Activation {
public:
    explicit MapActivation(std::shared_ptr<const Environment> environment);
    bool set(std::string_view name, Value value);  // false if no such variable is declared
    void unknown(std::string_view attribute);
    Value variable(std::size_t slot) const override;
    std::span<const std::string> unknowns() const override { return unknowns_; }

private:
    std::shared_ptr<const Environment> environment_;
    std::vector<Value> values_;
    std::vector<std::string> unknowns_;
};

// Is told the value of each sub-expression that was evaluated, innermost first.
class Tracer {
public:
    virtual ~Tracer() = default;
    virtual void value(const SourceRange& where, std::string_view text, const Value& value) = 0;
};

class Program {
public:
    // Errors and unknowns are values. The result may be a view of facts: keep() it to outlive them.
    Value evaluate(const Activation& activation, const Limits& limits = {}) const;
    // The same, slower, telling the tracer.
    Value trace(const Activation& activation, Tracer& tracer, const Limits& limits = {}) const;

    // What is left when the known part is folded: the result evaluates, under every activation
    // that agrees with this one on what is known, to what this program would. It owns what it
    // folded; native objects are never folded, only what is read out of them.
    Program partial(const Activation& known, const Limits& limits = {}) const;

    // The value, if this program is one (after folding). Errors count.
    const Value* constant() const noexcept;

    // Attribute paths read, sorted, without duplicates: "resource.labels.env", "sql.text"; a path
    // ends where an index is not constant.
    const std::vector<std::string>& references() const;

    // The conditions whose outcomes are branches: operands of && || and ?:, in source order.
    const std::vector<SourceRange>& branches() const;

    const std::string& source() const noexcept;
    const Type& type() const noexcept;  // dyn if it was not checked
    const std::shared_ptr<const Environment>& environment() const noexcept;
    SourceRange locate(std::size_t offset) const;  // of an error's Value::offset()

    // The (residual) expression as CEL text; folded native values show as their description.
    std::string text() const;

    // Of policy/cel/reason.h.
    friend const struct Expr& tree(const Program& program);

    struct Code;
    explicit Program(std::shared_ptr<const Code> code);

private:
    std::shared_ptr<const Code> code_;
};

struct Compiled {
    std::optional<Program> program;  // if there is no issue of severity Error
    Type type;
    std::vector<Issue> issues;  // in source order
};

Compiled compile(std::string_view source, std::shared_ptr<const Environment> environment,
                 const Options& options = {});

}  // namespace chaperone::cel

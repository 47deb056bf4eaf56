// SPDX-License-Identifier: Apache-2.0
// What an expression may name: variables, functions, a container. Built once, then immutable and
// shared by all programs compiled against it; safe to read from every thread.
#pragma once

#include "policy/cel/type.h"
#include "policy/cel/value.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cel {

// Bounds of one evaluation. An evaluation that passes one of them is an error.
struct Limits {
    std::uint64_t steps = 10'000'000;      // nodes evaluated plus elements and bytes worked on
    std::uint64_t value_size = 64U << 20;  // elements or bytes of one value that is made
};

// What a native function is given beside its arguments.
class Call {
public:
    virtual ~Call() = default;
    // Counts work beyond the call itself; false once the evaluation's steps are used up.
    virtual bool spend(std::uint64_t steps) = 0;
    virtual const Limits& limits() const = 0;
};

using Arguments = std::span<const Value>;
// Arguments have the kinds of the overload. Errors are returned as Value::error.
using Function = std::function<Value(Call&, Arguments)>;

struct Overload {
    std::string name;  // qualified: "math.abs"
    bool member = false;
    std::vector<Type> parameters;  // of a member: the receiver first
    Type result;
    Function run;
    bool pure = true;  // false: never folded by partial evaluation
};

struct Variable {
    std::string name;
    Type type;
};

class Environment {
public:
    class Builder;

    static constexpr std::size_t kNone = ~std::size_t{0};

    // The whole standard library and the extensions, no variables.
    static std::shared_ptr<const Environment> standard();

    std::span<const Variable> variables() const noexcept { return variables_; }
    std::size_t slot(std::string_view name) const noexcept;  // kNone if there is none
    const std::string& container() const noexcept { return container_; }

    // All overloads of a function; empty if the name is no function.
    std::span<const Overload> functions(std::string_view name) const noexcept;
    std::vector<std::string> function_names() const;

private:
    friend class Builder;
    Environment() = default;

    std::vector<Variable> variables_;
    using Functions = std::map<std::string, std::vector<Overload>, std::less<>>;

    std::map<std::string, std::size_t, std::less<>> slots_;
    std::shared_ptr<const Functions> library_;  // the standard ones, shared by all
    Functions functions_;                       // what was added; replaces the library's entry
    std::string container_;
};

class Environment::Builder {
public:
    Builder();

    // A name may be qualified ("request.auth"). A second declaration of a name replaces the first.
    Builder& variable(std::string_view name, Type type);
    // E.g. "string.isAdmin(list(string)) -> bool" or "net.lookup(string) -> dyn"; a receiver is a
    // type text before the dot. Aborts on a signature that does not parse: it is code.
    Builder& function(std::string_view signature, Function run, bool pure = true);
    Builder& container(std::string_view name);
    std::shared_ptr<const Environment> build() const;

private:
    explicit Builder(std::nullptr_t);  // without the library
    static std::shared_ptr<const Functions> library();

    std::shared_ptr<Environment> made_;
};

}  // namespace chaperone::cel

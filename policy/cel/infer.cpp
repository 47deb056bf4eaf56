// SPDX-License-Identifier: Apache-2.0
// Type inference by unification with dyn, null and wrapper rules (language definition, section
// "Gradual type checking").
#include "policy/cel/infer.h"

#include <algorithm>

namespace chaperone::cel {
namespace {

bool nullable(const Type& type) {
    switch (type.kind()) {
    case TypeKind::Null:
    case TypeKind::Wrapper:
    case TypeKind::Object:
    case TypeKind::Timestamp:
    case TypeKind::Duration:
    case TypeKind::Any:
    case TypeKind::Dyn:
    case TypeKind::Optional: return true;
    case TypeKind::Bool:
    case TypeKind::Int:
    case TypeKind::Uint:
    case TypeKind::Double:
    case TypeKind::String:
    case TypeKind::Bytes:
    case TypeKind::List:
    case TypeKind::Map:
    case TypeKind::Type:
    case TypeKind::Parameter: return false;
    }
    return false;
}

bool is_dyn(const Type& type) {
    return type.is(TypeKind::Dyn) || type.is(TypeKind::Any);
}

Type with_arguments(const Type& type, std::vector<Type> arguments) {
    switch (type.kind()) {
    case TypeKind::List: return Type::list(std::move(arguments[0]));
    case TypeKind::Map: return Type::map(std::move(arguments[0]), std::move(arguments[1]));
    case TypeKind::Type: return Type::type(std::move(arguments[0]));
    case TypeKind::Wrapper: return Type::wrapper(std::move(arguments[0]));
    case TypeKind::Optional: return Type::optional(std::move(arguments[0]));
    case TypeKind::Dyn:
    case TypeKind::Null:
    case TypeKind::Bool:
    case TypeKind::Int:
    case TypeKind::Uint:
    case TypeKind::Double:
    case TypeKind::String:
    case TypeKind::Bytes:
    case TypeKind::Timestamp:
    case TypeKind::Duration:
    case TypeKind::Any:
    case TypeKind::Object:
    case TypeKind::Parameter: return type;
    }
    return type;
}

}  // namespace

Type Inference::fresh() {
    return Type::parameter("#" + std::to_string(made_++));
}

Type Inference::Instance::of(const Type& declared) {
    if (declared.is(TypeKind::Parameter)) {
        const auto [at, added] = made_.try_emplace(declared.name());
        if (added) at->second = inference_.fresh();
        return at->second;
    }
    if (declared.arguments().empty()) return declared;
    std::vector<Type> arguments;
    for (const Type& argument : declared.arguments()) arguments.push_back(of(argument));
    return with_arguments(declared, std::move(arguments));
}

Type Inference::shallow(const Type& type) const {
    Type found = type;
    while (found.is(TypeKind::Parameter)) {
        const auto known = known_.find(found.name());
        if (known == known_.end()) break;
        found = known->second;
    }
    return found;
}

Type Inference::rebuilt(const Type& type, bool open_is_dyn) const {
    if (++work_ > kBudget) return TypeKind::Dyn;
    Type found = shallow(type);
    if (found.is(TypeKind::Parameter)) return open_is_dyn ? Type{TypeKind::Dyn} : found;
    if (found.arguments().empty()) return found;
    std::vector<Type> arguments;
    for (const Type& argument : found.arguments())
        arguments.push_back(rebuilt(argument, open_is_dyn));
    return with_arguments(found, std::move(arguments));
}

Type Inference::resolve(const Type& type) const {
    return rebuilt(type, false);
}

Type Inference::closed(const Type& type) const {
    return rebuilt(type, true);
}

bool Inference::mentions(const Type& type, const std::string& parameter) const {
    if (++work_ > kBudget) return false;
    const Type found = shallow(type);
    if (found.is(TypeKind::Parameter)) return found.name() == parameter;
    return std::ranges::any_of(found.arguments(),
                               [&](const Type& argument) { return mentions(argument, parameter); });
}

// Known parameters are looked through before, so this one is open. A type that contains the
// parameter itself cannot be what it stands for.
bool Inference::bind(const Type& parameter, const Type& other) {
    if (other.is(TypeKind::Parameter) && other.name() == parameter.name()) return true;
    if (mentions(other, parameter.name())) return false;
    known_.insert_or_assign(parameter.name(), other);
    return true;
}

bool Inference::assignable(const Type& given, const Type& wanted) {
    Mark before = mark();
    if (assign(given, wanted)) return true;
    rewind(std::move(before));
    return false;
}

bool Inference::assign(const Type& given_type, const Type& wanted_type) {
    if (++work_ > kBudget) return true;
    const Type given = shallow(given_type);
    const Type wanted = shallow(wanted_type);
    if (wanted.is(TypeKind::Parameter)) return bind(wanted, given);
    if (given.is(TypeKind::Parameter)) return bind(given, wanted);
    // A parameter that was bound to the more specific of two types learns the more general one.
    if (wanted_type.is(TypeKind::Parameter) && general(given, wanted) && !(given == wanted) &&
        !mentions(given, wanted_type.name())) {
        known_.insert_or_assign(wanted_type.name(), given);
        return true;
    }
    if (is_dyn(given) || is_dyn(wanted)) return true;
    if (given.is(TypeKind::Null)) return nullable(wanted);
    if (wanted.is(TypeKind::Null)) return nullable(given);
    if (given.is(TypeKind::Wrapper) && !wanted.is(TypeKind::Wrapper))
        return assign(given.arguments()[0], wanted);
    if (wanted.is(TypeKind::Wrapper) && !given.is(TypeKind::Wrapper))
        return assign(given, wanted.arguments()[0]);
    if (given.kind() != wanted.kind()) return false;
    if (given.is(TypeKind::Object)) return given.name() == wanted.name();
    if (given.is(TypeKind::Type)) return true;  // types are compared by value
    for (std::size_t i = 0; i != given.arguments().size(); ++i)
        if (!assign(given.arguments()[i], wanted.arguments()[i])) return false;
    return true;
}

bool Inference::general(const Type& left_type, const Type& right_type) const {
    if (++work_ > kBudget) return true;
    const Type left = shallow(left_type);
    const Type right = shallow(right_type);
    if (is_dyn(left) || left.is(TypeKind::Parameter)) return true;
    if (is_dyn(right) || right.is(TypeKind::Parameter)) return false;
    if (right.is(TypeKind::Null)) return nullable(left);
    if (left.is(TypeKind::Wrapper) && !right.is(TypeKind::Wrapper))
        return general(left.arguments()[0], right);
    if (left.kind() != right.kind()) return false;
    if (left.arguments().empty()) return left == right;
    for (std::size_t i = 0; i != left.arguments().size(); ++i)
        if (!general(left.arguments()[i], right.arguments()[i])) return false;
    return true;
}

Type Inference::join(const Type& left, const Type& right) {
    if (assignable(right, left) || assignable(left, right)) {
        const Type a = resolve(left);
        const Type b = resolve(right);
        if (general(a, b)) return a;
        if (general(b, a)) return b;
    }
    return TypeKind::Dyn;
}

}  // namespace chaperone::cel

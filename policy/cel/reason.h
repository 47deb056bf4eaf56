// SPDX-License-Identifier: Apache-2.0
// Proofs about conditions: that no facts whatever make them come out in a given way. Sound and not
// complete: `true` is a proof, `false` says that none was found within the bounds. For `policy
// check` and `policy diff`, never for decisions.
#pragma once

#include "policy/cel/program.h"

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace chaperone::cel {

// What one program comes out to: `true`, or `false` (an error is neither). Null: the constant true.
struct Claim {
    const Program* program = nullptr;
    bool holds = true;
};

// A value that a condition names for a path: `x == "a"` and `x in ["a", "b"]` name values of x.
// Elements of a list have the path "list[]".
struct NamedValue {
    std::string path;
    std::string value;  // as describe() writes it
    auto operator<=>(const NamedValue&) const = default;
};

// What is known of all facts beside the conditions.
struct World {
    // The texts that a path can hold.
    std::map<std::string, std::set<std::string>, std::less<>> domains;
    // Lists that have an element.
    std::set<std::string, std::less<>> filled;
    // If a list has an element, another has one whose field is one of these texts.
    struct Implied {
        std::string list;
        std::string field;
        std::set<std::string> values;
    };
    std::map<std::string, Implied, std::less<>> implied;
    // Paths that hold this value and no other; every element does where the path is of elements.
    std::vector<NamedValue> assumed;
    // Cases that may still be taken apart, shared by several proofs; null: each has its own bound.
    std::size_t* budget = nullptr;
};

// A proof that nothing makes all claims come out as they say.
bool impossible(std::span<const Claim> claims, const World& world);

// The values that the condition names without a negation around them, sorted.
std::vector<NamedValue> named_values(const Program& program);

// Every text literal in the (residual) condition, sorted, without duplicates.
std::vector<std::string> text_literals(const Program& program);

// The tree that the program runs, residual if it was folded. Lives as long as the program.
const struct Expr& tree(const Program& program);

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// One case of a proof: facts that must hold together, and whether they can. Inside of reason.cpp.
#pragma once

#include "policy/cel/ast.h"
#include "policy/cel/reason.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::cel {

// What a macro's variable stands for: a path, or a value where the list is a constant.
struct Meaning {
    std::string name;
    std::string path;
    const Value* value = nullptr;
};
using Names = std::vector<Meaning>;

// What an element of a list must be like.
struct ElementOf {
    const Expr* body = nullptr;  // null: `field` of it is, or is not, one of `values`
    std::string variable{};
    Names names{};
    std::string field{};  // empty: the element itself
    std::set<std::string> values{};
    bool anything = false;  // no more than that it is there
    bool holds = true;
};

class Cube {
public:
    struct Test {
        std::string function;  // startsWith, endsWith, contains
        std::string text;
        bool holds = true;
    };
    struct Term {
        std::optional<std::set<std::string>> allowed;
        std::set<std::string> excluded;
        std::optional<std::int64_t> least, most;
        std::vector<Test> tests;
    };
    struct Elements {
        std::vector<ElementOf> every, some;
    };

    explicit Cube(const World& world) : world_(&world) {}

    // Each says false if that contradicts what is there already.
    bool atom(const std::string& text, bool holds);
    bool one_of(const std::string& path, const std::set<std::string>& values, bool holds);
    bool compare(const std::string& path, std::string_view order, std::int64_t with);
    bool test(const std::string& path, Test test);

    std::map<std::string, Elements>& lists() noexcept { return lists_; }
    const World& world() const noexcept { return *world_; }
    // The facts without the lists: what holds around an element of one of them.
    Cube around() const;

private:
    bool possible(const std::string& path, const Term& term) const;

    const World* world_;
    std::map<std::string, bool> atoms_;
    std::map<std::string, Term> terms_;
    std::map<std::string, Elements> lists_;
};

}  // namespace chaperone::cel

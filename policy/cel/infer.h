// SPDX-License-Identifier: Apache-2.0
// Type inference: what is assignable to what, and what type parameters stand for.
#pragma once

#include "policy/cel/type.h"

#include <map>
#include <string>

namespace chaperone::cel {

class Inference {
public:
    // A parameter that nothing was found out about yet.
    Type fresh();
    // The type with each of its parameters ("A") replaced by a fresh one, the same in one instance.
    class Instance {
    public:
        explicit Instance(Inference& inference) : inference_(inference) {}
        Type of(const Type& declared);

    private:
        Inference& inference_;
        std::map<std::string, Type> made_;
    };

    // May a value of type `given` go where `wanted` is expected? Learns what parameters stand for;
    // learns nothing if the answer is no.
    bool assignable(const Type& given, const Type& wanted);

    // The one type of a list whose elements have these two; dyn if they do not go together.
    Type join(const Type& left, const Type& right);

    // With what is known put in place of parameters; what is still open stays (or becomes dyn).
    Type resolve(const Type& type) const;
    Type closed(const Type& type) const;
    // The type itself, parameters at the top looked through.
    Type shallow(const Type& type) const;

    // Types that share their parts can make this exponential; past the budget all is dyn, and the
    // checker must refuse the expression.
    bool exhausted() const { return work_ > kBudget; }

    struct Mark {
        std::map<std::string, Type> known;
    };
    Mark mark() const { return {known_}; }
    void rewind(Mark mark) { known_ = std::move(mark.known); }

private:
    bool assign(const Type& given, const Type& wanted);
    bool bind(const Type& parameter, const Type& other);
    bool mentions(const Type& type, const std::string& parameter) const;
    bool general(const Type& left, const Type& right) const;  // left is equal or less specific
    Type rebuilt(const Type& type, bool open_is_dyn) const;

    static constexpr std::size_t kBudget = 2'000'000;

    std::map<std::string, Type> known_;
    std::size_t made_ = 0;
    mutable std::size_t work_ = 0;
};

}  // namespace chaperone::cel

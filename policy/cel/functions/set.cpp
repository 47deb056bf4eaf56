// SPDX-License-Identifier: Apache-2.0
// The sets extension: lists as sets.
#include "policy/cel/containers.h"
#include "policy/cel/functions/library.h"

namespace chaperone::cel {
namespace {

// Membership in a list: hashed where elements have hashes, else by comparison.
class Members {
public:
    explicit Members(const List& list) {
        for (std::size_t i = 0; i != list.size(); ++i) {
            Value next = list.at(i);
            if (is_key(next) || next.is(Kind::Double))
                hashed_.add(std::move(next), Value{});
            else
                others_.push_back(std::move(next));
        }
    }
    bool has(Call& call, const Value& sought) const {
        if (is_key(sought) || sought.is(Kind::Double)) return hashed_.find(sought).has_value();
        if (!call.spend(others_.size() * (weight(sought) / 24 + 1))) return false;
        for (const Value& other : others_)
            if (equal(other, sought)) return true;
        return false;
    }

private:
    VectorMap hashed_;
    std::vector<Value> others_;
};

bool all_in(Call& call, const List& part, const Members& whole) {
    for (std::size_t i = 0; i != part.size(); ++i)
        if (!whole.has(call, part.at(i))) return false;
    return true;
}
bool afford(Call& call, Arguments a) {
    return call.spend(a[0].as_list().size() + a[1].as_list().size());
}

Value contains(Call& call, Arguments a) {
    if (!afford(call, a)) return steps_used_up();
    const bool result = all_in(call, a[1].as_list(), Members{a[0].as_list()});
    return call.spend(1) ? Value::boolean(result) : steps_used_up();
}
Value equivalent(Call& call, Arguments a) {
    if (!afford(call, a)) return steps_used_up();
    const bool result = all_in(call, a[1].as_list(), Members{a[0].as_list()}) &&
                        all_in(call, a[0].as_list(), Members{a[1].as_list()});
    return call.spend(1) ? Value::boolean(result) : steps_used_up();
}
Value intersects(Call& call, Arguments a) {
    if (!afford(call, a)) return steps_used_up();
    const Members left{a[0].as_list()};
    const List& right = a[1].as_list();
    for (std::size_t i = 0; i != right.size(); ++i)
        if (left.has(call, right.at(i))) return Value::boolean(true);
    return call.spend(1) ? Value::boolean(false) : steps_used_up();
}

}  // namespace

void add_sets(Environment::Builder& to) {
    to.function("sets.contains(list(A), list(A)) -> bool", contains)
        .function("sets.equivalent(list(A), list(A)) -> bool", equivalent)
        .function("sets.intersects(list(A), list(A)) -> bool", intersects);
}

}  // namespace chaperone::cel

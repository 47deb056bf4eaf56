// SPDX-License-Identifier: Apache-2.0
// The lists extension.
#include "policy/cel/compare.h"
#include "policy/cel/containers.h"
#include "policy/cel/functions/library.h"

#include <algorithm>

namespace chaperone::cel {
namespace {

constexpr std::int64_t kMaxRange = 1'000'000;  // numbers of one lists.range

std::vector<Value> elements(const List& list) {
    std::vector<Value> all;
    all.reserve(list.size());
    for (std::size_t i = 0; i != list.size(); ++i) all.push_back(list.at(i));
    return all;
}

Value slice(Call& call, Arguments a) {
    const List& list = a[0].as_list();
    const auto size = static_cast<std::int64_t>(list.size());
    const std::int64_t begin = a[1].as_int();
    const std::int64_t end = a[2].as_int();
    if (begin < 0 || end < 0) return Value::error("cannot slice with negative indices");
    if (begin > end) return Value::error("cannot slice: the start is behind the end");
    if (end > size) return Value::error("cannot slice: the end is out of range");
    if (!call.spend(static_cast<std::uint64_t>(end - begin))) return steps_used_up();
    std::vector<Value> part;
    for (std::int64_t i = begin; i != end; ++i)
        part.push_back(list.at(static_cast<std::size_t>(i)));
    return made_list(call, std::move(part));
}

bool flatten_into(Call& call, std::vector<Value>& out, const List& list, std::int64_t depth) {
    for (std::size_t i = 0; i != list.size(); ++i) {
        if (!call.spend(1)) return false;
        Value next = list.at(i);
        if (next.is(Kind::List) && depth > 0) {
            if (!flatten_into(call, out, next.as_list(), depth - 1)) return false;
        } else {
            out.push_back(std::move(next));
        }
    }
    return true;
}
Value flatten(Call& call, Arguments a) {
    constexpr std::int64_t kMaxDepth = 500;  // nothing nests deeper than a program does
    const std::int64_t depth = a.size() == 2 ? a[1].as_int() : 1;
    if (depth < 0) return Value::error("level must be non-negative");
    std::vector<Value> out;
    if (!flatten_into(call, out, a[0].as_list(), std::min(depth, kMaxDepth)))
        return steps_used_up();
    return made_list(call, std::move(out));
}

Value distinct(Call& call, Arguments a) {
    VectorMap seen;
    std::vector<Value> kept;
    std::vector<Value> others;  // of kinds that have no hash
    for (Value& next : elements(a[0].as_list())) {
        const bool hashed = is_key(next) || next.is(Kind::Double);
        if (!call.spend(1 + (hashed ? 0 : others.size() * (weight(next) / 24 + 1))))
            return steps_used_up();
        if (hashed) {
            if (!seen.add(next, Value{})) continue;
        } else {
            if (std::ranges::any_of(others, [&](const Value& o) { return equal(o, next); }))
                continue;
            others.push_back(next);
        }
        kept.push_back(std::move(next));
    }
    return made_list(call, std::move(kept));
}

Value range(Call& call, Arguments a) {
    const std::int64_t count = a[0].as_int();
    if (count < 0) return Value::error("lists.range needs a non-negative number");
    if (count > kMaxRange) return Value::error("lists.range: too many numbers");
    if (!call.spend(static_cast<std::uint64_t>(count))) return steps_used_up();
    std::vector<Value> numbers;
    for (std::int64_t i = 0; i != count; ++i) numbers.push_back(Value::integer(i));
    return made_list(call, std::move(numbers));
}

Value reverse(Call& call, Arguments a) {
    if (!call.spend(a[0].as_list().size())) return steps_used_up();
    std::vector<Value> all = elements(a[0].as_list());
    std::ranges::reverse(all);
    return made_list(call, std::move(all));
}

Value sort(Call& call, Arguments a) {
    if (!call.spend(16 * a[0].as_list().size())) return steps_used_up();
    std::vector<Value> all = elements(a[0].as_list());
    for (const Value& next : all) {
        if (!compare(next, next)) return Value::error("sort needs elements that have an order");
        if (next.kind() != all[0].kind()) return Value::error("sort needs elements of one type");
    }
    std::vector<Value> sorted;
    for (const std::size_t i : sorted_order(all)) sorted.push_back(all[i]);
    return made_list(call, std::move(sorted));
}

}  // namespace

void add_lists(Environment::Builder& to) {
    to.function("list(A).slice(int, int) -> list(A)", slice)
        .function("list(list(A)).flatten() -> list(A)", flatten)
        .function("list(dyn).flatten(int) -> list(dyn)", flatten)
        .function("list(A).distinct() -> list(A)", distinct)
        .function("lists.range(int) -> list(int)", range)
        .function("list(A).reverse() -> list(A)", reverse)
        .function("list(A).sort() -> list(A)", sort);
}

}  // namespace chaperone::cel

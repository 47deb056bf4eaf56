// SPDX-License-Identifier: Apache-2.0
// Equality and order of values.
#include "policy/cel/compare.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chaperone::cel {
namespace {

std::partial_ordering order(std::int64_t left, std::uint64_t right) {
    if (left < 0) return std::partial_ordering::less;
    return static_cast<std::uint64_t>(left) <=> right;
}

// As doubles, like every implementation that the conformance cases were written against: beyond
// 2^53 integers that round to one double are equal to it.
std::partial_ordering order(std::int64_t left, double right) {
    return static_cast<double>(left) <=> right;
}

std::partial_ordering order(std::uint64_t left, double right) {
    return static_cast<double>(left) <=> right;
}

std::partial_ordering reversed(std::partial_ordering order) {
    return 0 <=> order;
}

std::strong_ordering order_times(const Value& left, const Value& right) {
    if (left.seconds() != right.seconds()) return left.seconds() <=> right.seconds();
    return left.nanos() <=> right.nanos();
}

bool equal_lists(const List& left, const List& right) {
    const std::size_t size = left.size();
    if (size != right.size()) return false;
    for (std::size_t i = 0; i != size; ++i)
        if (!equal(left.at(i), right.at(i))) return false;
    return true;
}

bool equal_maps(const Map& left, const Map& right) {
    const std::size_t size = left.size();
    if (size != right.size()) return false;
    for (std::size_t i = 0; i != size; ++i) {
        const auto other = right.find(left.key(i));
        if (!other || !equal(left.at(i), *other)) return false;
    }
    return true;
}

}  // namespace

std::partial_ordering compare_numbers(const Value& left, const Value& right) noexcept {
    if (left.is(Kind::Int)) {
        if (right.is(Kind::Int)) return left.as_int() <=> right.as_int();
        if (right.is(Kind::Uint)) return order(left.as_int(), right.as_uint());
        return order(left.as_int(), right.as_double());
    }
    if (left.is(Kind::Uint)) {
        if (right.is(Kind::Uint)) return left.as_uint() <=> right.as_uint();
        if (right.is(Kind::Int)) return reversed(order(right.as_int(), left.as_uint()));
        return order(left.as_uint(), right.as_double());
    }
    if (right.is(Kind::Int)) return reversed(order(right.as_int(), left.as_double()));
    if (right.is(Kind::Uint)) return reversed(order(right.as_uint(), left.as_double()));
    return left.as_double() <=> right.as_double();
}

bool equal(const Value& left, const Value& right) {
    if (is_number(left) && is_number(right)) return compare_numbers(left, right) == 0;
    if (left.kind() != right.kind()) return false;
    switch (left.kind()) {
    case Kind::Null: return true;
    case Kind::Bool: return left.as_bool() == right.as_bool();
    case Kind::String:
    case Kind::Bytes:
    case Kind::Type: return left.as_text() == right.as_text();
    case Kind::List: return equal_lists(left.as_list(), right.as_list());
    case Kind::Map: return equal_maps(left.as_map(), right.as_map());
    case Kind::Object: return left.as_object().equals(right.as_object());
    case Kind::Timestamp:
    case Kind::Duration: return order_times(left, right) == 0;
    case Kind::Optional:
        if (left.held() == nullptr || right.held() == nullptr) return left.held() == right.held();
        return equal(*left.held(), *right.held());
    case Kind::Int:
    case Kind::Uint:
    case Kind::Double:
    case Kind::Error:
    case Kind::Unknown: return false;
    }
    return false;
}

std::optional<std::partial_ordering> compare(const Value& left, const Value& right) noexcept {
    if (is_number(left) && is_number(right)) return compare_numbers(left, right);
    if (left.kind() != right.kind()) return std::nullopt;
    if (left.is(Kind::String) || left.is(Kind::Bytes)) return left.as_text() <=> right.as_text();
    if (left.is(Kind::Bool)) return left.as_bool() <=> right.as_bool();
    if (left.is(Kind::Timestamp) || left.is(Kind::Duration)) return order_times(left, right);
    return std::nullopt;
}

std::vector<std::size_t> sorted_order(const std::vector<Value>& values) {
    const auto is_nan = [](const Value& value) {
        return value.is(Kind::Double) && std::isnan(value.as_double());
    };
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
        const bool a_last = is_nan(values[a]);
        const bool b_last = is_nan(values[b]);
        if (a_last != b_last) return b_last;
        const auto verdict = *compare(values[a], values[b]);
        return verdict == 0 || a_last ? a < b : verdict < 0;
    });
    return order;
}

}  // namespace chaperone::cel

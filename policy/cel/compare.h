// SPDX-License-Identifier: Apache-2.0
// Equality and order of values; numbers compare by their mathematical value across types.
#pragma once

#include "policy/cel/value.h"

#include <compare>
#include <optional>

namespace chaperone::cel {

inline bool is_number(const Value& value) noexcept {
    return value.is(Kind::Int) || value.is(Kind::Uint) || value.is(Kind::Double);
}

// unordered if one of them is NaN.
std::partial_ordering compare_numbers(const Value& left, const Value& right) noexcept;

// Empty if the kinds have no order between them.
std::optional<std::partial_ordering> compare(const Value& left, const Value& right) noexcept;

// The stable order of the indices of these values; NaN goes last. All must have an order.
std::vector<std::size_t> sorted_order(const std::vector<Value>& values);

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Reading libpg_query's JSON tree: {"SelectStmt": {…}} is a node, a missing field its default.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql::pg {

using Object = boost::json::object;
using Array = boost::json::array;
using Value = boost::json::value;

// A node with its type's name; fields is never null (an empty object stands for none).
struct Node {
    std::string_view type{};
    const Object* fields = nullptr;
    explicit operator bool() const noexcept { return !type.empty(); }
};

Node node(const Value& value) noexcept;                        // {"Type": {…}}, else a Node of ""
Node node(const Object& in, std::string_view field) noexcept;  // the same, of a field
const Value* find(const Object& in, std::string_view field) noexcept;
const Object* child(const Object& in, std::string_view field) noexcept;  // null: absent
const Array& list(const Object& in, std::string_view field) noexcept;    // empty: absent
std::string_view text(const Object& in, std::string_view field) noexcept;
bool flag(const Object& in, std::string_view field) noexcept;
std::int64_t number(const Object& in, std::string_view field) noexcept;

std::string_view string_of(const Value& value) noexcept;     // {"String": {"sval": …}}, else ""
std::vector<std::string_view> strings(const Array& values);  // string_of of each that is one
// A string constant, also below casts: 'x'::regclass; false: something else.
bool constant_text(const Value& value, std::string& out);

}  // namespace chaperone::policy::sql::pg

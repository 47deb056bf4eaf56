// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL 15 itself brings: names in pg_catalog, which of its functions do something, and
// which of its views and functions show other people's values.
#pragma once

#include "policy/sql/facts.h"

#include <string_view>

namespace chaperone::policy::sql::pg {

bool is_builtin_function(std::string_view name) noexcept;
bool is_builtin_relation(std::string_view name) noexcept;
bool is_builtin_operator(std::string_view name) noexcept;

// "a,b,c": the columns of a function that gives rows, in FROM; empty: one column, or not known.
std::string_view row_columns(std::string_view function) noexcept;
// In FROM it may give rows of columns that its name does not tell.
bool gives_open_rows(std::string_view function) noexcept;

// How a builtin's effect names its object.
enum class ObjectOf : unsigned char {
    Name,   // "pg_catalog.function"
    First,  // the first argument, "*" if it is not a constant
    Second,
    Relation,  // the first argument, as the name of a relation
    Fixed,     // Behaviour::object
};

enum class Runs : unsigned char { Nothing, Query, Table, Other };  // what its arguments make it run

struct Behaviour {
    std::string_view name{};
    EffectKind kind = EffectKind::Call;
    ObjectOf of = ObjectOf::Name;
    std::string_view object{};
    Runs runs = Runs::Nothing;
    bool opaque = false;  // what it gives back may hold any stored value
};

// Null: a function that computes its result from its arguments and does nothing else.
const Behaviour* behaviour(std::string_view function) noexcept;

// A column of a system relation that shows values of other relations (statistics) or texts of
// other sessions. column "*": any of them.
bool leaks(std::string_view schema, std::string_view relation, std::string_view column) noexcept;

}  // namespace chaperone::policy::sql::pg

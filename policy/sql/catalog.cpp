// SPDX-License-Identifier: Apache-2.0
// The snapshot's look-ups. How it is made: catalog_queries.cpp and catalog_builder.cpp.
#include "policy/sql/catalog.h"

#include "policy/sql/type_key.h"

#include <algorithm>

namespace chaperone::policy::sql {

const Column* Relation::column(std::string_view wanted) const noexcept {
    const auto found = std::ranges::find(columns, wanted, &Column::name);
    return found == columns.end() ? nullptr : &*found;
}

const Relation* Catalog::relation(std::string_view schema, std::string_view name) const noexcept {
    for (const Relation* relation : relations_named(name))
        if (relation->schema == schema) return relation;
    return nullptr;
}

const Relation* Catalog::relation(Oid oid) const noexcept {
    const auto found = by_oid_.find(oid);
    return found == by_oid_.end() ? nullptr : found->second.get();
}

std::span<const Relation* const> Catalog::relations_named(std::string_view name) const noexcept {
    const auto found = by_bare_name_.find(name);
    if (found == by_bare_name_.end()) return {};
    return found->second;
}

std::span<const Function> Catalog::functions_named(std::string_view name) const noexcept {
    const auto found = functions_.find(name);
    if (found == functions_.end()) return {};
    return found->second;
}

const Type* Catalog::type(Oid oid) const noexcept {
    const auto found = types_.find(oid);
    return found == types_.end() ? nullptr : &found->second;
}

const Type* Catalog::type(std::string_view schema, std::string_view name) const noexcept {
    const auto found = types_by_name_.find(type_key(schema, name));
    return found == types_by_name_.end() ? nullptr : type(found->second);
}

bool Catalog::operator_is_foreign(std::string_view name) const noexcept {
    return operators_.contains(name);
}

bool Catalog::cast_is_foreign(std::string_view type) const noexcept {
    return casts_.contains(type);
}

bool Catalog::has_schema(std::string_view name) const noexcept {
    return schemas_.contains(name);
}

const Catalog::ViewLineage* Catalog::lineage(const Relation& view) const noexcept {
    const auto found = views_.find(view.oid);
    return found == views_.end() ? nullptr : &found->second;
}

std::optional<ColumnRef> Catalog::column(Oid oid, std::int16_t number) const {
    const Relation* found = relation(oid);
    if (found == nullptr) return std::nullopt;
    const auto column = std::ranges::find(found->columns, number, &Column::number);
    if (column == found->columns.end()) return std::nullopt;
    return ColumnRef{found->schema, found->name, column->name};
}

}  // namespace chaperone::policy::sql

// SPDX-License-Identifier: Apache-2.0
// The snapshot's look-ups. How it is made: catalog_builder.cpp.
#include "policy/sql/catalog.h"

#include <algorithm>

namespace chaperone::policy::sql {
namespace {

// PostgreSQL 10 and later have every column that is asked for.
constexpr std::string_view kQueries[] = {
    // 0: relations and their columns, one row per column (or one without a column)
    "SELECT c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " AND NOT a.attisdropped"
    " WHERE c.relkind IN ('r','v','m','f','p','S','c') AND n.nspname !~ '^pg_(toast|temp_)'"
    " AND c.oid >= $1 ORDER BY c.oid, a.attnum",
    // 1: what inherits from what
    "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits",
    // 2: views, but for the system's own
    "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v','m')"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    // 3: functions outside pg_catalog, and those of it that came later than PostgreSQL 15
    "SELECT n.nspname, p.proname, p.provolatile, l.lanname, p.proretset, p.prorettype,"
    " p.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"
    " AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)"
    " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
    " WHERE n.nspname <> 'pg_catalog' OR p.oid >= 16384",
    // 4: types
    "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typcategory, t.typelem, t.typbasetype,"
    " t.typrelid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n"
    " ON n.oid = t.typnamespace WHERE t.oid >= $1",
    // 5: operators that are not PostgreSQL's own
    "SELECT DISTINCT o.oprname FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n"
    " ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog'",
    // 6: schemas
    "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast|temp_)'",
    // 7: types to which a function of neither the server nor an extension casts
    "SELECT DISTINCT t.typname FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type t"
    " ON t.oid = c.casttarget WHERE c.castfunc >= 16384 AND c.oid NOT IN"
    " (SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"
    " AND d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass)",
};

// hashtext is internal but has been there since PostgreSQL 8; sums do not depend on the order.
// Objects below 16384 are initdb's: their columns, functions and operators nobody can change
// without allow_system_table_mods, and there are thousands of them. Their views can be replaced.
constexpr std::string_view kDigestQuery =
    "SELECT pg_catalog.concat_ws(':',"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(c.oid || '/' || c.xmin || '/' || c.relname)))"
    " FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't'),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(a.attrelid || '/' || a.attnum || '/' || a.xmin)))"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    " WHERE c.relpersistence <> 't' AND a.attrelid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(r.oid || '/' || r.xmin))) FROM pg_catalog.pg_rewrite r),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(p.oid || '/' || p.xmin))) FROM pg_catalog.pg_proc p"
    " WHERE p.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(i.inhrelid || '/' || i.inhparent))) FROM pg_catalog.pg_inherits i),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(o.oid || '/' || o.xmin))) FROM pg_catalog.pg_operator o"
    " WHERE o.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(k.oid || '/' || k.xmin))) FROM pg_catalog.pg_cast k"
    " WHERE k.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(n.oid || '/' || n.xmin))) FROM pg_catalog.pg_namespace n"
    " WHERE n.nspname !~ '^pg_(toast|temp_)'))";

std::string key(std::string_view schema, std::string_view name) {
    std::string result{schema};
    result += '\0';
    result += name;
    return result;
}

}  // namespace

const Column* Relation::column(std::string_view wanted) const noexcept {
    const auto found = std::ranges::find(columns, wanted, &Column::name);
    return found == columns.end() ? nullptr : &*found;
}

std::size_t Catalog::queries() noexcept {
    return std::size(kQueries);
}

std::string Catalog::query(std::size_t query, Oid from) {
    std::string text{kQueries[query]};
    if (const auto at = text.find("$1"); at != std::string::npos)
        text.replace(at, 2, std::to_string(from));
    return text;
}

std::string Catalog::view_query(Oid view) {
    const std::string oid = std::to_string(view);
    return "SELECT " + oid + ", pg_catalog.pg_get_viewdef(" + oid + "::pg_catalog.oid)";
}

std::string_view Catalog::digest_query() noexcept {
    return kDigestQuery;
}

const Relation* Catalog::relation(std::string_view schema, std::string_view name) const noexcept {
    for (const Relation* relation : relations_named(name))
        if (relation->schema == schema) return relation;
    return nullptr;
}

const Relation* Catalog::relation(Oid oid) const noexcept {
    const auto found = by_oid_.find(oid);
    return found == by_oid_.end() ? nullptr : found->second;
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
    const auto found = types_by_name_.find(key(schema, name));
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

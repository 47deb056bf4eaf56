// SPDX-License-Identifier: Apache-2.0
// What a database holds, as far as lineage needs it: an immutable snapshot, shared by all sessions
// of one database and swapped when the schema has changed.
// Source of the numbers and letters: PostgreSQL 15, chapter 53 "System Catalogs".
#pragma once

#include "policy/sql/facts.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace chaperone::policy::sql {

using Oid = std::uint32_t;

struct Column {
    std::string name{};
    std::int16_t number = 0;  // attnum, from 1; gaps where columns were dropped
    Oid type = 0;
    bool operator==(const Column&) const = default;
};

struct Relation {
    Oid oid = 0;
    std::string schema{};
    std::string name{};
    char kind = 'r';  // pg_class.relkind: r table, v view, m matview, f foreign, p partitioned, S …
    std::vector<Column> columns{};  // by number
    std::string definition{};       // of a view: pg_get_viewdef
    std::vector<Oid> parents{};     // pg_inherits: what it inherits from or is a partition of
    std::vector<Oid> children{};

    const Column* column(std::string_view name) const noexcept;
    bool is_view() const noexcept { return kind == 'v' || kind == 'm'; }
};

struct Function {
    std::string schema{};
    std::string name{};
    char volatility = 'v';  // pg_proc.provolatile: i immutable, s stable, v volatile
    std::string language{};
    bool extension = false;  // made by CREATE EXTENSION
    bool returns_set = false;
    Oid returns = 0;
    bool operator==(const Function&) const = default;
};

struct Type {
    Oid oid = 0;
    std::string schema{};
    std::string name{};
    char kind = 'b';      // pg_type.typtype: b base, c composite, d domain, e enum, p pseudo, r, m
    char category = 'U';  // pg_type.typcategory: S string, N numeric, D date/time …
    Oid element = 0;      // of an array
    Oid base = 0;         // of a domain
    Oid relation = 0;     // of a composite
    bool operator==(const Type&) const = default;
};

class Catalog {
public:
    // Where a view's columns come from, worked out once when the catalog is built.
    struct ViewLineage {
        bool known = false;
        std::vector<OutputColumn> columns{};  // by position, as Relation::columns
        std::vector<ColumnRef> filters{};
        std::vector<std::string> relations{};  // everything below it, "schema.name"
        std::vector<std::string> functions{};
    };

    const Relation* relation(std::string_view schema, std::string_view name) const noexcept;
    const Relation* relation(Oid oid) const noexcept;
    std::span<const Relation* const> relations_named(std::string_view name) const noexcept;
    std::span<const Function> functions_named(std::string_view name) const noexcept;
    const Type* type(Oid oid) const noexcept;
    const Type* type(std::string_view schema, std::string_view name) const noexcept;
    bool operator_is_foreign(std::string_view name) const noexcept;  // exists outside pg_catalog
    // A function of somebody's own may make values of this type, or of one of the same name.
    bool cast_is_foreign(std::string_view type) const noexcept;
    bool has_schema(std::string_view name) const noexcept;
    const ViewLineage* lineage(const Relation& view) const noexcept;  // null: not a view

    // A stored column by what RowDescription says of it; null: none, or not in this snapshot.
    std::optional<ColumnRef> column(Oid relation, std::int16_t number) const;

    std::uint64_t generation() const noexcept { return generation_; }  // differs between snapshots
    std::size_t size() const noexcept { return by_oid_.size(); }

    // The queries that make a snapshot, in order; run them in one REPEATABLE READ transaction with
    // search_path = pg_catalog, so that pg_get_viewdef qualifies every name.
    // `from`: the first oid of interest. What is below kFirstUserOid came with the server and stays
    // the same, so once a snapshot holds it, the next need not read it again.
    static std::size_t queries() noexcept;
    static std::string query(std::size_t query, Oid from = 0);
    static constexpr Oid kFirstUserOid = 16'384;  // FirstNormalObjectId
    static constexpr std::size_t kRelationsQuery = 0, kInheritanceQuery = 1, kFunctionsQuery = 3,
                                 kTypesQuery = 4;
    // The one of them that gives the views' definitions. It alone takes locks (on what the views
    // read), so it may have to wait for others' DDL, or fail while they drop things.
    static constexpr std::size_t kViewsQuery = 2;
    // The row of that query for one view.
    static std::string view_query(Oid view);

    // Where in the server's history a snapshot stands. One row of mark_query(), asked first in the
    // snapshot's transaction: origin (differs between servers, their starts, and databases),
    // horizon (the oldest transaction that was not over), ground (digests the catalogs whose
    // changes are rare and reach far: all is read anew), functions (digests theirs).
    static std::string_view mark_query() noexcept;
    // The rows of a query that may be newer than a snapshot of that horizon: of relations, views
    // and types. Compares transactions in a circle, so it must not be 2^31 of them old.
    static std::string changes_query(std::size_t query, std::uint64_t horizon);
    static constexpr std::uint64_t kMaxDistance = std::uint64_t{1} << 30;  // to another's horizon
    // Which relations ('r') and types ('t') there are, by oid: for those that are gone.
    static constexpr std::size_t kAliveQuery = 8;

private:
    friend class CatalogBuilder;
    std::uint64_t generation_ = 0;
    std::map<Oid, std::shared_ptr<const Relation>> by_oid_;  // shared with other snapshots
    std::map<std::string, std::vector<const Relation*>, std::less<>> by_bare_name_;
    std::map<std::string, std::vector<Function>, std::less<>> functions_;
    std::unordered_map<Oid, Type> types_;
    std::map<std::string, Oid, std::less<>> types_by_name_;
    std::map<std::string, bool, std::less<>> operators_;
    std::map<std::string, bool, std::less<>> schemas_;
    std::set<std::string, std::less<>> casts_;
    std::unordered_map<Oid, ViewLineage> views_;
};

// Collects rows, then builds. Not for use from two threads at once.
class CatalogBuilder {
public:
    CatalogBuilder();

    // Takes over what came with the server from an earlier snapshot of the same database.
    void begin_with(const Catalog& earlier);
    // Takes over all of it, so that add() need be given only what may have changed, and the rows of
    // kInheritanceQuery and kAliveQuery whole. `functions`: those are given whole, too.
    void continue_from(std::shared_ptr<const Catalog> earlier, bool functions);

    // A row of query(query), every field in text format, NULL as nullopt. Errc::Malformed for
    // a row of another shape, TooLarge beyond 4 million columns.
    Result<> add(std::size_t query, std::span<const std::optional<std::string_view>> row);

    // Once everything but views is added. True: something has changed that the text or the lineage
    // of any view may depend on, so all views must be read.
    bool disturbed();
    // All views are read though nothing has changed: one whose text does not come is unknown.
    void disturb();
    // Those that are views of users, in the order of their oids. After disturbed().
    std::vector<Oid> views() const;

    // For tests and for resources that have no catalog connection:
    //   table public.customers(id int4, email text)
    //   view public.v(a, b) as select …        function public.f volatile plpgsql
    // one per line; "#" starts a comment. Errc::Invalid names the line.
    Result<> add_literal(std::string_view text);

    // Works out the lineage of all views that may have changed; runs the parser, so call it on a
    // big stack. The very snapshot that was continued where nothing differs from it. The builder is
    // empty afterwards.
    std::shared_ptr<const Catalog> build();

private:
    Result<> add_relation(Relation relation);
    Result<> add_column(std::span<const std::optional<std::string_view>> row);
    Result<> add_type(Type type);
    void settle();
    void settle_inheritance();
    void define_views();
    Relation& changeable(Oid oid);

    std::unique_ptr<Catalog> catalog_;
    std::shared_ptr<const Catalog> earlier_;  // that is continued
    std::map<Oid, Relation> fresh_;           // as read; each stands before catalog_'s
    std::vector<std::pair<Oid, Oid>> inherits_;
    std::map<Oid, std::string> definitions_;
    std::set<Oid> alive_relations_, alive_types_;
    bool settled_ = false;
    bool changed_ = false;    // differs from earlier_ in anything
    bool disturbed_ = false;  // in anything that was there
    std::size_t columns_ = 0;
    Oid next_oid_ = 16384;
};

}  // namespace chaperone::policy::sql

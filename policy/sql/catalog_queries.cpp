// SPDX-License-Identifier: Apache-2.0
// What is asked of the system catalogs: all of it once, and then what has changed since.
#include "policy/sql/catalog.h"

#include <utility>

namespace chaperone::policy::sql {
namespace {

// PostgreSQL 10 and later have every column that is asked for. $1: the first oid of interest, $2: a
// condition on what is new, or nothing.
constexpr std::string_view kQueries[] = {
    // 0: relations and their columns, one row per column (or one without a column)
    "SELECT c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " AND NOT a.attisdropped"
    " WHERE c.relkind IN ('r','v','m','f','p','S','c') AND n.nspname !~ '^pg_(toast|temp_)'"
    " AND c.oid >= $1$2 ORDER BY c.oid, a.attnum",
    // 1: what inherits from what
    "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno",
    // 2: views, but for the system's own
    "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v','m')"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema')$2",
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
    " ON n.oid = t.typnamespace WHERE t.oid >= $1$2",
    // 5: operators that are neither PostgreSQL's own nor run C of an extension (prolang 13), which
    // only computes: hstore has a "-", and others are not to be in doubt for that
    "SELECT DISTINCT o.oprname FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n"
    " ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog' AND NOT EXISTS"
    " (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_depend d ON d.objid = p.oid"
    " AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'"
    " WHERE p.oid = o.oprcode AND p.prolang = 13)",
    // 6: schemas
    "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast|temp_)'",
    // 7: types to which a function of neither the server nor an extension casts
    "SELECT DISTINCT t.typname FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type t"
    " ON t.oid = c.casttarget WHERE c.castfunc >= 16384 AND c.oid NOT IN"
    " (SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"
    " AND d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass)",
    // 8: which of the relations of 0 and the types of 4 there are
    "SELECT 'r', c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind IN ('r','v','m','f','p','S','c')"
    " AND n.nspname !~ '^pg_(toast|temp_)' AND c.oid >= $1"
    " UNION ALL SELECT 't', t.oid FROM pg_catalog.pg_type t WHERE t.oid >= $1",
};

// A row that the snapshot of $3 could not see has an xmin that was not over then, so it is not
// older than that horizon; one that it could see may be as young, and is then read once too often.
// xmin stays as it was when a row is frozen. The ages of both are of one moment, the transaction's.
constexpr std::string_view kNewRelation =
    " AND (pg_catalog.age(c.xmin) <= (SELECT pg_catalog.age('$3'::pg_catalog.xid)) OR c.oid IN"
    " (SELECT u.attrelid FROM pg_catalog.pg_attribute u WHERE u.attnum > 0 AND"
    " pg_catalog.age(u.xmin) <= (SELECT pg_catalog.age('$3'::pg_catalog.xid))))";
constexpr std::string_view kNewView =
    " AND c.oid IN (SELECT w.ev_class FROM pg_catalog.pg_rewrite w WHERE"
    " pg_catalog.age(w.xmin) <= (SELECT pg_catalog.age('$3'::pg_catalog.xid)))";
constexpr std::string_view kNewType =
    " AND pg_catalog.age(t.xmin) <= (SELECT pg_catalog.age('$3'::pg_catalog.xid))";

// hashtext is internal but has been there since PostgreSQL 8; sums do not depend on the order.
// Objects below 16384 are initdb's: nobody can change them without allow_system_table_mods.
constexpr std::string_view kMarkQuery =
    "SELECT (SELECT pg_catalog.concat_ws('/', pg_catalog.pg_postmaster_start_time(), d.oid,"
    " pg_catalog.inet_server_addr(), pg_catalog.inet_server_port())"
    " FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()),"
    " pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()),"
    " pg_catalog.concat_ws(':',"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(o.oid || '/' || o.xmin))) FROM pg_catalog.pg_operator o"
    " WHERE o.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(k.oid || '/' || k.xmin))) FROM pg_catalog.pg_cast k"
    " WHERE k.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(l.oid || '/' || l.xmin))) FROM pg_catalog.pg_collation l"
    " WHERE l.oid >= 16384),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(n.oid || '/' || n.xmin))) FROM pg_catalog.pg_namespace n"
    " WHERE n.nspname !~ '^pg_(toast|temp_)')),"
    " (SELECT pg_catalog.concat_ws(',', pg_catalog.count(*), pg_catalog.sum("
    "pg_catalog.hashtext(p.oid || '/' || p.xmin))) FROM pg_catalog.pg_proc p"
    " WHERE p.oid >= 16384)";

void replace_all(std::string& text, std::string_view what, std::string_view with) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at))
        text.replace(at, what.size(), with), at += with.size();
}

std::string filled(std::size_t query, Oid from, std::string_view condition) {
    std::string text{kQueries[query]};
    replace_all(text, "$1", std::to_string(from));
    replace_all(text, "$2", condition);
    return text;
}

}  // namespace

std::size_t Catalog::queries() noexcept {
    return kAliveQuery;  // which stands behind them
}

std::string Catalog::query(std::size_t query, Oid from) {
    return filled(query, from, {});
}

std::string Catalog::changes_query(std::size_t query, std::uint64_t horizon) {
    const std::string_view condition = query == kRelationsQuery ? kNewRelation
                                       : query == kViewsQuery   ? kNewView
                                       : query == kTypesQuery   ? kNewType
                                                                : std::string_view{};
    std::string text = filled(query, kFirstUserOid, condition);
    replace_all(text, "$3", std::to_string(static_cast<std::uint32_t>(horizon)));
    return text;
}

std::string Catalog::view_query(Oid view) {
    const std::string oid = std::to_string(view);
    return "SELECT " + oid + ", pg_catalog.pg_get_viewdef(" + oid + "::pg_catalog.oid)";
}

std::string_view Catalog::mark_query() noexcept {
    return kMarkQuery;
}

}  // namespace chaperone::policy::sql

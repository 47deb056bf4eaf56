// SPDX-License-Identifier: Apache-2.0
// What the corpus cannot say: statements in detail, session names, name spaces, the cache.
#include "policy/sql/analyzer.h"
#include "tests/policy/sql/render.h"

#include <gtest/gtest.h>

namespace chaperone::policy::sql {
namespace {

using Kind = SessionChange::Kind;

std::shared_ptr<const Catalog> catalog_of(std::string_view literal) {
    CatalogBuilder builder;
    EXPECT_TRUE(builder.add_literal(literal));
    return builder.build();
}

TEST(Analyzer, SaysWhereEachStatementStands) {
    const std::string_view text = "select 1;  drop table t ;begin";
    const auto facts = analyze(text, {});
    ASSERT_EQ(facts->statements.size(), 3U);
    EXPECT_EQ(facts->statements[0].command, "SELECT");
    EXPECT_EQ(facts->statements[1].command, "DROP TABLE");
    EXPECT_EQ(facts->statements[2].command, "BEGIN");
    const Statement& drop = facts->statements[1];
    EXPECT_NE(text.substr(drop.offset, drop.length).find("drop table t"), std::string_view::npos);
    EXPECT_EQ(text.substr(facts->statements[2].offset), "begin");
    EXPECT_EQ(facts->statements[2].length, 5U);
}

TEST(Analyzer, AnEmptyTextDoesNothing) {
    for (const std::string_view text : {"", " ", ";", "-- x", "/* x */"}) {
        const auto facts = analyze(text, {});
        EXPECT_TRUE(facts->parsed);
        EXPECT_TRUE(facts->effects.empty());
        EXPECT_TRUE(facts->statements.empty());
    }
}

TEST(Analyzer, ReadsCopyOptions) {
    const auto csv = analyze(
        "copy t to stdout (format csv, delimiter '|', null 'N', quote '''', header, "
        "force_quote (a, b), encoding 'UTF8')",
        {});
    const CopyOut& out = *csv->statements[0].copy_out;
    EXPECT_EQ(out.format.kind, CopyFormat::Kind::Csv);
    EXPECT_EQ(out.format.delimiter, '|');
    EXPECT_EQ(out.format.null_text, "N");
    EXPECT_EQ(out.format.quote, '\'');
    EXPECT_EQ(out.format.escape, '\'');  // it follows the quote
    EXPECT_TRUE(out.format.header);
    EXPECT_EQ(out.format.force_quote, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(out.format.encoding, "UTF8");
    EXPECT_TRUE(out.to_client);

    const auto old = analyze("copy t to stdout with binary", {});
    EXPECT_EQ(old->statements[0].copy_out->format.kind, CopyFormat::Kind::Binary);
    const auto text = analyze("copy t to stdout", {});
    EXPECT_EQ(text->statements[0].copy_out->format.null_text, "\\N");
    EXPECT_EQ(analyze("copy t to stdout csv force quote *", {})
                  ->statements[0]
                  .copy_out->format.force_quote,
              (std::vector<std::string>{"*"}));
    EXPECT_FALSE(analyze("copy t to stdout (format csv, header off)", {})
                     ->statements[0]
                     .copy_out->format.header);
    const auto in = analyze("copy s.t (a, b) from stdin csv", {});
    EXPECT_EQ(in->statements[0].copy_in->target, "s.t");
    EXPECT_EQ(in->statements[0].copy_in->columns, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(analyze("copy t from '/x'", {})->statements[0].copy_in->from_client);
}

TEST(Analyzer, TellsWhatChangesInTheSession) {
    const struct {
        std::string_view sql;
        Kind kind;
        std::string_view name, value;
        bool local = false, certain = true;
    } kCases[] = {
        {"set search_path = a, \"B c\"", Kind::SetParameter, "search_path", "\"a\", \"B c\""},
        {"set local work_mem = 5", Kind::SetParameter, "work_mem", "5", true},
        {"reset work_mem", Kind::ResetParameter, "work_mem", ""},
        {"reset all", Kind::ResetParameter, "", ""},
        {"set standard_conforming_strings = off", Kind::SetParameter, "standard_conforming_strings",
         "off"},
        {"select set_config('search_path', 'x', true)", Kind::SetParameter, "search_path", "x",
         true},
        {"select set_config('a' || 'b', 'x', false)", Kind::SetParameter, "", "x", false, false},
        {"set role r", Kind::SetRole, "role", "r"},
        {"set session authorization r", Kind::SetSessionAuthorization, "session_authorization",
         "r"},
        {"begin", Kind::Begin, "", ""},
        {"commit", Kind::Commit, "", ""},
        {"abort", Kind::Rollback, "", ""},
        {"savepoint s", Kind::Savepoint, "s", ""},
        {"release s", Kind::ReleaseSavepoint, "s", ""},
        {"rollback to s", Kind::RollbackToSavepoint, "s", ""},
        {"prepare transaction 'x'", Kind::PrepareTransaction, "x", ""},
        {"deallocate p", Kind::Deallocate, "p", ""},
        {"deallocate all", Kind::Deallocate, "", ""},
        {"close c", Kind::CloseCursor, "c", ""},
        {"discard all", Kind::Discard, "", "all"},
        {"fetch 1 from c", Kind::Fetch, "c", ""},
        {"execute p", Kind::Execute, "p", ""},
    };
    for (const auto& c : kCases) {
        const auto facts = analyze(c.sql, {});
        ASSERT_EQ(facts->statements.size(), 1U) << c.sql;
        ASSERT_EQ(facts->statements[0].changes.size(), 1U) << c.sql;
        const SessionChange& change = facts->statements[0].changes[0];
        EXPECT_EQ(change.kind, c.kind) << c.sql;
        EXPECT_EQ(change.name, c.name) << c.sql;
        EXPECT_EQ(change.value, c.value) << c.sql;
        EXPECT_EQ(change.local, c.local) << c.sql;
        EXPECT_EQ(change.certain, c.certain) << c.sql;
    }
}

TEST(Session, ExecuteIsWhatWasPrepared) {
    SessionNames session;
    Context context;
    context.session = &session;
    session.note(*analyze("prepare p as select a from t", context));
    auto facts = analyze("execute p", context);
    EXPECT_EQ(render_effects(*facts), "read public.t(a)");
    EXPECT_EQ(render_outputs(facts->statements[0]), "a=public.t.a!");
    EXPECT_TRUE(facts->uses_session);
    // A second PREPARE of the name may have succeeded (after DEALLOCATE) or not: both count.
    session.note(*analyze("prepare p as delete from u returning b", context));
    facts = analyze("execute p", context);
    EXPECT_EQ(render_effects(*facts), "read public.t(a); read public.u(b); delete public.u");
    EXPECT_EQ(render_outputs(facts->statements[0]), "a=public.t.a+public.u.b");
    EXPECT_EQ(render_effects(*analyze("explain analyze execute p", context)),
              "read public.t(a); read public.u(b); delete public.u");
    EXPECT_TRUE(analyze("execute q", context)->does(EffectKind::Unknown));
}

TEST(Session, NamedStatementsOfTheProtocolAreTheSame) {
    SessionNames session;
    session.prepared["stmt_1"] = {analyze("delete from t", {})};
    session.portals["c_1"] = {analyze("select a from t", {})};
    Context context;
    context.session = &session;
    EXPECT_EQ(render_effects(*analyze("execute stmt_1", context)), "delete public.t");
    EXPECT_EQ(render_outputs(analyze("fetch all from c_1", context)->statements[0]),
              "a=public.t.a!");
}

TEST(Session, WhatWasChangedIsNotTrusted) {
    const auto catalog = catalog_of("table public.t(a text)\ntable public.u(b text)\n");
    SessionNames session;
    Context context;
    context.catalog = catalog.get();
    context.session = &session;
    session.note(*analyze("create temp table t (a text)", context));
    EXPECT_EQ(render_outputs(analyze("select a from t", context)->statements[0]), "a=public.t.a?");
    EXPECT_EQ(render_outputs(analyze("select b from u", context)->statements[0]), "b=public.u.b!");
    EXPECT_TRUE(analyze("select 1 from t", context)->stale);
    EXPECT_FALSE(analyze("select 1 from u", context)->stale);
    session.note(*analyze("alter schema x rename to public", context));
    EXPECT_EQ(render_outputs(analyze("select b from u", context)->statements[0]), "b=public.u.b?");
}

// Migrations make them and go on in the same transaction, where no catalog of ours shows them.
TEST(Session, WhatOnlyAddsPutsNothingInDoubt) {
    const auto catalog =
        catalog_of("table public.t(a text)\ntable pg_catalog.pg_type(typarray oid)\n");
    SessionNames session;
    Context context;
    context.catalog = catalog.get();
    context.session = &session;
    session.note(*analyze("create extension if not exists hstore", context));
    session.note(*analyze("create schema app", context));
    EXPECT_TRUE(session.added);
    const auto outputs = [&](std::string_view text) {
        return render_outputs(analyze(text, context)->statements[0]);
    };
    EXPECT_EQ(outputs("select a from t"), "a=public.t.a!");
    EXPECT_EQ(outputs("select typarray from pg_type"), "typarray=pg_catalog.pg_type.typarray!");
    EXPECT_EQ(outputs("select upper(a) as u from t"), "u=public.t.a");
    // What it made itself is not in the catalog.
    EXPECT_EQ(outputs("select b from pg_stat_statements"), "b=public.pg_stat_statements.b?");
    session.note(*analyze("create schema s create view t as select 1 as a", context));
    EXPECT_EQ(outputs("select a from t"), "a=public.t.a?");
}

// Code that nobody saw may have made a temporary pg_type, but it did not change the server's own.
TEST(Session, TheServersOwnSchemasAreNotInDoubt) {
    const auto catalog =
        catalog_of("table public.t(a text)\ntable pg_catalog.pg_type(typarray oid)\n");
    SessionNames session;
    Context context;
    context.catalog = catalog.get();
    context.session = &session;
    session.all_changed = true;
    const auto outputs = [&](std::string_view text) {
        return render_outputs(analyze(text, context)->statements[0]);
    };
    EXPECT_EQ(outputs("select typarray from pg_catalog.pg_type"),
              "typarray=pg_catalog.pg_type.typarray!");
    EXPECT_EQ(outputs("select typarray from pg_type"), "typarray=pg_catalog.pg_type.typarray?");
    EXPECT_EQ(outputs("select a from public.t"), "a=public.t.a?");
    session.note(*analyze("create table pg_catalog.pg_type (typarray oid)", context));
    EXPECT_EQ(outputs("select typarray from pg_catalog.pg_type"),
              "typarray=pg_catalog.pg_type.typarray?");
}

// A session that knows the catalog's t, u and the view v.
struct Maker {
    Maker() {
        context.catalog = catalog.get();
        context.session = &session;
    }
    void runs(std::string_view text) {
        const auto facts = analyze(text, context);
        session.note(*facts);
        for (const Statement& statement : facts->statements)
            if (statement.makes) session.keep(*statement.makes);
    }
    std::string outputs(std::string_view text, std::size_t statement = 0) {
        return render_outputs(analyze(text, context)->statements.at(statement));
    }
    std::shared_ptr<const Catalog> catalog =
        catalog_of("table public.t(a text)\ntable public.u(b text)\ntable other.w(c text)\n");
    SessionNames session;
    Context context;
};

TEST(SessionMade, ATableOfTheSessionsOwnIsKnown) {
    Maker m;
    m.runs("create temp table x (id serial primary key, y text, check (id > 0))");
    EXPECT_EQ(m.outputs("select * from x"),
              "id=pg_temp.x.id+public.x.id!; y=pg_temp.x.y+public.x.y!");
    const auto mine = analyze("select y, upper(y) from x", m.context)->statements[0].outputs;
    EXPECT_TRUE(mine[0].own);
    EXPECT_FALSE(mine[1].own);
    EXPECT_FALSE(analyze("select a from t", m.context)->statements[0].outputs[0].own);
    EXPECT_EQ(m.outputs("select y from pg_temp.x"), "y=pg_temp.x.y+public.x.y!");
    EXPECT_EQ(render_effects(*analyze("insert into x (y) values ('1')", m.context)),
              "insert pg_temp.x(y)");
    m.runs("create table public.n (z text)");
    EXPECT_EQ(m.outputs("select z from n"), "z=public.n.z!");
    m.runs("create table n2 (z text)");
    EXPECT_EQ(m.outputs("select n2.z from n2 join n on true"), "z=public.n2.z!");
    EXPECT_EQ(m.outputs("select z from other.n2"), "z=other.n2.z?");
}

// It lies in front of the catalog's table, whose name may have been written to before.
TEST(SessionMade, ATemporaryTableHidesTheCatalogs) {
    Maker m;
    m.runs("create temp table t (a text, b text)");
    EXPECT_EQ(m.outputs("select b from t"), "b=pg_temp.t.b+public.t.b!");
    EXPECT_EQ(m.outputs("select a from public.t"), "a=public.t.a?");
    EXPECT_EQ(render_effects(*analyze("create table t (a text)", m.context)), "create public.t");
    m.runs("drop table t");
    EXPECT_EQ(m.outputs("select a from t"), "a=public.t.a?");
}

TEST(SessionMade, WhatMayChangeItPutsItInDoubtAgain) {
    for (const std::string_view text :
         {"drop table x", "alter table x add column b text", "alter table x rename to q",
          "alter table u rename to x", "alter table u set schema x; alter table q.x set schema p",
          "create view x as select 1", "create temp view x as select 1",
          "create table public.x (y text)", "create rule r as on select to x do instead select 1",
          "do 'begin execute y; end'", "create table child () inherits (x)",
          "create table child partition of x default", "alter table child inherit x",
          "drop schema s cascade", "not sql"}) {
        Maker m;
        m.runs("create temp table x (y text)");
        ASSERT_EQ(m.outputs("select y from x"), "y=pg_temp.x.y+public.x.y!");
        m.session.note(*analyze(text, m.context));
        EXPECT_TRUE(m.outputs("select y from x").ends_with("?")) << text;
    }
    Maker m;
    m.runs("create temp table x (y text)");
    m.context.names.certain = false;
    EXPECT_TRUE(m.outputs("select y from x").ends_with("?"));
    m.context.names = {.search_path = {"public", "pg_temp"}};
    EXPECT_TRUE(m.outputs("select y from x").ends_with("?"));
}

TEST(SessionMade, OnlyWhatIsWrittenOutAndWhereItLiesForCertainIsKnown) {
    for (const std::string_view text :
         {"create temp table if not exists x (y text)", "create temp table x (like t)",
          "create temp table x (y text) inherits (t)", "create temp table x of some_type",
          "create temp table x as select 1 as y", "create table w (y text)",
          "create temp view x as select 1 as y"})
        EXPECT_FALSE(analyze(text, Maker{}.context)->statements[0].makes) << text;
    Maker schema;
    schema.runs("create schema app");
    schema.runs("create table x (y text)");
    EXPECT_TRUE(schema.outputs("select y from x").ends_with("?"));
    Maker twice;
    twice.runs("create table other.x (y text)");
    twice.runs("create table public.x (y text)");
    EXPECT_TRUE(twice.outputs("select y from x").ends_with("?"));
}

TEST(SessionMade, TransactionsTakeItBack) {
    Maker m;
    m.runs("create temp table x (y text)");
    m.session.ending();
    EXPECT_TRUE(m.outputs("select y from x").ends_with("?"));
    m.runs("create temp table x (y text)");
    m.runs("create temp table z (y text) on commit drop");
    EXPECT_FALSE(m.outputs("select y from z").ends_with("?"));
    EXPECT_TRUE(m.outputs("commit; select y from z", 1).ends_with("?"));
    m.session.again(m.session.ending());
    m.session.committed();
    EXPECT_TRUE(m.outputs("select y from z").ends_with("?"));
    EXPECT_TRUE(m.session.ending().empty());
    EXPECT_FALSE(m.outputs("select y from x").ends_with("?"));
    EXPECT_FALSE(m.outputs("rollback; select y from x", 1).ends_with("?"));
    m.runs("create table public.n (y text)");
    m.session.committed();
    m.session.seen(*m.catalog);  // it is older
    EXPECT_EQ(m.outputs("select y from n"), "y=public.n.y!");
    const auto later = catalog_of("table public.n(y text, more text)\n");
    m.context.catalog = later.get();
    m.session.seen(*later);
    EXPECT_EQ(m.outputs("select more from n"), "more=public.n.more!");
    EXPECT_FALSE(m.session.changed.contains("n"));
    EXPECT_FALSE(m.outputs("select y from x").ends_with("?"));
}

TEST(SessionMade, WithinOneText) {
    Maker m;
    EXPECT_EQ(m.outputs("create temp table x (y text); select y from x", 1),
              "y=pg_temp.x.y+public.x.y!");
    for (const std::string_view between :
         {"rollback", "drop table x", "select f()", "discard temp", "set search_path = a",
          "create table q () inherits (x)", "do 'begin execute y; end'"}) {
        const std::string text =
            "create temp table x (y text); " + std::string{between} + "; select y from x";
        EXPECT_TRUE(m.outputs(text, 2).ends_with("?")) << text;
    }
    m.runs("create table public.x (y text)");
    EXPECT_TRUE(m.outputs("create temp table x (y text); select y from x", 1).ends_with("?"));
}

TEST(Analyzer, SaysWhetherTheCatalogChanges) {
    for (const std::string_view text :
         {"create table a ()", "alter index t rename to u", "drop schema s cascade",
          "create extension e", "select 1 into a", "do 'begin execute x; end'", "not sql",
          "create index i on t (a); create type x as enum ()"})
        EXPECT_TRUE(analyze(text, {})->changes_schema) << text;
    for (const std::string_view text :
         {"create index i on t (a)", "truncate t", "comment on table t is ''", "create role r",
          "create publication p", "drop trigger x on t", "alter database d set x = 1", "select 1"})
        EXPECT_FALSE(analyze(text, {})->changes_schema) << text;
}

// The rows of a table are seen under the name of what it inherits from, at once.
TEST(Session, RelativesAreChangedWithATable) {
    const auto catalog = catalog_of("table public.leak(email text)\ntable public.t(email text)\n");
    Context context;
    context.catalog = catalog.get();
    for (const std::string_view ddl :
         {"alter table t inherit leak", "alter table leak attach partition t for values in (1)"}) {
        SessionNames session;
        context.session = &session;
        session.note(*analyze(ddl, context));
        EXPECT_EQ(render_outputs(analyze("select email from leak", context)->statements[0]),
                  "email=public.leak.email?");
    }
}

TEST(Session, AnOperatorThatTheSessionMadeIsNotPostgreSQLs) {
    SessionNames session;
    Context context;
    context.session = &session;
    session.note(*analyze("create operator || (leftarg = t, rightarg = t, function = f)", context));
    EXPECT_TRUE(analyze("select a || b from t", context)->does(EffectKind::Call));
    EXPECT_FALSE(analyze("select a + b from t", context)->does(EffectKind::Call));
}

TEST(NameSpace, DecidesWhatAnUnqualifiedNameIs) {
    const auto catalog = catalog_of(
        "table public.t(a text)\ntable audit.t(a text, c text)\ntable audit.only(x text)\n"
        "function audit.lower immutable sql\n");
    Context context;
    context.catalog = catalog.get();
    const auto effects = [&](std::string_view sql) {
        return render_effects(*analyze(sql, context));
    };
    EXPECT_EQ(effects("select a from t"), "read public.t(a)");
    context.names.search_path = {"$user", "audit", "public"};
    EXPECT_EQ(effects("select a from t"), "read audit.t(a)");
    EXPECT_EQ(effects("select lower('x')"), "call audit.lower");
    context.names.search_path = {"public"};
    EXPECT_EQ(effects("select lower('x')"), "-");
    EXPECT_EQ(effects("select x from only"), "unknown");  // a keyword, not a table
    context.names.certain = false;
    EXPECT_EQ(effects("select a from t"), "read audit.t(a); read public.t(a)");
    EXPECT_EQ(effects("drop table t"), "drop audit.t; drop public.t");
    EXPECT_EQ(effects("alter table t add b int"), "alter audit.t; alter public.t");
    EXPECT_FALSE(analyze("select * from t", context)->statements[0].outputs_known);
}

TEST(Cache, GivesTheSameFactsForTheSameQuestion) {
    const auto one = catalog_of("table public.t(a text)\n");
    const auto two = catalog_of("table public.t(b text)\n");
    AnalysisCache cache{4};
    Context context;
    context.catalog = one.get();
    const auto first = cache.analyze(postgresql(), "select * from t", context);
    EXPECT_EQ(cache.analyze(postgresql(), "select * from t", context), first);
    EXPECT_EQ(cache.hits(), 1U);
    context.catalog = two.get();
    EXPECT_NE(cache.analyze(postgresql(), "select * from t", context), first);
    context.names.search_path = {"other"};
    EXPECT_NE(cache.analyze(postgresql(), "select * from t", context), first);
    for (int i = 0; i < 50; ++i)
        cache.analyze(postgresql(), "select " + std::to_string(i), context);
    EXPECT_EQ(cache.size(), 4U);
}

TEST(Cache, SharesFactsOfTextsThatDifferInComparedNumbersOnly) {
    AnalysisCache cache;
    const auto ask = [&](std::string_view text) { return cache.analyze(postgresql(), text, {}); };
    const auto first = ask("SELECT a FROM t WHERE b = 17 AND c < 4;");
    EXPECT_EQ(ask("SELECT a FROM t WHERE b = 9 AND c < 40000;"), first);
    EXPECT_NE(ask("SELECT a FROM u WHERE b = 9 AND c < 40000;"), first);
    EXPECT_EQ(ask("UPDATE t SET a = 1 WHERE b = 2"), ask("UPDATE t SET a = 3 WHERE b = 4"));
    // What a number says here, the facts say too; and what is not surely a number stays.
    struct Pair {
        std::string_view one, other;
    };
    for (const auto& [one, other] : {
             Pair{"SELECT a, b FROM t ORDER BY 1", "SELECT a, b FROM t ORDER BY 2"},
             Pair{"SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = $2"},
             Pair{"SET statement_timeout = 1", "SET statement_timeout = 2"},
             Pair{"SELECT a FROM t1 WHERE b = 1", "SELECT a FROM t2 WHERE b = 1"},
             Pair{"SELECT a FROM t WHERE b = 1; DROP TABLE t1",
                  "SELECT a FROM t WHERE b = 2; DROP TABLE t1"},
             Pair{"SELECT a FROM t WHERE b = '= 1'", "SELECT a FROM t WHERE b = '= 2'"},
             Pair{"SELECT a FROM t WHERE b = 1e5", "SELECT a FROM t WHERE b = 2e5"},
             Pair{"SELECT a FROM t WHERE b = 1 -- = 1", "SELECT a FROM t WHERE b = 2 -- = 1"},
         })
        EXPECT_NE(ask(one), ask(other)) << one;
}

TEST(Cache, KeepsNothingThatDependsOnTheSession) {
    AnalysisCache cache;
    SessionNames session;
    Context context;
    context.session = &session;
    EXPECT_TRUE(cache.analyze(postgresql(), "execute p", context)->does(EffectKind::Unknown));
    session.note(*analyze("prepare p as select 1", context));
    EXPECT_FALSE(cache.analyze(postgresql(), "execute p", context)->does(EffectKind::Unknown));
    EXPECT_EQ(cache.size(), 0U);
}

TEST(Cache, IsBoundedInBytes) {
    AnalysisCache cache{1'000'000, 64 * 1024};
    for (int i = 0; i < 300; ++i)
        cache.analyze(postgresql(), "select '" + std::string(1'000, 'x') + std::to_string(i) + "'",
                      {});
    EXPECT_LE(cache.size(), 32U);
    EXPECT_GT(cache.size(), 4U);
}

TEST(Effects, HaveNames) {
    for (int i = 0; i <= static_cast<int>(EffectKind::Unknown); ++i) {
        const auto kind = static_cast<EffectKind>(i);
        EXPECT_EQ(effect_kind(to_text(kind)), kind);
    }
    EXPECT_EQ(effect_kind("READ"), std::nullopt);
}

}  // namespace
}  // namespace chaperone::policy::sql

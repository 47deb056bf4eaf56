// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/analyzer.h"
#include "tests/policy/sql/render.h"

#include <gtest/gtest.h>

namespace chaperone::policy::sql {
namespace {

using Field = std::optional<std::string_view>;

// A little database as the queries would give it.
void fill(CatalogBuilder& builder) {
    const auto add = [&](std::size_t query, std::vector<Field> row) {
        ASSERT_TRUE(builder.add(query, row)) << query;
    };
    add(0, {"100", "public", "people", "p", "1", "id", "23"});
    add(0, {"100", "public", "people", "p", "3", "email", "25"});  // 2 was dropped
    add(0, {"101", "public", "people_a", "r", "1", "id", "23"});
    add(0, {"101", "public", "people_a", "r", "2", "email", "25"});
    add(0, {"102", "public", "emails", "v", "1", "e", "25"});
    add(0, {"103", "public", "nothing", "r", std::nullopt, std::nullopt, std::nullopt});
    add(1, {"101", "100"});
    add(2, {"102", " SELECT people.email AS e\n   FROM public.people;"});
    add(3, {"public", "find", "v", "plpgsql", "f", "25", "f"});
    add(3, {"public", "digits", "i", "c", "f", "23", "t"});
    add(4, {"25", "pg_catalog", "text", "b", "S", "0", "0", "0"});
    add(5, {"<=>"});
    add(6, {"empty"});
    add(7, {"mood"});
}

TEST(Catalog, IsBuiltFromRows) {
    CatalogBuilder builder;
    fill(builder);
    const auto catalog = builder.build();
    EXPECT_EQ(catalog->size(), 4U);
    EXPECT_EQ(catalog->relation("public", "people")->oid, 100U);
    EXPECT_EQ(catalog->relation(101)->parents, (std::vector<Oid>{100}));
    EXPECT_EQ(catalog->column(100, 3), (ColumnRef{"public", "people", "email"}));
    EXPECT_FALSE(catalog->column(100, 2));
    EXPECT_FALSE(catalog->column(999, 1));
    EXPECT_TRUE(catalog->has_schema("empty"));
    EXPECT_TRUE(catalog->operator_is_foreign("<=>"));
    EXPECT_EQ(catalog->type("pg_catalog", "text")->oid, 25U);
    EXPECT_EQ(catalog->functions_named("find").size(), 1U);
    EXPECT_TRUE(catalog->functions_named("digits")[0].extension);

    EXPECT_TRUE(catalog->cast_is_foreign("mood"));
    EXPECT_FALSE(catalog->cast_is_foreign("text"));

    Context context;
    context.catalog = catalog.get();
    // Somebody's own cast may give anything; an input function reads its constant.
    EXPECT_EQ(render_outputs(analyze("select 1::int::mood a, 'x'::mood b, mood(1) c, 1::text d",
                                     context)
                                 ->statements[0]),
              "a=?; b=; c=?; d=");
    EXPECT_EQ(render_outputs(analyze("select * from emails", context)->statements[0]),
              "e=public.emails.e+public.people.email+public.people_a.email!");
    EXPECT_EQ(analyze("select * from emails", context)->through,
              (std::vector<std::string>{"public.people"}));
    EXPECT_EQ(render_effects(*analyze("select id <=> 1 from people", context)),
              "read public.people(id); call public.<=>");
}

TEST(Catalog, RefusesRowsOfAnotherShape) {
    CatalogBuilder builder;
    const std::vector<std::vector<Field>> rows = {{},
                                                  {"1"},
                                                  {"x", "s", "t", "r", "1", "a", "23"},
                                                  {"1", "s", "t", "", "1", "a", "23"},
                                                  {std::nullopt, "s", "t", "r", "1", "a", "23"},
                                                  {"1", "s", "t", "r", "9x", "a", "23"}};
    for (const auto& row : rows) EXPECT_FALSE(builder.add(0, row));
    EXPECT_FALSE(builder.add(99, std::vector<Field>{"x"}));
    EXPECT_FALSE(builder.add(Catalog::kAliveQuery, std::vector<Field>{"x", "1"}));
    EXPECT_FALSE(builder.add(Catalog::kAliveQuery, std::vector<Field>{"r", "-1"}));
    EXPECT_FALSE(builder.add(1, std::vector<Field>{"1", "-2"}));
    for (const std::string_view line :
         {"table t(a int)", "tabel public.t(a int)", "table public.t", "view public.v(a) select 1",
          "partition public.p(a) of public.none", "x"})
        EXPECT_FALSE(builder.add_literal(line)) << line;
}

TEST(Catalog, GenerationsDiffer) {
    CatalogBuilder builder;
    const auto one = builder.build(), two = builder.build();
    EXPECT_NE(one->generation(), two->generation());
}

TEST(Catalog, ViewsUponViewsEnd) {
    std::string literal = "table public.t(a text)\nview public.v0(a) as select t.a from public.t\n";
    for (int i = 1; i < 100; ++i)
        literal += "view public.v" + std::to_string(i) + "(a) as select v.a from public.v" +
                   std::to_string(i - 1) + " v\n";
    CatalogBuilder builder;
    ASSERT_TRUE(builder.add_literal(literal));
    const auto catalog = builder.build();
    Context context;
    context.catalog = catalog.get();
    const auto outputs = analyze("select a from v99", context)->statements[0].outputs;
    EXPECT_EQ(outputs[0].sources.size(), 101U);
    EXPECT_TRUE(outputs[0].direct);
}

}  // namespace
}  // namespace chaperone::policy::sql

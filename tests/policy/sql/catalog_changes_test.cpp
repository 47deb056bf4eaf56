// SPDX-License-Identifier: Apache-2.0
// A snapshot that continues another is the one that would have been read whole.
#include "policy/sql/analyzer.h"
#include "tests/policy/sql/render.h"

#include <gtest/gtest.h>

namespace chaperone::policy::sql {
namespace {

using Field = std::optional<std::string_view>;
using Rows = std::vector<std::pair<std::size_t, std::vector<Field>>>;

constexpr std::size_t kAlive = Catalog::kAliveQuery;

void add(CatalogBuilder& builder, const Rows& rows) {
    for (const auto& [query, row] : rows) ASSERT_TRUE(builder.add(query, row)) << query;
}

// people <- people_a, other; view emails on people, view above on emails.
std::shared_ptr<const Catalog> first() {
    CatalogBuilder builder;
    add(builder, {{0, {"20000", "public", "people", "r", "1", "id", "23"}},
                  {0, {"20000", "public", "people", "r", "2", "email", "25"}},
                  {0, {"20001", "public", "other", "r", "1", "x", "25"}},
                  {0, {"20002", "public", "emails", "v", "1", "e", "25"}},
                  {0, {"20003", "public", "above", "v", "1", "e", "25"}},
                  {2, {"20002", "SELECT people.email AS e FROM public.people"}},
                  {2, {"20003", "SELECT emails.e FROM public.emails"}},
                  {3, {"public", "find", "v", "plpgsql", "f", "25", "f"}},
                  {4, {"25", "pg_catalog", "text", "b", "S", "0", "0", "0"}},
                  {4, {"20100", "public", "people", "c", "C", "0", "0", "20000"}}});
    return builder.build();
}

const Rows kAllAlive{{kAlive, {"r", "20000"}},
                     {kAlive, {"r", "20001"}},
                     {kAlive, {"r", "20002"}},
                     {kAlive, {"r", "20003"}},
                     {kAlive, {"t", "20100"}}};

struct Next {
    explicit Next(std::shared_ptr<const Catalog> from = first(), bool functions = false)
        : earlier(std::move(from)) {
        builder.continue_from(earlier, functions);
    }
    std::shared_ptr<const Catalog> earlier;
    CatalogBuilder builder;
};

std::string outputs(const Catalog& catalog, std::string_view text) {
    Context context;
    context.catalog = &catalog;
    return render_outputs(analyze(text, context)->statements[0]);
}

TEST(CatalogChanges, NoneLeavesTheVerySameSnapshot) {
    Next next;
    add(next.builder, kAllAlive);
    // As new as the horizon, and read before: as after a GRANT, or beside a long transaction.
    add(next.builder, {{0, {"20001", "public", "other", "r", "1", "x", "25"}},
                       {4, {"20100", "public", "people", "c", "C", "0", "0", "20000"}}});
    EXPECT_FALSE(next.builder.disturbed());
    add(next.builder, {{2, {"20002", "SELECT people.email AS e FROM public.people"}}});
    EXPECT_EQ(next.builder.build(), next.earlier);
}

TEST(CatalogChanges, WhatIsNewDisturbsNobody) {
    Next next;
    add(next.builder, kAllAlive);
    add(next.builder, {{0, {"20010", "public", "t", "r", "1", "a", "25"}},
                       {0, {"20011", "public", "v", "v", "1", "a", "25"}},
                       {kAlive, {"r", "20010"}},
                       {kAlive, {"r", "20011"}}});
    EXPECT_FALSE(next.builder.disturbed());
    add(next.builder, {{2, {"20011", "SELECT emails.e AS a FROM public.emails"}}});
    const auto catalog = next.builder.build();
    EXPECT_NE(catalog->generation(), next.earlier->generation());
    EXPECT_EQ(catalog->relation("public", "t")->oid, 20010U);
    EXPECT_EQ(next.earlier->relation("public", "t"), nullptr);
    EXPECT_EQ(catalog->relation(20000), next.earlier->relation(20000));  // shared
    EXPECT_EQ(outputs(*catalog, "select a from v"),
              "a=public.emails.e+public.people.email+public.v.a!");
    EXPECT_EQ(catalog->functions_named("find").size(), 1U);
    EXPECT_EQ(outputs(*catalog, "select e from above"),
              outputs(*next.earlier, "select e from above"));
}

TEST(CatalogChanges, WhatIsGoneIsGone) {
    Next next;
    add(next.builder,
        {{kAlive, {"r", "20000"}}, {kAlive, {"r", "20001"}}, {kAlive, {"r", "20002"}}});
    EXPECT_FALSE(next.builder.disturbed());
    const auto catalog = next.builder.build();
    EXPECT_EQ(catalog->relation("public", "above"), nullptr);
    EXPECT_EQ(catalog->type(20100), nullptr);
    EXPECT_EQ(catalog->type("public", "people"), nullptr);
    EXPECT_NE(catalog->type(25), nullptr);  // the server's own are not among those alive
    EXPECT_EQ(catalog->size(), 3U);
    EXPECT_EQ(next.earlier->size(), 4U);
}

TEST(CatalogChanges, ARenamedColumnDisturbsAllViews) {
    Next next;
    add(next.builder, kAllAlive);
    add(next.builder, {{0, {"20000", "public", "people", "r", "1", "id", "23"}},
                       {0, {"20000", "public", "people", "r", "2", "mail", "25"}}});
    EXPECT_TRUE(next.builder.disturbed());
    EXPECT_EQ(next.builder.views(), (std::vector<Oid>{20002, 20003}));
    add(next.builder, {{2, {"20002", "SELECT people.mail AS e FROM public.people"}},
                       {2, {"20003", "SELECT emails.e FROM public.emails"}}});
    const auto catalog = next.builder.build();
    EXPECT_EQ(outputs(*catalog, "select e from above"),
              "e=public.above.e+public.emails.e+public.people.mail!");
    EXPECT_EQ(catalog->column(20000, 2), (ColumnRef{"public", "people", "mail"}));
}

TEST(CatalogChanges, AViewThatCannotBeReadIsUnknown) {
    Next next;
    add(next.builder, kAllAlive);
    EXPECT_FALSE(next.builder.disturbed());
    next.builder.disturb();  // the query that reads them together has failed
    add(next.builder, {{2, {"20003", "SELECT emails.e FROM public.emails"}}});
    const auto catalog = next.builder.build();
    EXPECT_EQ(catalog->relation(20002)->definition, "");
    EXPECT_FALSE(next.earlier->relation(20002)->definition.empty());
    EXPECT_EQ(outputs(*catalog, "select e from emails"), "e=public.emails.e?");
}

TEST(CatalogChanges, AReplacedViewChangesThoseUponIt) {
    Next next;
    add(next.builder, kAllAlive);
    add(next.builder, {{2, {"20002", "SELECT other.x AS e FROM public.other"}}});
    EXPECT_FALSE(next.builder.disturbed());
    const auto catalog = next.builder.build();
    EXPECT_EQ(outputs(*catalog, "select e from above"),
              "e=public.above.e+public.emails.e+public.other.x!");
}

TEST(CatalogChanges, InheritanceIsReadAnew) {
    Next next;
    add(next.builder, kAllAlive);
    add(next.builder, {{1, {"20001", "20000"}}});
    EXPECT_TRUE(next.builder.disturbed());
    const auto catalog = next.builder.build();
    EXPECT_EQ(catalog->relation(20001)->parents, (std::vector<Oid>{20000}));
    EXPECT_EQ(catalog->relation(20000)->children, (std::vector<Oid>{20001}));
    EXPECT_TRUE(next.earlier->relation(20000)->children.empty());

    Next after{catalog};
    add(after.builder, kAllAlive);
    EXPECT_TRUE(after.builder.disturbed());
    EXPECT_TRUE(after.builder.build()->relation(20000)->children.empty());
}

TEST(CatalogChanges, FunctionsAndTypesThatChangeDisturb) {
    Next functions{first(), true};
    add(functions.builder, kAllAlive);
    add(functions.builder, {{3, {"public", "found", "v", "sql", "f", "25", "f"}}});
    EXPECT_TRUE(functions.builder.disturbed());
    const auto catalog = functions.builder.build();
    EXPECT_TRUE(catalog->functions_named("find").empty());
    EXPECT_EQ(catalog->functions_named("found").size(), 1U);

    Next types;
    add(types.builder, kAllAlive);
    add(types.builder, {{4, {"20100", "public", "persons", "c", "C", "0", "0", "20000"}}});
    EXPECT_TRUE(types.builder.disturbed());
    const auto renamed = types.builder.build();
    EXPECT_EQ(renamed->type("public", "people"), nullptr);
    EXPECT_EQ(renamed->type("public", "persons")->oid, 20100U);
}

TEST(CatalogChanges, QueriesNameTheirHorizon) {
    // Beyond 2^32 transactions only the lower half is a row's xmin.
    const auto text = Catalog::changes_query(Catalog::kTypesQuery, (std::uint64_t{7} << 32) + 5);
    EXPECT_NE(text.find("age('5'::"), std::string::npos);
    EXPECT_EQ(Catalog::changes_query(Catalog::kAliveQuery, 5).find("$1"), std::string::npos);
}

}  // namespace
}  // namespace chaperone::policy::sql

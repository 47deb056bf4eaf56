// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/pg/guard.h"

#include "policy/sql/analyzer.h"

#include <gtest/gtest.h>

namespace chaperone::policy::sql {
namespace {

std::string repeated(std::string_view piece, std::size_t times) {
    std::string result;
    for (std::size_t i = 0; i < times; ++i) result += piece;
    return result;
}

TEST(Guard, RefusesWhatWouldEndTheParsersStack) {
    const Context context;
    for (const std::string& text :
         {"select 1" + repeated("+1", 60'000),
          "select " + repeated("(", 50'000),
          "select " + repeated("- ", 60'000) + "1",
          "select " + repeated("not ", 30'000) + "true",
          "select 1" + repeated("::int", 20'000),
          "select a" + repeated("[1]", 30'000),
          "select 1" + repeated(" union select 1", 8'000),
          "select * from t" + repeated(" join t on true", 8'000),
          "select " + repeated("case when ", 12'000),
          "select " + repeated("case when 1 then ", 12'000),
          "select case when 1 then " + repeated("not x.when x.or ", 12'000),
          "select " + repeated("- x.end ", 12'000),
          "select 1 " + repeated("and not 1 ", 12'000),
          "select case " + repeated("+ x.then ", 12'000),
          "select 1 " + repeated("between 1 and not 1 ", 12'000),
          "do 'begin " + repeated("case when ", 12'000) + "'",
          "select 'a' /* ', */ " + repeated("+1", 60'000),
          "select e'\\'' " + repeated("+1", 60'000),
          "select $a$,$b$ $a$" + repeated("||1", 40'000),
          repeated("explain ", 10'000) + "select 1",
          "do $$ " + repeated("begin ", 500) + "$$"}) {
        const auto facts = analyze(text, context);
        EXPECT_TRUE(facts->does(EffectKind::Unknown)) << text.substr(0, 40);
    }
}

TEST(Guard, LetsLongFlatTextsPass) {
    const Context context;
    std::string parameters = "select array[$1";
    for (int i = 2; i <= 65'535; ++i) parameters += ",$" + std::to_string(i);
    EXPECT_TRUE(analyze(parameters + "]", context)->parsed);
    EXPECT_TRUE(
        analyze("insert into t values ('" + std::string(6'000'000, 'x') + "')", context)->parsed);
    EXPECT_FALSE(analyze("select 1" + repeated(",1", 150'000), context)->parsed);
    std::string insert = "insert into t(a, b, c) values (1, 'x', 2)";
    for (int i = 0; i < 3'000; ++i) insert += ", (1, 'abc', now())";
    EXPECT_TRUE(analyze(insert, context)->parsed);
    std::string many = "select * from t where a in (1" + repeated(", 2", 20'000) + ")";
    EXPECT_TRUE(analyze(many, context)->parsed);
    EXPECT_TRUE(analyze("select 1" + repeated("+1", 250), context)->parsed);
    // What object mappers write for thousands of rows.
    EXPECT_TRUE(analyze("update t set a = (case" + repeated(" when (t.id = 1) then 'x'", 10'000) +
                            " else null end)::text where id in (1)",
                        context)
                    ->parsed);
    EXPECT_TRUE(analyze("select 1 where a = 1" + repeated(" or (a = 1 and b = 2)", 9'000), context)
                    ->parsed);
    EXPECT_TRUE(
        analyze("select case a when 1 then case when b then 2 end else 3 end", context)->parsed);
    EXPECT_TRUE(analyze("select 1 where true" + repeated(" or a = 1", 900), context)->parsed);
}

// Commas, OR and WHEN do not hide what nests beyond them, up to the most tokens that are read.
TEST(Guard, WhatGrowsBesideItsListsDoesNoHarm) {
    const Context context;
    for (const std::string& text :
         {"select 1, 1" + repeated(" union select 1, 1", 30'000),
          "select 1 where a or b" + repeated(" union select 1 where a or b", 20'000),
          "select * from t" + repeated(" join t on a or b", 25'000),
          "select 1" + repeated(" or 1 in (select 1", 390) + repeated(")", 390),
          "select case " + repeated("when 1 then case ", 390) + "when 1 then 1 " +
              repeated("end ", 391)})
        analyze(text, context);
}

// What is configured is what is read: no smaller limit of the parser or of its tree stands behind.
TEST(Guard, LetsTheConfiguredLengthRule) {
    Context context;
    context.limits.text = std::size_t{16} << 20;
    // A control character takes six bytes in the tree's JSON, a quote two.
    for (const char filler : {'x', '\1', '"'}) {
        const std::string text = "insert into t values ('" + std::string(9'000'000, filler) + "')";
        const auto facts = analyze(text, context);
        ASSERT_TRUE(facts->parsed) << facts->error;
        EXPECT_TRUE(facts->does(EffectKind::Insert));
        context.limits.text = text.size() - 1;
        EXPECT_EQ(analyze(text, context)->error, "too large to inspect");
        context.limits.text = text.size();
        EXPECT_TRUE(analyze(text, context)->parsed);
        context.limits.text = std::size_t{16} << 20;
    }
}

TEST(Guard, RefusesBytesThatAreNoText) {
    const Context context;
    for (const std::string_view text :
         {std::string_view{"select 1\0; drop table t", 23}, std::string_view{"select '\xff'"},
          std::string_view{"select '\xc0\xaf'"}, std::string_view{"select '\xed\xa0\x80'"},
          std::string_view{"select '\xf4\x90\x80\x80'"}, std::string_view{"select '\xe2\x82"}}) {
        const auto facts = analyze(text, context);
        EXPECT_FALSE(facts->parsed);
        EXPECT_TRUE(facts->statements.empty());
        ASSERT_EQ(facts->effects.size(), 1U);
        EXPECT_EQ(facts->effects[0].kind, EffectKind::Unknown);
    }
    EXPECT_TRUE(analyze("select 'äöü€😀'", context)->parsed);
}

TEST(Guard, RefusesWhatIsTooLargeAndWhatCannotBeCut) {
    Context context;
    const auto large =
        analyze("/*" + std::string(context.limits.text, 'x') + "*/ drop table t", context);
    EXPECT_FALSE(large->parsed);
    EXPECT_EQ(large->error, "too large to inspect");
    context.standard_conforming_strings = false;
    EXPECT_FALSE(analyze(R"(select '\', drop_it(), ' ')", context)->parsed);
    EXPECT_TRUE(analyze("select 'no backslash'", context)->parsed) << "is the same either way";
}

TEST(Guard, BigStackRunsTheWork) {
    bool ran = false;
    EXPECT_TRUE(run_with_big_stack([&] { ran = analyze("select 1", {})->parsed; }));
    EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace chaperone::policy::sql

// SPDX-License-Identifier: Apache-2.0
// Programs over native facts: evaluation, partial evaluation, references, branches, traces, limits.
#include "facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace chaperone::cel {
namespace {

using testing::ElementsAre;

Program program(std::string_view source, const std::shared_ptr<const Environment>& environment) {
    Compiled compiled = compile(source, environment);
    EXPECT_TRUE(compiled.program.has_value())
        << source << ": " << (compiled.issues.empty() ? "" : compiled.issues[0].message);
    return *compiled.program;
}

class Policy : public testing::Test {
protected:
    Value run(std::string_view source) {
        activation.set("env", Value::text("prod"));
        activation.set("sql", Value::object(sql));
        return program(source, environment).evaluate(activation);
    }
    std::shared_ptr<const Environment> environment = policy_environment();
    SqlFact sql{"DROP TABLE orders", {"read", "drop"}};
    MapActivation activation{environment};
};

TEST_F(Policy, ReadsNativeFacts) {
    EXPECT_TRUE(run("sql.effects.exists(e, e.kind in ['create', 'drop'])").is_true());
    EXPECT_TRUE(run("sql.effects.all(e, e.kind == 'read')").is_false());
    EXPECT_TRUE(
        run("sql.effects.size() == 2 && sql.effects[1].object == 'public.orders'").is_true());
    EXPECT_TRUE(run("sql.text.startsWith('DROP') && env == 'prod'").is_true());
    EXPECT_EQ(describe(run("sql.effects.map(e, e.kind)")), "[\"read\", \"drop\"]");
    EXPECT_TRUE(run("sql == sql && sql in [sql]").is_true());
}

TEST_F(Policy, KnowsAbsentFields) {
    EXPECT_TRUE(run("has(sql.text)").is_true());
    EXPECT_TRUE(run("has(sql.note)").is_false());
    EXPECT_TRUE(run("sql.note == ''").is(Kind::Error));
    EXPECT_EQ(describe(run("sql.?note.orValue('none')")), "\"none\"");
    EXPECT_TRUE(run("sql.?text.hasValue()").is_true());
}

TEST_F(Policy, ReportsWrongFieldsWithAHint) {
    const Compiled compiled = compile("sql.efects.size() > 0 && env == 1", environment);
    ASSERT_EQ(compiled.issues.size(), 2U);
    EXPECT_EQ(compiled.issues[0].message, "undefined field 'efects' of Sql");
    EXPECT_EQ(compiled.issues[0].suggestion, "did you mean 'effects'?");
    EXPECT_EQ(compiled.issues[0].column, 5U);
    EXPECT_EQ(compiled.issues[0].length, 6U);
    EXPECT_EQ(compiled.issues[1].column, 30U);
}

TEST_F(Policy, FindsAllSyntaxErrorsAtOnce) {
    const Compiled compiled = compile("[1 +, 2 *, é] == f(1 2)\n&& x.(", environment);
    std::vector<std::pair<unsigned, unsigned>> places;
    for (const Issue& issue : compiled.issues) places.emplace_back(issue.line, issue.column);
    EXPECT_THAT(places, ElementsAre(std::pair{1U, 5U}, std::pair{1U, 10U}, std::pair{1U, 12U},
                                    std::pair{1U, 22U}, std::pair{2U, 6U}));
}

TEST_F(Policy, RefusesAResultOfTheWrongType) {
    EXPECT_FALSE(compile("1 + 1", environment, {.expected = TypeKind::Bool}).program.has_value());
    EXPECT_TRUE(compile("true", environment, {.expected = TypeKind::Bool}).program.has_value());
}

TEST_F(Policy, ListsWhatItReads) {
    EXPECT_THAT(
        program("sql.text == 'x' && labels['env'] == env && sql.effects.exists(e, e.kind == "
                "groups[0]) && has(sql.note)",
                environment)
            .references(),
        ElementsAre("env", "groups[0]", "labels[\"env\"]", "sql.effects", "sql.note", "sql.text"));
    EXPECT_THAT(program("1 + 1 == 2", environment).references(), ElementsAre());
}

TEST_F(Policy, FoldsConstantsWhenCompiled) {
    const Program constant =
        program("duration('1h') > duration('1m') || sql.text == ''", environment);
    ASSERT_NE(constant.constant(), nullptr);
    EXPECT_TRUE(constant.constant()->is_true());
    EXPECT_EQ(program("sql.text == 'a' + 'b'", environment).text(), "sql.text == \"ab\"");
}

TEST_F(Policy, FoldsWhatTheSessionKnows) {
    MapActivation session{environment};
    session.set("env", Value::text("prod"));
    session.set("labels", Value::map_of({{Value::text("team"), Value::text("pay")}}));
    const auto residual = [&](std::string_view source) {
        return program(source, environment).partial(session).text();
    };
    EXPECT_EQ(residual("env == 'prod' && sql.text == 'x'"), "sql.text == \"x\"");
    EXPECT_EQ(residual("env == 'test' && sql.text == 'x'"), "false");
    EXPECT_EQ(residual("sql.text == labels.team"), "sql.text == \"pay\"");
    EXPECT_EQ(residual("has(labels.none) ? true : sql.text == env"), "sql.text == \"prod\"");
    EXPECT_EQ(residual("sql.effects.all(e, e.kind == env)"),
              "sql.effects.all(e, e.kind == \"prod\")");
    EXPECT_EQ(residual("['a', 'prod'].exists(x, x == env)"), "true");
    EXPECT_EQ(residual("labels.none == 'x' || sql.text == 'x'"),
              "error(\"no such key: \\\"none\\\"\") || (sql.text == \"x\")");
}

TEST_F(Policy, LeavesUnknownAttributesOpen) {
    MapActivation known{environment};
    known.set("sql", Value::object(sql));
    known.unknown("sql.effects");
    const Program both =
        program("sql.text == 'DROP TABLE orders' && sql.effects.size() > 0", environment);
    EXPECT_EQ(both.partial(known).text(), "sql.effects.size() > 0");
    const Value value = both.evaluate(known);
    ASSERT_TRUE(value.is(Kind::Unknown));
    EXPECT_THAT(value.attributes(), ElementsAre("sql.effects"));
    const Value aliased =
        program("[sql].exists(s, s.effects.size() > 0)", environment).evaluate(known);
    EXPECT_TRUE(aliased.is(Kind::Unknown)) << "the fact must not be read through another name";
}

TEST_F(Policy, TracesEverySubExpression) {
    struct Notes : Tracer {
        std::vector<std::string> seen;
        void value(const SourceRange& where, std::string_view text, const Value& value) override {
            seen.push_back(std::to_string(where.column) + " " + std::string{text} + " = " +
                           describe(value));
        }
    } notes;
    activation.set("env", Value::text("prod"));
    activation.set("sql", Value::object(sql));
    EXPECT_TRUE(
        program("env == 'x' || sql.text == 'y'", environment).trace(activation, notes).is_false());
    EXPECT_THAT(notes.seen,
                ElementsAre("1 env = \"prod\"", "1 env == 'x' = false",
                            "15 sql.text = \"DROP TABLE orders\"", "15 sql.text == 'y' = false",
                            "1 env == 'x' || sql.text == 'y' = false"));
}

TEST_F(Policy, NamesItsBranches) {
    const Program made =
        program("env == 'a' && (sql.text == 'b' ? true : env == 'c')", environment);
    std::vector<std::string> texts;
    for (const SourceRange& range : made.branches())
        texts.push_back(made.source().substr(range.begin, range.end - range.begin));
    EXPECT_THAT(
        texts, ElementsAre("env == 'a'", "sql.text == 'b' ? true : env == 'c'", "sql.text == 'b'"));
}

TEST_F(Policy, SaysWhereAnErrorArose) {
    const Program made =
        program("sql.text == 'x' ||\n  1 / sql.effects.size() == 7 / 0", environment);
    activation.set("sql", Value::object(sql));
    const Value value = made.evaluate(activation);
    ASSERT_TRUE(value.is(Kind::Error));
    const SourceRange where = made.locate(static_cast<std::size_t>(value.offset()));
    EXPECT_EQ(where.line, 2U);
    EXPECT_EQ(where.column, 31U);
}

TEST(Limits, BoundEvaluation) {
    const auto environment = Environment::standard();
    const MapActivation none{environment};
    const char* const costly[] = {
        "lists.range(999).all(a, lists.range(999).all(b, lists.range(999).all(c, a + b > -1)))",
        "lists.range(1000000).map(a, lists.range(1000000))",
        "cel.bind(a, lists.range(100000), a.all(x, x in a))",
        "cel.bind(a, lists.range(3000), lists.range(3000).map(x, a).distinct().size() == 1)",
    };
    for (const char* source : costly) {
        const Value value = program(source, environment).evaluate(none, {.steps = 1'000'000});
        EXPECT_TRUE(value.is(Kind::Error)) << source;
    }
}

TEST(Limits, BoundValuesThatShareTheirParts) {
    std::string source = "v0";
    for (int i = 40; i-- != 0;) {
        const std::string next = "v" + std::to_string(i + 1);
        source = "cel.bind(" + next + ", [v" + std::to_string(i) + ", v" + std::to_string(i) +
                 "], " + (i == 39 ? next + " == " + next : source) + ")";
    }
    source = "cel.bind(v0, 'x', " + source + ")";
    const auto environment = Environment::standard();
    const Value value = program(source, environment).evaluate(MapActivation{environment});
    EXPECT_TRUE(value.is(Kind::Error)) << describe(value);
}

TEST(Limits, BoundSources) {
    const auto environment = Environment::standard();
    const auto refused = [&](const std::string& source) {
        return !compile(source, environment).program.has_value();
    };
    const auto times = [](std::string_view part, int count) {
        std::string text;
        for (int i = 0; i != count; ++i) text += part;
        return text;
    };
    EXPECT_FALSE(refused(times("(", 200) + "1" + times(")", 200)));
    EXPECT_TRUE(refused(times("(", 5000) + "1" + times(")", 5000)));
    EXPECT_TRUE(refused(times("[", 5000)));
    EXPECT_TRUE(refused("1" + times("+1", 20000)));
    EXPECT_TRUE(refused("a" + times(".a", 20000)));
    EXPECT_FALSE(refused("true" + times("||true", 10000)));
    EXPECT_FALSE(refused(times("!", 50000) + "true"));
    EXPECT_TRUE(refused(times("-!", 40000) + "true"));
    EXPECT_TRUE(refused(times("true?", 20000) + "1"));
    EXPECT_TRUE(refused(std::string(100'001, ' ') + "1"));
    EXPECT_TRUE(refused("'\xff'"));
}

TEST(Custom, FunctionsAreCheckedAndCalled) {
    Environment::Builder builder;
    builder.variable("who", TypeKind::String)
        .function("string.isAdmin(list(string)) -> bool",
                  [](Call&, Arguments a) {
                      return Value::boolean(a[0].as_text() == a[1].as_list().at(0).as_text());
                  })
        .function("acme.level(string) -> int", [](Call&, Arguments) { return Value::integer(7); });
    const auto environment = builder.build();
    MapActivation activation{environment};
    activation.set("who", Value::text("root"));
    EXPECT_TRUE(program("who.isAdmin(['root']) && acme.level(who) == 7", environment)
                    .evaluate(activation)
                    .is_true());
    EXPECT_FALSE(compile("who.isAdmin('root')", environment).program.has_value());
    EXPECT_FALSE(compile("acme.level(1)", environment).program.has_value());
}

// Values of the wrong kind for a declared type are refused by the functions, never misread.
TEST(Custom, AWronglyTypedVariableIsAnError) {
    Environment::Builder builder;
    builder.variable("x", TypeKind::String);
    const auto environment = builder.build();
    MapActivation activation{environment};
    activation.set("x", Value::integer(0x41414141));
    for (const char* source :
         {"x.startsWith('a')", "x + 'a'", "size(x)", "x < 'a'", "x.matches('a')"})
        EXPECT_TRUE(program(source, environment).evaluate(activation).is(Kind::Error)) << source;
}

// Random conditions: what is left after folding means the same as the whole.
class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}
    std::string condition(int depth) {
        if (depth == 0) return leaf();
        switch (random_() % 8) {
        case 0: return "(" + condition(depth - 1) + " && " + condition(depth - 1) + ")";
        case 1: return "(" + condition(depth - 1) + " || " + condition(depth - 1) + ")";
        case 2: return "!(" + condition(depth - 1) + ")";
        case 3:
            return "(" + condition(depth - 1) + " ? " + condition(depth - 1) + " : " +
                   condition(depth - 1) + ")";
        case 4:
            return "[" + number() + ", " + number() + "].exists(e, e > " + number() + " || " +
                   condition(depth - 1) + ")";
        case 5: return "[1, 2].all(e, e != " + number() + " && " + condition(depth - 1) + ")";
        case 6:
            return "cel.bind(v, " + number() + ", v == " + number() + " || " +
                   condition(depth - 1) + ")";
        default: return leaf();
        }
    }
    unsigned next() { return static_cast<unsigned>(random_()); }

private:
    std::string number() {
        constexpr const char* kNumbers[] = {"a",     "b",     "c",      "1",      "2",   "a + b",
                                            "a / b", "c % a", "m['k']", "m.none", "l[a]"};
        return kNumbers[random_() % std::size(kNumbers)];
    }
    std::string leaf() {
        constexpr const char* kOperators[] = {" == ", " != ", " < ", " in l || 1 == "};
        return "(" + number() + kOperators[random_() % 4] + number() + ")";
    }
    std::mt19937 random_;
};

std::string outcome(const Value& value) {
    return value.is(Kind::Error) ? "error" : describe(value);
}

TEST(Partial, ResidualMeansTheSame) {
    Environment::Builder builder;
    for (const char* name : {"a", "b", "c"}) builder.variable(name, TypeKind::Int);
    builder.variable("m", Type::map(TypeKind::String, TypeKind::Int))
        .variable("l", Type::list(TypeKind::Int));
    const auto environment = builder.build();
    for (unsigned seed = 0; seed != 400; ++seed) {
        Generator generator{seed};
        const std::string source = generator.condition(4);
        SCOPED_TRACE(source);
        const Program whole = program(source, environment);
        MapActivation all{environment};
        MapActivation some{environment};
        const auto set = [&](const char* name, const Value& value) {
            all.set(name, value);
            if (generator.next() % 2 == 0) some.set(name, value);
        };
        for (const char* name : {"a", "b", "c"})
            set(name, Value::integer(static_cast<int>(generator.next() % 4) - 1));
        set("m", Value::map_of({{Value::text("k"), Value::integer(generator.next() % 3)}}));
        set("l", Value::list_of({Value::integer(1), Value::integer(generator.next() % 3)}));
        const Program residual = whole.partial(some);
        EXPECT_EQ(outcome(residual.evaluate(all)), outcome(whole.evaluate(all)))
            << "residual: " << residual.text();
        // What is known without the rest is what it will be.
        const Value early = whole.evaluate(some);
        if (!early.is(Kind::Unknown)) {
            EXPECT_EQ(outcome(early), outcome(whole.evaluate(all)));
        }
        // The text of a program parses to the same program.
        EXPECT_EQ(outcome(program(whole.text(), environment).evaluate(all)),
                  outcome(whole.evaluate(all)));
    }
}

}  // namespace
}  // namespace chaperone::cel

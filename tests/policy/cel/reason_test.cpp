// SPDX-License-Identifier: Apache-2.0
#include "policy/cel/reason.h"

#include <gtest/gtest.h>

#include <array>

namespace chaperone::cel {
namespace {

const std::shared_ptr<const Environment>& environment() {
    static const ObjectType kEffect{"Effect",
                                    {{"kind", TypeKind::String}, {"object", TypeKind::String}}};
    static const std::shared_ptr<const Environment> kMade = [] {
        Environment::Builder builder;
        builder.variable("effects", Type::list(Type::object(kEffect)))
            .variable("writes", Type::list(TypeKind::String))
            .variable("name", TypeKind::String)
            .variable("n", TypeKind::Int)
            .variable("ok", TypeKind::Bool)
            .variable("labels", Type::map(TypeKind::String, TypeKind::String));
        return builder.build();
    }();
    return kMade;
}

Program program(const char* source) {
    const Compiled made = compile(source, environment());
    EXPECT_TRUE(made.program) << source;
    return *made.program;
}

World world() {
    World made;
    made.domains["effects[].kind"] = {"\"read\"", "\"insert\"", "\"drop\""};
    made.implied["writes"] = {"effects", "kind", {"\"insert\"", "\"drop\""}};
    return made;
}

// Nothing makes the condition true.
class Impossible : public ::testing::TestWithParam<const char*> {};
TEST_P(Impossible, IsProven) {
    const Program condition = program(GetParam());
    const std::array claims{Claim{&condition, true}};
    EXPECT_TRUE(impossible(claims, world()));
}
INSTANTIATE_TEST_SUITE_P(
    Reason, Impossible,
    ::testing::Values(
        "name == 'a' && name == 'b'", "name == 'a' && name in ['b', 'c']",
        "name in ['a', 'b'] && name != 'a' && !(name in ['b'])", "ok && !ok", "ok == false && ok",
        "n > 3 && n < 4", "n == 5 && n > 7", "n <= 1 && 2 <= n", "!(n > 3) && n > 3",
        "name == 'ab' && name.startsWith('b')", "name.startsWith('a') && name.startsWith('b')",
        "name.startsWith('ab') && !name.startsWith('a')", "name.endsWith('.x') && name == 'y'",
        "effects.exists(e, e.kind == 'selct')",
        "effects.exists(e, e.kind == 'read' && e.kind == 'drop')",
        "effects.all(e, e.kind == 'read') && effects.exists(x, x.kind != 'read')",
        "effects.all(e, e.kind == 'read') && writes.size() > 0",
        "effects.exists(e, e.kind == 'drop') && !effects.exists(e, e.kind in ['drop', 'insert'])",
        "writes.size() == 0 && 'public.t' in writes", "writes == [] && writes.exists(w, w == 'x')",
        "['a', 'b'].exists(x, x == name) && name == 'c'",
        "['a', 'b'].all(x, x in writes) && !('b' in writes)",
        "size(writes) == 0 && writes.size() >= 1",
        "(ok ? name == 'a' : name == 'b') && name == 'c'",
        "labels['env'] == 'prod' && labels['env'] == 'dev'",
        "writes.exists(w, w.startsWith('hr.')) && writes.all(w, w == 'public.t')",
        "(name == 'a' || name == 'b') && (name == 'c' || name == 'd')"));

class Possible : public ::testing::TestWithParam<const char*> {};
TEST_P(Possible, IsNotRefuted) {
    const Program condition = program(GetParam());
    const std::array claims{Claim{&condition, true}};
    EXPECT_FALSE(impossible(claims, world()));
}
INSTANTIATE_TEST_SUITE_P(
    Reason, Possible,
    ::testing::Values(
        "name == 'a' || name == 'b'", "name != 'a' && name != 'b'", "n > 3 && n < 5", "ok",
        "effects.exists(e, e.kind == 'read') && effects.exists(e, e.kind == 'drop')",
        "effects.all(e, e.kind == 'read') && effects.all(e, e.kind == 'drop')",  // of no effects
        "effects.exists(e, e.object == 'a') && effects.exists(x, x.object == 'b')",
        "writes.size() > 0 && writes.size() < 3", "name.startsWith('a') && name.startsWith('ab')",
        "name.contains('a') && name.contains('b')", "labels['a'] == 'x' && labels['b'] == 'y'",
        "effects.exists_one(e, e.kind == 'read') && effects.exists(e, e.kind == 'read')",
        "writes.map(w, w + 'x').exists(x, x == 'ax') && !('a' in writes)",
        "effects.exists(e, effects.all(f, f.object != e.object))",
        "name.matches('a') && !name.matches('b')", "size(name) > 0 && name != ''"));

bool follows(const char* from, const char* to) {
    const Program first = program(from);
    const Program second = program(to);
    const std::array claims{Claim{&first, true}, Claim{&second, false}};
    return impossible(claims, world());
}
TEST(Reason, OneConditionFollowsFromAnother) {
    EXPECT_TRUE(follows("name == 'a'", "name in ['a', 'b']"));
    EXPECT_TRUE(follows("ok && n == 1", "ok || name == 'x'"));
    EXPECT_TRUE(follows("effects.exists(e, e.kind == 'drop' && e.object == 't')",
                        "effects.exists(x, x.kind in ['drop', 'insert'])"));
    EXPECT_TRUE(follows("effects.all(e, e.kind in ['read'])", "effects.all(e, e.kind != 'drop')"));
    EXPECT_FALSE(follows("name in ['a', 'b']", "name == 'a'"));
    EXPECT_FALSE(
        follows("effects.all(e, e.kind == 'read')", "effects.exists(e, e.kind == 'read')"));
}

TEST(Reason, AssumptionsAndListsThatAreNeverEmpty) {
    const Program all = program("effects.all(e, e.kind in ['read', 'insert'])");
    const Program some = program("effects.exists(e, e.kind == 'insert')");
    const std::array claims{Claim{&all, true}, Claim{&some, false}};
    World facts = world();
    EXPECT_FALSE(impossible(claims, facts));
    facts.assumed = {{"effects[].kind", "\"insert\""}};
    EXPECT_TRUE(impossible(claims, facts));
    World filled = world();
    filled.filled = {"effects"};
    const Program reads = program("effects.all(e, e.kind == 'read')");
    const Program read = program("effects.exists(e, e.kind == 'read')");
    const std::array both{Claim{&reads, true}, Claim{&read, false}};
    EXPECT_TRUE(impossible(both, filled));
}

// Bounded: 2^20 cases are not walked through.
TEST(Reason, GivesUp) {
    std::string text = "true";
    for (int i = 0; i != 20; ++i)
        text += " && (n == " + std::to_string(i) + " || name == '" + std::to_string(i) + "')";
    const Program condition = program((text + " && effects.exists(e, e.kind == 'no')").c_str());
    const std::array claims{Claim{&condition, true}};
    impossible(claims, world());
}

TEST(Reason, NamesValues) {
    const auto named = named_values(
        program("effects.exists(e, e.kind in ['drop', 'read']) && name == 'x' && !(n == 3)"));
    ASSERT_EQ(named.size(), 3U);
    EXPECT_EQ(named[0].path, "effects[].kind");
    EXPECT_EQ(named[0].value, "\"drop\"");
    EXPECT_EQ(named[2].path, "name");
    EXPECT_EQ(text_literals(program("name == 'x' || name in ['y', 'z']")),
              (std::vector<std::string>{"x", "y", "z"}));
}

}  // namespace
}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// The tables of cases/*.cel: "expression ==> value" (as describe() writes it), "==> error[: part]"
// when evaluated, "==> invalid" when compiled, "==> unknown a,b"; "expression ::= type" when
// checked. "@let name type = expression" declares (and binds), "@container", "@no_check",
// "@no_macros" and "@reset" set the stage for the lines below.
#include "policy/cel/program.h"

#include <gtest/gtest.h>

#include <fstream>

namespace chaperone::cel {
namespace {

class Stage {
public:
    void directive(const std::string& line) {
        const std::string word = line.substr(0, line.find(' '));
        const std::string rest = line.size() > word.size() ? line.substr(word.size() + 1) : "";
        if (word == "@no_check")
            options.check = false;
        else if (word == "@no_macros")
            options.macros = false;
        else if (word == "@container")
            builder.container(rest);
        else if (word == "@reset")
            *this = Stage{};
        else if (word == "@let")
            let(rest);
        else
            ADD_FAILURE() << "no such directive: " << line;
    }
    void let(const std::string& text) {
        const auto equals = text.find(" = ");
        const std::string declaration = text.substr(0, equals);
        const auto space = declaration.find(' ');
        const std::string name = declaration.substr(0, space);
        const auto type = parse_type(declaration.substr(space + 1));
        ASSERT_TRUE(type.has_value()) << text;
        builder.variable(name, *type);
        if (equals == text.npos) return;
        const auto compiled = compile(text.substr(equals + 3), Environment::standard());
        ASSERT_TRUE(compiled.program.has_value()) << text;
        values.emplace_back(name,
                            compiled.program->evaluate(MapActivation{Environment::standard()}));
    }
    std::string evaluate(const Compiled& compiled,
                         const std::shared_ptr<const Environment>& made) const {
        MapActivation activation{made};
        for (const auto& [name, value] : values) activation.set(name, value);
        const Value value = compiled.program->evaluate(activation);
        if (value.is(Kind::Error)) return "error: " + std::string{value.as_text()};
        if (!value.is(Kind::Unknown)) return describe(value, 4096);
        std::string names;
        for (const std::string& name : value.attributes())
            names += (names.empty() ? "" : ",") + name;
        return "unknown " + names;
    }

    Environment::Builder builder;
    Options options;
    std::vector<std::pair<std::string, Value>> values;
};

std::string first_issue(const Compiled& compiled) {
    return compiled.issues.empty() ? "" : compiled.issues[0].message;
}

void check_case(const Stage& stage, const std::string& expression, std::string wanted, bool type) {
    const auto environment = stage.builder.build();
    const Compiled compiled = compile(expression, environment, stage.options);
    if (wanted == "invalid") {
        EXPECT_FALSE(compiled.program.has_value());
        return;
    }
    ASSERT_TRUE(compiled.program.has_value()) << first_issue(compiled);
    if (type) {
        EXPECT_EQ(compiled.type.text(), wanted);
        return;
    }
    const std::string got = stage.evaluate(compiled, environment);
    if (!wanted.starts_with("error"))
        EXPECT_EQ(got, wanted);
    else {
        EXPECT_TRUE(got.starts_with("error")) << got;
        if (wanted.size() > 7) EXPECT_NE(got.find(wanted.substr(7)), got.npos) << got;
    }
}

class Cases : public testing::TestWithParam<const char*> {};

TEST_P(Cases, Hold) {
    std::ifstream in{std::string{CHAPERONE_SOURCE_DIR "/tests/policy/cel/cases/"} + GetParam() +
                     ".cel"};
    ASSERT_TRUE(in);
    Stage stage;
    int number = 0;
    int cases = 0;
    for (std::string line; std::getline(in, line);) {
        ++number;
        if (line.empty() || line[0] == '#') continue;
        if (line[0] == '@' && line.find(" ==> ") == line.npos) {
            stage.directive(line);
            continue;
        }
        SCOPED_TRACE(std::string{GetParam()} + ".cel:" + std::to_string(number) + ": " + line);
        const auto value = line.rfind(" ==> ");
        const auto type = line.rfind(" ::= ");
        const auto split = value != line.npos ? value : type;
        ASSERT_NE(split, line.npos);
        check_case(stage, line.substr(0, split), line.substr(split + 5), value == line.npos);
        ++cases;
    }
    EXPECT_GT(cases, 20);
}

INSTANTIATE_TEST_SUITE_P(Files, Cases,
                         testing::Values("literals", "operators", "macros", "conversions",
                                         "strings", "time", "extensions", "names"),
                         [](const auto& info) { return std::string{info.param}; });

}  // namespace
}  // namespace chaperone::cel

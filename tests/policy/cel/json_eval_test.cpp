// SPDX-License-Identifier: Apache-2.0
// The line protocol: one line in, one line out, whatever comes in.
#include "policy/cel/json_eval.h"

#include <gtest/gtest.h>

namespace chaperone::cel {
namespace {

struct Line {
    const char* name;
    std::string in;
    std::string out;
};

class JsonEval : public testing::TestWithParam<Line> {};

TEST_P(JsonEval, Answers) {
    EXPECT_EQ(evaluate_json_line(GetParam().in), GetParam().out);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Table, JsonEval, testing::Values(
    Line{"Value", R"~({"id":"x","expr":"1 + 1"})~", R"~({"id":"x","value":{"int":"2"}})~"},
    Line{"Type", R"~({"id":"x","expr":"1 + 1","want_type":true})~", R"~({"id":"x","value":{"int":"2"},"type":"int"})~"},
    Line{"CheckOnly", R"~({"id":"x","expr":"[a]","decls":{"a":"int"},"check_only":true})~", R"~({"id":"x","type":"list(int)"})~"},
    Line{"Variables", R"~({"id":"x","expr":"a.b + c","vars":{"a.b":{"int":"5"},"c":{"int":"-2"}}})~", R"~({"id":"x","value":{"int":"3"}})~"},
    Line{"Unknown", R"~({"id":"x","expr":"a && b","decls":{"a":"bool","b":"bool"},"vars":{"a":{"bool":true}}})~", R"~({"id":"x","unknown":["b"]})~"},
    Line{"Container", R"~({"id":"x","expr":"y","container":"a.b","vars":{"a.y":{"null":null}}})~", R"~({"id":"x","value":{"null":null}})~"},
    Line{"NoCheck", R"~({"id":"x","expr":"true || 1","no_check":true})~", R"~({"id":"x","value":{"bool":true}})~"},
    Line{"NoCheckHasNoType", R"~({"id":"x","expr":"1","no_check":true,"want_type":true})~", R"~({"id":"x","value":{"int":"1"}})~"},
    Line{"Issue", R"~({"id":"x","expr":"foo(1"})~", R"~({"id":"x","error":"1:6: expected ')', not end of the expression"})~"},
    Line{"Error", R"~({"id":"x","expr":"1/0"})~", R"~({"id":"x","error":"divide by zero"})~"},
    Line{"NoIdIsNull", R"~({"expr":"1"})~", R"~({"id":null,"value":{"int":"1"}})~"},
    Line{"Doubles", R"~({"id":"","expr":"[1.5, -0.0, 1e300, 0.1, 3.0, double('NaN'), -1.0/0.0]"})~", R"~({"id":"","value":{"list":[{"double":1.5},{"double":-0.0},{"double":1e+300},{"double":0.1},{"double":3.0},{"double":"NaN"},{"double":"-Infinity"}]}})~"},
    Line{"AllKinds", R"~({"id":"k","expr":"[dyn(v)]","vars":{"v":{"map":[[{"string":"é\n"},{"list":[{"bytes":"AAEC"},{"timestamp":"2009-02-13T23:31:30.5Z"},{"duration":"-1.5s"},{"type":"int"},{"optional":null},{"optional":{"uint":"7"}},{"double":"Infinity"},{"double":2}]}]]}}})~", R"~({"id":"k","value":{"list":[{"map":[[{"string":"é\n"},{"list":[{"bytes":"AAEC"},{"timestamp":"2009-02-13T23:31:30.5Z"},{"duration":"-1.5s"},{"type":"int"},{"optional":null},{"optional":{"uint":"7"}},{"double":"Infinity"},{"double":2.0}]}]]}]}})~"},
    Line{"ExactDoubles", R"~({"id":"x","expr":"v","vars":{"v":{"list":[{"double":1.7976931348623157e308},{"double": 2.2250738585072014E-308},{"double":9007199254740993},{"double":0.30000000000000004},{"double":-0.0},{"double":5e-324}]}}})~", R"~({"id":"x","value":{"list":[{"double":1.7976931348623157e+308},{"double":2.2250738585072014e-308},{"double":9007199254740992.0},{"double":0.30000000000000004},{"double":-0.0},{"double":5e-324}]}})~"},
    Line{"NumbersAreNoText", R"~({"id":"x","expr":"a","vars":{"a":{"string":5}}})~", R"~({"id":"x","error":"invalid value: string is written as a string"})~"},
    Line{"NumbersAreNoKeys", "{1:2}", R"~({"id":null,"error":"not JSON: syntax error"})~"},
    Line{"LoneSurrogates", R"~({"id":"\ud800","expr":"size('a\udc00')"})~", "{\"id\":\"\xEF\xBF\xBD\",\"value\":{\"int\":\"2\"}}"},
    Line{"SurrogatePair", R"~({"id":"p","expr":"size('\ud83d\ude00')"})~", R"~({"id":"p","value":{"int":"1"}})~"},
    Line{"BadJson", "{", R"~({"id":null,"error":"not JSON: incomplete JSON"})~"},
    Line{"NotAnObject", "[]", R"~({"id":null,"error":"not a JSON object"})~"},
    Line{"NoExpr", R"~({"id":"x"})~", R"~({"id":"x","error":"'expr' is not a string"})~"},
    Line{"BadDecl", R"~({"id":"x","expr":"1","decls":{"a":"list("}})~", R"~({"id":"x","error":"invalid value: type 'list(': a name is missing"})~"},
    Line{"BadVar", R"~({"id":"x","expr":"1","vars":{"a":{"int":5}}})~", R"~({"id":"x","error":"invalid value: a number is written as digits in a string"})~"},
    Line{"MistypedVar", R"~({"id":"x","expr":"a + 1","decls":{"a":"int"},"vars":{"a":{"string":"s"}}})~", R"~({"id":"x","error":"no such overload: _+_(string, int)"})~"},
    Line{"NoJsonForm", R"~({"id":"x","expr":"ip('::1')"})~", R"~({"id":"x","error":"the result has no JSON form: net.IP"})~"}),
    [](const auto& info) { return std::string{info.param.name}; });
// clang-format on

TEST(JsonEval, AnswersEveryCutOfALine) {
    const std::string line = R"~({"id":"x","expr":"[1, 2].map(e, e + 1)","vars":{"a":{"bytes":"AA=="}}})~";
    for (std::size_t cut = 0; cut != line.size(); ++cut) {
    const std::string answer = evaluate_json_line(std::string_view{line}.substr(0, cut));
    EXPECT_TRUE(answer.starts_with(R"({"id":null,"error":)")) << cut;
}
}

TEST(JsonEval, SurvivesDeepValues) {
    std::string expr = "1";
    for (int i = 0; i != 240; ++i) expr = "[" + expr + "]";
    EXPECT_NE(evaluate_json_line(R"({"id":"x","expr":")" + expr + "\"}").find("error"),
              std::string::npos);
    std::string json;
    for (int i = 0; i != 100'000; ++i) json += R"({"list":[)";
    EXPECT_TRUE(
        evaluate_json_line(R"({"expr":"1","vars":{"a":)" + json).starts_with(R"({"id":null)"));
}

}  // namespace
}  // namespace chaperone::cel

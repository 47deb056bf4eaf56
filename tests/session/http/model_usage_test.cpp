// SPDX-License-Identifier: Apache-2.0
// What answers of model APIs say of tokens and tool calls, in each vendor's shape.
#include "userspace/session/http/model_usage.h"

#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

namespace chaperone::session {
namespace {

std::string read(std::string_view type, std::string_view coding, std::string_view body,
                 std::size_t piece) {
    ModelUsage usage;
    const auto reader = make_usage_reader(type, coding, usage);
    if (!reader) return "none";
    EXPECT_TRUE(reader->keeps_length());
    Buffer out;
    for (std::size_t at = 0; at < body.size(); at += piece)
        EXPECT_TRUE(reader->push(as_bytes(body.substr(at, piece)), false, out));
    EXPECT_TRUE(reader->push({}, true, out));
    EXPECT_EQ(as_text(out), body);
    return usage.text();
}

struct Case {
    const char* name;
    const char* type;
    const char* body;
    const char* said;
};
class Answers : public testing::TestWithParam<Case> {};

TEST_P(Answers, AreReadAtEveryCut) {
    const Case& c = GetParam();
    const std::string_view body = c.body;
    for (std::size_t piece = 1; piece <= body.size(); piece = piece < 8 ? piece + 1 : piece * 3)
        EXPECT_EQ(read(c.type, "", body, piece), c.said) << piece;
}

constexpr const char* kJson = "application/json";
constexpr const char* kEvents = "text/event-stream; charset=utf-8";

INSTANTIATE_TEST_SUITE_P(
    ModelUsage, Answers,
    testing::Values(
        Case{"chat", kJson,
             R"({"id":"x","model":"gpt-4o","choices":[{"message":{"role":"assistant","tool_calls":[
             {"id":"1","type":"function","function":{"name":"weather","arguments":"{}"}},
             {"id":"2","type":"function","function":{"name":"mail"}}]}}],
             "usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}})",
             "gpt-4o input=12 output=34 tools=weather,mail"},
        Case{"responses", kJson,
             R"({"object":"response","model":"gpt-5","output":[{"type":"message","content":[]},
             {"type":"function_call","name":"search","arguments":"{}"}],
             "usage":{"input_tokens":7,"output_tokens":9}})",
             "gpt-5 input=7 output=9 tools=search"},
        Case{"cached", kJson,
             R"({"model":"g","usage":{"prompt_tokens":9,"completion_tokens":1,
             "prompt_tokens_details":{"cached_tokens":8}}})",
             "g input=9 output=1 cached=8"},
        Case{"cacheRead", kJson,
             R"({"type":"message","model":"c","usage":{"input_tokens":2,"output_tokens":3,
             "cache_read_input_tokens":70,"cache_creation_input_tokens":null}})",
             "c input=2 output=3 cached=70"},
        Case{"countTokens", kJson, R"({"input_tokens":14})", "input=14 output=0"},
        Case{"failed", kEvents,
             "data: {\"type\":\"response.failed\",\"response\":{\"model\":\"g\",\"usage\":"
             "{\"input_tokens\":3,\"output_tokens\":4,\"input_tokens_details\":"
             "{\"cached_tokens\":2}}}}\n\n",
             "g input=3 output=4 cached=2"},
        Case{"messages", kJson,
             R"({"type":"message","model":"claude-x","content":[{"type":"text","text":"hi"},
             {"type":"tool_use","id":"t","name":"read_file","input":{}}],
             "usage":{"input_tokens":100,"output_tokens":5}})",
             "claude-x input=100 output=5 tools=read_file"},
        Case{"chat_stream", kEvents,
             "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
             "\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}}]}\n\n"
             "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
             "\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n"
             "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n"
             "data: [DONE]\n\n",
             "gpt-4o input=3 output=4 tools=weather"},
        Case{"responses_stream", kEvents,
             "event: response.output_item.done\r\ndata: {\"type\":\"response.output_item.done\","
             "\"item\":{\"type\":\"function_call\",\"name\":\"search\"}}\r\n\r\n"
             "event: response.completed\r\ndata: {\"type\":\"response.completed\",\"response\":"
             "{\"model\":\"gpt-5\",\"output\":[{\"type\":\"function_call\",\"name\":\"search\"}],"
             "\"usage\":{\"input_tokens\":7,\"output_tokens\":9}}}\r\n\r\n",
             "gpt-5 input=7 output=9 tools=search"},
        Case{"messages_stream", kEvents,
             "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":"
             "\"claude-x\",\"content\":[],\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"
             "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
             "\"content_block\":{\"type\":\"tool_use\",\"name\":\"read_file\"}}\n\n"
             "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":"
             "{\"output_tokens\":15}}\n\n",
             "claude-x input=25 output=15 tools=read_file"},
        Case{"no_json", kJson, "not json", ""}, Case{"an_array", kJson, "[1,2]", ""},
        Case{"wrong_types", kJson,
             R"({"model":1,"usage":{"prompt_tokens":"x","completion_tokens":-1},"choices":{}})",
             ""},
        Case{"a_name_with_spaces", kJson, R"({"content":[{"type":"tool_use","name":"a b,c"}]})",
             "tools=a_b_c"},
        Case{"text", "text/plain", "hello", "none"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ModelUsage, ReadsCodings) {
    const std::string_view body = R"({"model":"m","usage":{"input_tokens":1,"output_tokens":2}})";
    Buffer sent;
    const auto into = [&](Bytes piece) { append(sent, piece); };
    const auto encoder = wire::make_encoder(wire::Coding::Gzip);
    encoder->push(as_bytes(body), into);
    encoder->finish(into);
    EXPECT_EQ(read(kJson, "gzip", as_text(sent), 3), "m input=1 output=2");
    EXPECT_EQ(read(kJson, "gzip", "no gzip at all", 3), "incomplete");
    EXPECT_EQ(read(kJson, "compress", body, 3), "none");
}

TEST(ModelUsage, ReadsNoMoreThanALimit) {
    const std::string large(5 << 20, ' ');
    EXPECT_EQ(read(kJson, "", large, 65536), "incomplete");
    EXPECT_EQ(read(kEvents, "", "data: " + large, 65536), "incomplete");
}

}  // namespace
}  // namespace chaperone::session

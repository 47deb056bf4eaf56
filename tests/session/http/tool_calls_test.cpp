// SPDX-License-Identifier: Apache-2.0
// Tool calls of models' answers, in each vendor's shape: found, decided, passed or replaced.
#include "tests/support/http2_fixture.h"
#include "tests/support/http_fixture.h"
#include "userspace/session/http/shapes.h"
#include "userspace/session/http/tool_call_filter.h"
#include "userspace/session/http/tool_call_reader.h"
#include "userspace/session/http/websocket_machine.h"
#include "userspace/wire/coding/coding.h"

#include <gtest/gtest.h>

#include <vector>

namespace chaperone::session::test {
namespace {

using std::string;
using std::string_view;

constexpr const char* kJson = "application/json";
constexpr const char* kEvents = "text/event-stream; charset=utf-8";

const policy::http::Facts& facts_of(string_view path) {
    static policy::http::Facts facts;
    facts.assign({.method = "POST",
                  .scheme = "https",
                  .authority = "api.example",
                  .target = path,
                  .version = "1.1"},
                 "api.example", true);
    return facts;
}

string text_of(const cel::Value& value) {
    return value.is(cel::Kind::String) ? string{value.as_text()} : cel::describe(value);
}

// "drop" is denied; what is asked about is kept.
struct Asked {
    Lines calls{};

    ToolCallDecider decider() {
        return [this](policy::http::ToolCall call) -> std::optional<Refusal> {
            calls.push_back(call.type + " " + call.name + " " + call.id + " " +
                            text_of(call.arguments));
            if (call.name != "drop") return std::nullopt;
            return Refusal{.detail = "no drop", .rule = "r"};
        };
    }
};

struct Told {
    string body{};
    Lines calls{};
    bool failed = false, over = false;
    std::optional<Refusal> refusal{};
};

Told filtered(string_view path, string_view type, string_view body, std::size_t piece,
              string_view coding = "") {
    Told told;
    Asked asked;
    auto filter = make_tool_call_filter(facts_of(path), type, coding, asked.decider());
    EXPECT_TRUE(filter);
    EXPECT_EQ((*filter)->whole(), type != kEvents);
    Buffer out;
    for (std::size_t at = 0; at < body.size() && !told.failed; at += piece)
        told.failed = !(*filter)->push(as_bytes(body.substr(at, piece)), false, out);
    told.failed = told.failed || !(*filter)->push({}, true, out);
    told.body = as_text(out);
    told.calls = asked.calls;
    told.over = (*filter)->over();
    told.refusal = (*filter)->refusal();
    return told;
}

std::vector<std::size_t> cuts(string_view body) {
    std::vector<std::size_t> all;
    for (std::size_t n = 1; n <= body.size(); n = n < 8 ? n + 1 : n * 3) all.push_back(n);
    all.push_back(body.size() + 1);
    return all;
}

struct Case {
    const char* name;
    const char* type;
    string body;
    Lines calls;
};
class Found : public testing::TestWithParam<Case> {};

TEST_P(Found, AndPassedOnAtEveryCut) {
    const Case& c = GetParam();
    for (const std::size_t piece : cuts(c.body)) {
        const Told told = filtered("/v1/messages", c.type, c.body, piece);
        EXPECT_EQ(told.calls, c.calls) << piece;
        EXPECT_EQ(told.body, c.body) << piece;
        EXPECT_FALSE(told.failed || told.over || told.refusal);
    }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(ToolCalls, Found, testing::Values(
    Case{"Chat", kJson,
         R"({"choices":[{"message":{"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"2","type":"custom","custom":{"name":"g","input":"free {text"}}]}},{"message":{"content":"\"tool_calls\""}}]})",
         {"function f 1 {\"a\": 1}", "custom g 2 free {text"}},
    Case{"ChatLegacy", kJson, R"({"choices":[{"message":{"function_call":{"name":"f","arguments":""}}}]})",
         {"function_call f  {}"}},
    Case{"Responses", kJson,
         R"({"output":[{"type":"reasoning"},{"type":"function_call","call_id":"c","id":"i","name":"f","arguments":"{}"},{"type":"local_shell_call","call_id":"s","action":{"command":["ls"]}},{"type":"custom_tool_call","call_id":"t","name":"g","input":"x"}],"tools":[{"type":"function","name":"h"}]})",
         {"function_call f c {}", R"(local_shell_call local_shell_call s {"type": "local_shell_call", "call_id": "s", "action": {"command": ["ls"]}})", "custom_tool_call g t x"}},
    Case{"Messages", kJson,
         R"({"type":"message","content":[{"type":"text","text":"{\"type\":\"tool_use\"}"},{"type":"tool_use","id":"t","name":"f","input":{"type":"tool_use","name":"inner"}}],"stop_reason":"tool_use"})",
         {R"(tool_use f t {"type": "tool_use", "name": "inner"})"}},
    Case{"NoJsonInArguments", kJson, R"({"content":[],"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{"}}]}}]})",
         {" f  error(\"text that is no JSON\")"}},
    Case{"Lines", "application/x-jsonl",
         "{\"result\":{\"message\":{\"content\":[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\",\"input\":{}}]}}}\n\n{\"result\":{\"message\":{\"content\":[{\"type\":\"tool_use\",\"id\":\"2\",\"name\":\"g\",\"input\":{}}]}}}\n",
         {"tool_use f 1 {}", "tool_use g 2 {}"}},
    Case{"Nothing", kJson, R"({"object":"list","data":[{"embedding":[0.1]}]})", {}},
    Case{"ChatEvents", kEvents,
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hm\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}},{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
         "data: [DONE]\n\n",
         {"function f 1 {\"a\": 1}", "function g 2 {}"}},
    Case{"ChatEventsNotNumbered", kEvents,
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"2\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n",
         {" f 1 {}", " g 2 {}"}},
    Case{"ChatEventsWithoutAnEnd", kEvents,
         "data: {\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}}}]}\n\n"
         "data: {\"choices\":[{\"delta\":{\"function_call\":{\"arguments\":\"}\"}}}]}\n\n",
         {"function_call f  {}"}},
    Case{"MessagesEvents", kEvents,
         "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n"
         "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n"
         "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\": \"}}\n\n"
         "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"2}\"}}\n\n"
         "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
         {"tool_use f t {\"a\": 2}"}},
    Case{"ResponsesEvents", kEvents,
         "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"\"}}\n\n"
         "event: response.function_call_arguments.delta\ndata: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{}\"}\n\n"
         "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}}\n\n"
         "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]}}\n\n",
         {"function_call f c {}"}},
    Case{"ChatEventsWithEmptyFinishReasons", kEvents,
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},\"finish_reason\":\"\"}]}\n\n"
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]},\"finish_reason\":\"\"}]}\n\ndata: [DONE]\n\n",
         {" f  {}"}},
    Case{"MessagesEventsThatBeginTwice", kEvents,
         "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n"
         "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"name\":\"g\"}}\n\n"
         "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
         {"tool_use f  {}", "tool_use g  {}"}},
    Case{"ResponsesEventsWhoseItemIsNotSaidAgain", kEvents,
         "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}}\n\n"
         "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{}}\n\n",
         {"function_call f  {}"}},
    Case{"ResponsesEventsBrokenOff", kEvents,
         "data: {\"type\":\"response.output_item.added\",\"output_index\":3,\"item\":{\"type\":\"custom_tool_call\",\"call_id\":\"c\",\"name\":\"f\",\"input\":\"\"}}\n\n"
         "data: {\"type\":\"response.custom_tool_call_input.delta\",\"output_index\":3,\"delta\":\"ls\"}\n\n",
         {"custom_tool_call f c ls"}}),
    [](const auto& info) { return info.param.name; });
// clang-format on

struct Denied {
    const char* name;
    const char* path;
    string before, call, error;
};
class Replaced : public testing::TestWithParam<Denied> {};

TEST_P(Replaced, ByTheVendorsErrorAtEveryCut) {
    const Denied& c = GetParam();
    const string body = c.before + c.call + "data: {\"more\": 1}\n\n";
    for (const std::size_t piece : cuts(body)) {
        const Told told = filtered(c.path, kEvents, body, piece);
        EXPECT_EQ(told.body, c.before + c.error) << piece;
        EXPECT_TRUE(told.over && told.refusal && !told.failed);
        EXPECT_EQ(told.calls.size(), 1U);
    }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(ToolCalls, Replaced, testing::Values(
    Denied{"Messages", "/v1/messages",
           "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hm\"}}\n\n",
           "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"drop\",\"input\":{}}}\n\n"
           "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
           "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no drop\",\"type\":\"permission_error\"}}\n\n"},
    Denied{"Chat", "/v1/chat/completions",
           "data: {\"choices\":[{\"delta\":{\"content\":\"hm\"}}]}\n\n",
           "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"dr\",\"arguments\":\"{}\"}}]}}]}\n\n"
           "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"op\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
           "data: {\"error\":{\"message\":\"no drop\",\"type\":\"permission_error\",\"param\":null,\"code\":\"denied\"}}\n\ndata: [DONE]\n\n"},
    Denied{"ChatAtTheEnd", "/v1/chat/completions", "",
           "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"drop\",\"arguments\":\"{}\"}}]}}]}\n\ndata: [DONE]\n\n",
           "data: {\"error\":{\"message\":\"no drop\",\"type\":\"permission_error\",\"param\":null,\"code\":\"denied\"}}\n\ndata: [DONE]\n\n"},
    Denied{"Responses", "/v1/responses", "",
           "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"drop\",\"arguments\":\"{}\"}]}}\n\n",
           "event: error\ndata: {\"type\":\"error\",\"code\":\"denied\",\"message\":\"no drop\",\"param\":null,\"error\":{\"message\":\"no drop\",\"type\":\"permission_error\",\"param\":null,\"code\":\"denied\"}}\n\n"}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(ToolCalls, OfADocumentThatIsDeniedNothingPasses) {
    const string body = R"({"content":[{"type":"tool_use","id":"t","name":"drop","input":{}}]})";
    for (const std::size_t piece : cuts(body)) {
        const Told told = filtered("/v1/messages", kJson, body, piece);
        EXPECT_TRUE(told.failed && told.refusal);
        EXPECT_EQ(told.body, "");
    }
}

TEST(ToolCalls, ThatCannotBeToldDoNotPass) {
    for (const char* odd : {"{", "[1,]", "<html>", "{}\n{", R"({"content":[],"content":[]})",
                            R"({"content":[{"type":"text","type":"tool_use","name":"read"}]})"}) {
        const Told told = filtered("/v1/messages", kJson, odd, 1);
        EXPECT_TRUE(told.failed && told.body.empty()) << odd;
    }
    const Told told = filtered("/v1/messages", kEvents, "data: {}\n\ndata: {\n\ndata: {}\n\n", 3);
    EXPECT_TRUE(told.over && told.body.starts_with("data: {}\n\nevent: error\n")) << told.body;
    Asked asked;
    for (const char* type : {"text/html", "", "application/octet-stream"})
        EXPECT_FALSE(make_tool_call_filter(facts_of("/v1/messages"), type, "", asked.decider()));
    EXPECT_FALSE(make_tool_call_filter(facts_of("/v1/messages"), kJson, "dcb", asked.decider()));
}

TEST(ToolCalls, WithoutANameDoNotPass) {
    const Told told =
        filtered("/v1/messages", kJson, R"({"tool_calls":[{"function":{"arguments":"{}"}}]})", 9);
    EXPECT_TRUE(told.failed && told.refusal);
}

TEST(ToolCalls, AreSeenBehindAByteOrderMark) {
    const string event = "data: {\"content\":[{\"type\":\"tool_use\",\"name\":\"drop\"}]}\n\n";
    EXPECT_TRUE(filtered("/v1/messages", kEvents, "\xef\xbb\xbf" + event, 2).over);
}

TEST(ToolCalls, AreBounded) {
    const string start =
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_"
        "use\",\"name\":\"f\"}}\n\n";
    const string more =
        "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"partial_"
        "json\":\"" +
        string(1 << 20, ' ') + "\"}}\n\n";
    string body = start;
    for (int i = 0; i != 9; ++i) body += more;
    const Told told = filtered("/v1/messages", kEvents, body, 1 << 16);
    EXPECT_TRUE(told.over && told.calls.empty());
    EXPECT_TRUE(told.body.starts_with("event: error\n")) << told.body.substr(0, 40);
    EXPECT_TRUE(filtered("/v1/messages", kJson, "[" + string(9 << 20, ' ') + "]", 1 << 16).failed);
    string many = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}";
    for (int i = 1; i != 300; ++i) many += ",{\"index\":" + std::to_string(i) + "}";
    EXPECT_TRUE(filtered("/v1/messages", kEvents, many + "]}}]}\n\n", 64).over);
}

TEST(ToolCalls, WaitForNothingButThemselves) {
    Asked asked;
    auto filter = make_tool_call_filter(facts_of("/v1/messages"), kEvents, "", asked.decider());
    Buffer out;
    const auto says = [&](string_view text) {
        out.clear();
        EXPECT_TRUE((*filter)->push(as_bytes(text), false, out));
        return string{as_text(out)};
    };
    const string text = "data: {\"type\":\"content_block_delta\",\"index\":0}\n\n";
    EXPECT_EQ(says(text), text);
    EXPECT_EQ(says("data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{"
                   "\"type\":\"tool_use\",\"name\":\"f\"}}\n\n"),
              "");
    EXPECT_EQ(says(": still here\n\n"), ": still here\n\n");
    EXPECT_NE(says("data: {\"type\":\"content_block_stop\",\"index\":1}\n\n"), "");
    EXPECT_EQ(says(text), text);
}

TEST(ToolCalls, AreReadBehindCodings) {
    const string body = R"({"content":[{"type":"tool_use","id":"t","name":"drop","input":{}}]})";
    Buffer packed;
    const auto encoder = wire::make_encoder(wire::Coding::Gzip);
    encoder->push(as_bytes(body), [&](Bytes piece) { append(packed, piece); });
    encoder->finish([&](Bytes piece) { append(packed, piece); });
    EXPECT_TRUE(filtered("/v1/messages", kJson, as_text(packed), 7, "gzip").refusal);
}

// --- in a session

policy::DecisionPtr watching(policy::Effect effect = policy::Effect::Allow) {
    auto made = std::make_shared<policy::Decision>();
    made->effect = effect;
    made->rule = "r";
    made->reason = "no drop";
    made->tool_calls = true;
    return made;
}

class Http1Calls : public testing::TestWithParam<std::size_t> {
protected:
    Http1Calls() {
        f.script.gate([](const policy::Request&) {
            return Answer{.verdict = Verdict::Allowed, .decision = watching(), .request = 1};
        });
        f.script
            .client_sends("POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            .forget();
    }
    static HttpConfig config() {
        HttpConfig made = http_config();
        made.reshape = shape_for_agents;
        return made;
    }
    HttpFixture f{config(), GetParam()};
    const string call =
        R"({"content":[{"type":"tool_use","id":"t","name":"drop","input":{"a":1}}]})";
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http1Calls, testing::Values(1, 7, SIZE_MAX));

TEST_P(Http1Calls, ADeniedOneIsARefusalAndTheConnectionLivesOn) {
    f.script.probed = watching(policy::Effect::Deny);
    f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                          std::to_string(call.size()) + "\r\n\r\n" + call);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 403 Forbidden\r\n")) << f.script.to_client;
    EXPECT_NE(f.script.to_client.find(R"({"type":"error","error":{"message":"chaperone: )"),
              string::npos);
    EXPECT_NE(f.script.to_client.find("no drop"), string::npos);
    EXPECT_EQ(f.script.to_client.find("tool_use"), string::npos);
    EXPECT_FALSE(f.script.ended);
    f.script.forget().client_sends("GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(f.script.to_server.empty());
}

TEST_P(Http1Calls, AnAllowedOnePasses) {
    f.script.probed = watching();
    f.script.server_sends(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: x\r\n"
        "Content-Length: " +
        std::to_string(call.size()) + "\r\n\r\n" + call);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 200 OK\r\nContent-Type: "))
        << f.script.to_client;
    EXPECT_NE(f.script.to_client.find(call), string::npos);
    EXPECT_TRUE(f.script.to_client.ends_with("\r\n0\r\n\r\n"));
    EXPECT_FALSE(f.script.ended);
}

TEST_P(Http1Calls, OneThatCannotBeRecordedDoesNotPass) {
    f.script.probed = nullptr;
    f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                          std::to_string(call.size()) + "\r\n\r\n" + call);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 503 ")) << f.script.to_client;
}

TEST_P(Http1Calls, AnAnswerWithoutALengthIsHeldToo) {
    f.script.probed = watching(policy::Effect::Deny);
    f.script.server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + call);
    f.script.nothing_more().closed(Side::Server);
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 403 ")) << f.script.to_client;
}

TEST_P(Http1Calls, OtherAnswersAreRefused) {
    f.script.server_sends(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_TRUE(f.script.to_client.starts_with("HTTP/1.1 502 ")) << f.script.to_client;
}

TEST_P(Http1Calls, ErrorsOfServersPass) {
    const string answer =
        "HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx";
    f.script.server_sends(answer).sends(Side::Client, answer);
}

TEST_P(Http1Calls, AStreamEndsWhereOneIsDenied) {
    f.script.probed = watching(policy::Effect::Deny);
    const string event =
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_"
        "use\",\"name\":\"drop\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n";
    f.script.server_sends(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        "Content-Length: 99999\r\n\r\ndata: {}\n\n" +
        event + "data: {}\n\n");
    EXPECT_NE(f.script.to_client.find("data: {}\n\n"), string::npos) << f.script.to_client;
    EXPECT_NE(f.script.to_client.find("event: error\n"), string::npos);
    EXPECT_TRUE(f.script.to_client.ends_with("\r\n0\r\n\r\n"));
    EXPECT_EQ(f.script.to_client.find("drop\""), string::npos);
    EXPECT_TRUE(f.script.ended);
}

TEST_P(Http1Calls, WithinWebSocketsTheyCannotBeTold) {
    HttpFixture other{config(), GetParam()};
    other.script.gate([](const policy::Request&) {
        return Answer{.verdict = Verdict::Allowed, .decision = watching(), .request = 1};
    });
    other.script.client_sends(
        "GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    EXPECT_TRUE(other.script.to_client.starts_with("HTTP/1.1 403 ")) << other.script.to_client;
    EXPECT_EQ(other.script.to_server, "");
}

// Of MCP neither, whoever of the two says that they are to come.
TEST_P(Http1Calls, WithinWebSocketsMcpCannotBeTold) {
    const auto open = [](bool speaks, string_view offered, string_view chosen) {
        HttpConfig made = config();
        enable_websockets(made);
        HttpFixture f{made, GetParam()};
        f.script.gate([speaks](const policy::Request&) {
            auto decision = std::make_shared<policy::Decision>();
            decision->effect = policy::Effect::Allow;
            decision->mcp = speaks;
            return Answer{.verdict = Verdict::Allowed, .decision = decision, .request = 1};
        });
        f.script.client_sends(
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
            string{offered} + "\r\n");
        if (!f.script.to_server.empty())
            f.script.server_sends(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
                string{chosen} + "\r\n");
        return f.script.to_client.substr(0, 13);
    };
    constexpr string_view kMcp = "Sec-WebSocket-Protocol: chat, MCP\r\n";
    constexpr string_view kChosen = "Sec-WebSocket-Protocol: mcp\r\n";
    EXPECT_EQ(open(true, kMcp, kChosen), "HTTP/1.1 403 ");
    EXPECT_EQ(open(true, "", kChosen), "HTTP/1.1 502 ");
    EXPECT_EQ(open(true, "", ""), "HTTP/1.1 101 ");
    EXPECT_EQ(open(false, kMcp, kChosen), "HTTP/1.1 101 ");
}

class Http2Calls : public testing::TestWithParam<std::size_t>, protected Http2Fixture {
protected:
    Http2Calls() : Http2Fixture(GetParam()) {
        gate = [](const policy::Request&) {
            return Answer{.verdict = Verdict::Allowed, .decision = watching(), .request = 1};
        };
        id = post("/v1/messages", "{}");
        server.took();
    }
    void answers(string_view type, string_view body, bool end = true) {
        at_server->respond(1, {{":status", "200"}, {"content-type", string{type}}}, false);
        talk();
        at_server->data(1, as_bytes(body));
        if (end) at_server->finish(1);
        talk();
    }
    StreamId id{};
    const string call = R"({"content":[{"type":"tool_use","name":"drop","input":{}}]})";
    const string event =
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_"
        "use\",\"name\":\"drop\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n";
};
INSTANTIATE_TEST_SUITE_P(Pieces, Http2Calls, testing::Values(1, 7, SIZE_MAX));

TEST_P(Http2Calls, ADeniedOneIsARefusal) {
    probed = watching(policy::Effect::Deny);
    answers(kJson, call);
    const auto got = agent.took();
    ASSERT_FALSE(got.empty());
    EXPECT_TRUE(got[0].starts_with("1 response :status=403 ")) << got[0];
    EXPECT_EQ(got.back(), "1 closed NO_ERROR");
    EXPECT_NE(agent.bodies[id].find("no drop"), string::npos) << agent.bodies[id];
    get("/other");
    EXPECT_FALSE(server.took().empty());
}

TEST_P(Http2Calls, AnAllowedOnePasses) {
    probed = watching();
    answers(kJson, call);
    EXPECT_EQ(agent.bodies[id], call);
    EXPECT_TRUE(agent.took()[0].starts_with("1 response :status=200 "));
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_TRUE(outcomes[0].ok);
}

TEST_P(Http2Calls, AStreamEndsWhereOneIsDenied) {
    probed = watching(policy::Effect::Deny);
    answers(kEvents, "data: {}\n\n" + event, false);
    EXPECT_TRUE(agent.bodies[id].starts_with("data: {}\n\ndata: {\"error\":") ||
                agent.bodies[id].starts_with("data: {}\n\nevent: error\n"))
        << agent.bodies[id];
    EXPECT_EQ(agent.took().back(), "1 closed NO_ERROR");
    EXPECT_EQ(server.took(), Lines{"1 closed CANCEL"});
}

}  // namespace
}  // namespace chaperone::session::test

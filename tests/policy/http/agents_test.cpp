// SPDX-License-Identifier: Apache-2.0
// Bodies as messages of MCP and as requests to model APIs.
#include "policy/http/body_text.h"
#include "policy/http/mcp.h"
#include "policy/http/model_api.h"

#include <gtest/gtest.h>

namespace chaperone::policy::http {
namespace {

McpRead read(std::string_view json) {
    return read_mcp(mcp_value(json));
}

TEST(Mcp, NamesWhatIsAsked) {
    const auto call = read(
        R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sql","arguments":{"q":"x"}}})");
    ASSERT_TRUE(call.message);
    EXPECT_EQ(call.message->method, "tools/call");
    EXPECT_EQ(call.message->tool, "sql");
    EXPECT_EQ(call.message->arguments.as_map().find(cel::Value::text("q"))->as_text(), "x");
    const auto prompt =
        read(R"({"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}})");
    EXPECT_EQ(prompt.message->prompt, "p");
    EXPECT_EQ(prompt.message->tool, "");
    const auto resource =
        read(R"({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///x"}})");
    EXPECT_EQ(resource.message->resource, "file:///x");
    EXPECT_TRUE(read(R"({"jsonrpc":"2.0","id":1,"result":{}})").message->response);
    EXPECT_TRUE(read(R"({"model":"m"})").message->answers_nothing());
}

TEST(Mcp, CannotTellWhatIsAmbiguous) {
    for (const char* body : {"[]", R"([{"jsonrpc":"2.0"}])", "{", R"({"jsonrpc":2,"method":"x"})",
                             R"({"jsonrpc":"2.0","method":["tools/call"]})",
                             R"({"jsonrpc":"2.0","method":"tools/call","params":{"name":1}})",
                             R"({"jsonrpc":"2.0","method":"tools/call","method":"ping"})",
                             R"({"jsonrpc":"2.0","method":"ping","Method":"tools/call"})",
                             R"({"JsonRPC":"2.0","method":"tools/call"})",
                             "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"param\xc5\xbf\":{}}",
                             R"({"jsonrpc":"2.0","method":"x","params":{"name":"a","NAME":"b"}})"})
        EXPECT_FALSE(read(body).message) << body;
    // Of other bodies, and within arguments, names are whose they are.
    EXPECT_TRUE(read(R"({"Method":"card","ID":7})").message->answers_nothing());
    EXPECT_TRUE(
        read(R"({"jsonrpc":"2.0","method":"x","params":{"arguments":{"Name":1}}})").message);
}

TEST(Mcp, IsAMessageAlsoForServersThatDoNotLookForTheVersion) {
    EXPECT_EQ(read(R"({"id":1,"method":"tools/call","params":{"name":"sql"}})").message->tool,
              "sql");
    EXPECT_FALSE(read(R"({"method":"tools/call","Method":"ping"})").message);
    EXPECT_TRUE(read(R"({"method":"eth_call","params":[]})").message->answers_nothing());
}

TEST(Mcp, NamesWhatIsCompleted) {
    const auto of = [](std::string_view reference) {
        return read(
            R"({"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"argument":{"name":"a","value":"v"},"ref":)" +
            std::string{reference} + "}}");
    };
    EXPECT_EQ(of(R"({"type":"ref/prompt","name":"p"})").message->prompt, "p");
    EXPECT_EQ(of(R"({"type":"ref/resource","uri":"x://{id}"})").message->resource, "x://{id}");
    EXPECT_FALSE(of(R"({"type":"ref/prompt","name":1})").message);
    EXPECT_FALSE(of(R"({"type":"ref/prompt","name":"a","Name":"b"})").message);
}

TEST(Mcp, FieldsMayNotSayOtherwise) {
    const auto of = [](std::string_view method, std::string_view name) {
        Facts facts;
        facts.assign({.method = "POST",
                      .scheme = "http",
                      .authority = "a",
                      .target = "/mcp",
                      .version = "1.1",
                      .fields = {{"Mcp-Method", method}, {"Mcp-Name", name}}},
                     "a", true);
        const auto body = mcp_value(
            R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"caf\u00e9"}})");
        return read_mcp(body, &facts).message.has_value();
    };
    EXPECT_TRUE(of("tools/call", "=?base64?Y2Fmw6k=?="));
    EXPECT_TRUE(of("tools/call", "caf\xc3\xa9"));
    EXPECT_FALSE(of("tools/list", "caf\xc3\xa9"));
    EXPECT_FALSE(of("tools/call", "drop"));
    EXPECT_FALSE(of("tools/call", "=?base64?%%?="));
    EXPECT_FALSE(of("tools/call", "=?base64?="));
}

TEST(Mcp, AFewWordsAreNone) {
    for (const char* words : {"", "test", "This is not JSON", "Hello, you!"})
        EXPECT_TRUE(is_bare_words(words)) << words;
    for (const char* other : {"{}", "[", "\"x\"", "a=b", "a%7b", "method: ping", "+AHs-", "a\\b",
                              "eyJqc29ucnBjIjoiMi4wIiwibWV0aG9kIjoicGluZyJ9",
                              "abcdefghijklmnopqrstuvwxyzabcdefg", "\xef\xbb\xbf"})
        EXPECT_FALSE(is_bare_words(other)) << other;
}

TEST(Mcp, BatchesAreMessages) {
    const auto batch = [](std::string_view json) { return read_mcp_batch(mcp_value(json)); };
    const auto two = batch(
        R"([{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}])");
    ASSERT_EQ(two.size(), 2U);
    EXPECT_EQ(two[1].tool, "x");
    EXPECT_EQ(batch("[1,2,{}]").size(), 1U);  // of what is no message one is enough
    for (const char* none : {"[]", "{}", R"([{"jsonrpc":"2.0","method":"a"},{"jsonrpc":1}])",
                             R"([{"jsonrpc":"2.0","method":"a","Method":"b"}])"})
        EXPECT_TRUE(batch(none).empty()) << none;
    std::string many = "[";
    for (int i = 0; i != 65; ++i) many += R"({"jsonrpc":"2.0","method":"a"},)";
    many.back() = ']';
    EXPECT_TRUE(batch(many).empty());
}

struct Typed {
    std::string type{};
    std::string coding{};
    std::string body = "{}";
};
bool can_be_told(const Typed& typed) {
    Facts facts;
    facts.assign({.method = "POST",
                  .scheme = "http",
                  .authority = "a",
                  .target = "/",
                  .version = "1.1",
                  .fields = {{"Content-Type", typed.type}, {"Content-Encoding", typed.coding}}},
                 "a", true);
    facts.body.state = Body::State::Whole;
    facts.body.data = typed.body;
    return body_text_fault(facts).empty();
}

TEST(BodyText, IsWhatItsFieldsSay) {
    for (const Typed& typed :
         {Typed{"application/json"}, Typed{"application/json; charset=utf-8"},
          Typed{"application/json;Charset=\"UTF-8\""}, Typed{"text/plain; charset=US-ASCII"},
          Typed{"application/json; charset=iso-8859-1"}, Typed{"application/json", "identity"},
          Typed{"application/json; charset=utf-7", "gzip", ""}})
        EXPECT_TRUE(can_be_told(typed)) << typed.type;
    for (const Typed& typed :
         {Typed{"application/json; charset=utf-7"}, Typed{"application/json; charset = UTF-7"},
          Typed{"application/json; charset=\"utf-16\""}, Typed{"application/json; charset*=utf-7"},
          Typed{"application/json; charset=utf-8; charset=utf-7"},
          Typed{"application/json; charset"}, Typed{"text/html; x=charset=utf-7"},
          Typed{"application/json; charset=latin1", "", "\xe9"}, Typed{"application/json", "gzip"},
          Typed{"application/json", "identity, br"}})
        EXPECT_FALSE(can_be_told(typed)) << typed.type;
}

TEST(ModelRequest, IsNoneWhereAFileIsUploaded) {
    const auto uploads = [](std::string_view target, std::string_view type) {
        Facts facts;
        facts.assign({.method = "POST",
                      .scheme = "https",
                      .authority = "a",
                      .target = target,
                      .version = "2",
                      .fields = {{"Content-Type", type}}},
                     "a", true);
        return uploads_file(facts);
    };
    constexpr std::string_view kForm = "multipart/form-data; boundary=x";
    for (const char* path : {"/v1/files", "/openai/files", "/v1/uploads/u1/parts", "/v1/files?a=b"})
        EXPECT_TRUE(uploads(path, kForm)) << path;
    EXPECT_FALSE(uploads("/v1/files", "application/json"));
    for (const char* path : {"/v1/chat/completions", "/v1/audio/transcriptions", "/v1/uploads",
                             "/v1/chat/completions;/v1/files", "/v1/files/f1"})
        EXPECT_FALSE(uploads(path, kForm)) << path;
}

TEST(ModelRequest, IsAmbiguousWhereCaseDecides) {
    for (const char* body : {R"({"model":"small","Model":"big"})", R"({"MODEL":"big"})",
                             R"({"model":"m","toolS":[]})", "{\"tool\xc5\xbf\":[]}"})
        EXPECT_TRUE(is_ambiguous(mcp_value(body))) << body;
    for (const char* body : {R"({"model":"m","tools":[{"Name":"x"}]})", "[]", R"({"Other":1})"})
        EXPECT_FALSE(is_ambiguous(mcp_value(body))) << body;
}

TEST(ModelRequest, IsReadInEveryShape) {
    const auto chat = read_model_request(mcp_value(
        R"({"model":"m","max_completion_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"c1"}],"tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]})"));
    EXPECT_EQ(chat.model, "m");
    EXPECT_EQ(chat.max_tokens, 9);
    EXPECT_EQ(chat.messages, 2);
    EXPECT_TRUE(chat.stream);
    EXPECT_EQ(chat.tools, (std::vector<std::string>{"f", "web_search"}));
    EXPECT_EQ(chat.tool_results, (std::vector<std::string>{"c1"}));
    const auto messages = read_model_request(mcp_value(
        R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"}]}],"tools":[{"name":"g","input_schema":{}}]})"));
    EXPECT_EQ(messages.tools, (std::vector<std::string>{"g"}));
    EXPECT_EQ(messages.tool_results, (std::vector<std::string>{"t1"}));
}

struct Asked {
    const char* name;
    const char* body;
    std::string choice;
    std::vector<std::string> results, tools, servers;
};
class ModelTools : public testing::TestWithParam<Asked> {};

TEST_P(ModelTools, AreToldFromEveryShapeOfBody) {
    const auto read = read_model_request(mcp_value(GetParam().body));
    EXPECT_EQ(read.tool_choice, GetParam().choice);
    EXPECT_EQ(read.tool_results, GetParam().results);
    EXPECT_EQ(read.result_tools, GetParam().tools);
    EXPECT_EQ(read.servers, GetParam().servers);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, ModelTools,
    testing::Values(
        Asked{"Nothing", "{}", "", {}, {}, {}},
        Asked{"ChatAuto", R"({"tool_choice":"auto"})", "auto", {}, {}, {}},
        Asked{"ChatNamed", R"({"tool_choice":{"type":"function","function":{"name":"f"}}})", "f", {}, {}, {}},
        Asked{"ResponsesNamed", R"({"tool_choice":{"type":"function","name":"f"}})", "f", {}, {}, {}},
        Asked{"ResponsesBuiltIn", R"({"tool_choice":{"type":"file_search"}})", "file_search", {}, {}, {}},
        Asked{"MessagesAny", R"({"tool_choice":{"type":"any"}})", "required", {}, {}, {}},
        Asked{"MessagesNone", R"({"tool_choice":{"type":"none"}})", "none", {}, {}, {}},
        Asked{"MessagesNamed", R"({"tool_choice":{"type":"tool","name":"g"}})", "g", {}, {}, {}},
        Asked{"FunctionsOfOld", R"({"function_call":{"name":"h"},"messages":[{"role":"function","name":"h","content":"1"}]})", "h", {"h"}, {"h"}, {}},
        Asked{"ChoiceOfAnotherType", R"({"tool_choice":7})", "", {}, {}, {}},
        Asked{"ChatResults", R"({"messages":[{"role":"assistant","tool_calls":[{"id":"c1","function":{"name":"f"}},{"id":"c2","function":{"name":"g"}}]},{"role":"tool","tool_call_id":"c2"},{"role":"tool","tool_call_id":"c1"}]})", "", {"c2", "c1"}, {"g", "f"}, {}},
        Asked{"ResponsesResults", R"({"input":[{"type":"function_call_output","call_id":"x"},{"type":"function_call","call_id":"x","name":"f"},{"type":"function_call_output","call_id":"elsewhere"}]})", "", {"x", "elsewhere"}, {"f", ""}, {}},
        Asked{"MessagesResults", R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"g"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]})", "", {"t"}, {"g"}, {}},
        Asked{"ResponsesServers", R"({"tools":[{"type":"mcp","server_label":"l","server_url":"https://m.test/sse"},{"type":"mcp","connector_id":"connector_dropbox"}]})", "", {}, {}, {"https://m.test/sse", "connector_dropbox"}},
        Asked{"MessagesServers", R"({"mcp_servers":[{"type":"url","url":"https://m.test/sse","name":"m"}]})", "", {}, {}, {"https://m.test/sse"}}),
    [](const auto& info) { return info.param.name; });
// clang-format on

}  // namespace
}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// What masks make of heads, queries and bodies of HTTP.
#include "userspace/session/http/masking.h"

#include "tests/support/proto_schema.h"

#include <gtest/gtest.h>

namespace chaperone::session {
namespace {

using detect::With;

TextMasks::Source source() {
    return [](const policy::DetectMask& mask) {
        return std::make_shared<const detect::Detector>(*detect::Detector::make(mask.kinds));
    };
}

std::shared_ptr<const detect::Masker> masker() {
    return std::make_shared<const detect::Masker>(as_bytes("key"), "scope");
}

std::shared_ptr<const Masking> masking() {
    return make_masking(source(), masker());
}

policy::MaskSet masks() {
    policy::MaskSet set;
    set.json.push_back({*policy::JsonPath::parse("$..email"), With::Redact, "r"});
    set.detectors.push_back({{"US_SSN"}, With::Redact, "r"});
    return set;
}

std::string text(const http::Fields& fields) {
    std::string all;
    for (const auto& field : fields)
        all += std::string{field.name} + ": " + std::string{field.value} + "\n";
    return all;
}

TEST(HttpMasking, AsksForWhatItCanRead) {
    const http::Fields fields{{"Range", "bytes=0-9"},
                              {"If-Range", "\"x\""},
                              {"Accept-Encoding", "zstd;q=0.5, br, dcb"},
                              {"Accept", "*/*"}};
    HeadEdits edits;
    masking()->prepare(masks(), {.method = "GET", .fields = fields}, edits);
    EXPECT_EQ(text(edits.apply(fields)), "Accept: */*\naccept-encoding: zstd;q=0.5, br\n");
    HeadEdits none;
    masking()->prepare({}, {.method = "GET", .fields = fields}, none);
    EXPECT_TRUE(none.empty());
}

TEST(HttpMasking, KeepsTheResponseHonest) {
    const http::ResponseHead head{.status = 200,
                                  .fields = {{"Content-Type", "application/json"},
                                             {"Content-Length", "30"},
                                             {"ETag", "\"v1\""},
                                             {"Content-Digest", "sha-256=:x:"},
                                             {"Accept-Ranges", "bytes"},
                                             {"X-Note", "ssn 536-90-4399"},
                                             {"X-Note", "none"}}};
    HeadEdits edits;
    auto filter = masking()->response(masks(), {.method = "GET"}, head, edits);
    ASSERT_TRUE(filter && *filter);
    EXPECT_TRUE(edits.reframes());
    EXPECT_EQ(text(edits.apply(head.fields)),
              "Content-Type: application/json\nX-Note: ssn <US_SSN>\nX-Note: none\n");
    Buffer out;
    ASSERT_TRUE((*filter)->push(as_bytes(R"({"email": "a", )"), false, out));
    ASSERT_TRUE((*filter)->push(as_bytes(R"("n": "536-90-4399"})"), true, out));
    EXPECT_EQ(as_text(out), R"({"email": "[REDACTED]", "n": "<US_SSN>"})");
    EXPECT_EQ((*filter)->masked(), 2U);
}

TEST(HttpMasking, LetsNoTokensOfModelsTellTheTextAgain) {
    policy::MaskSet detects;
    detects.detectors.push_back({{"US_SSN"}, With::Redact, "r"});
    const std::string_view body =
        R"({"choices": [{"text": "536-90-4399", "logprobs": {"tokens": ["536", "-90-", "4399"]}}]})";
    const auto said = [&](std::string_view target, std::string_view type) {
        const http::ResponseHead head{.status = 200, .fields = {{"Content-Type", type}}};
        HeadEdits edits;
        auto filter =
            masking()->response(detects, {.method = "POST", .target = target}, head, edits);
        EXPECT_TRUE(filter && *filter);
        Buffer out;
        EXPECT_TRUE((*filter)->push(as_bytes(body), true, out));
        return std::string{as_text(out)};
    };
    const std::string got = said("/v1/completions?x", "application/json");
    EXPECT_EQ(got.find("4399"), std::string::npos) << got;
    EXPECT_NE(got.find(R"("text": "<US_SSN>")"), std::string::npos) << got;
    EXPECT_NE(said("/other", "application/json").find("4399"), std::string::npos);
    EXPECT_EQ(said("/v1/completions", "text/html").find("536-90-4399"), std::string::npos);
}

TEST(HttpMasking, ReachesWhatComesBehindTheBody) {
    const http::ResponseHead head{.status = 200, .fields = {{"Content-Type", "application/json"}}};
    HeadEdits edits;
    auto filter = masking()->response(masks(), {.method = "GET"}, head, edits);
    ASSERT_TRUE(filter && *filter);
    EXPECT_EQ((*filter)->trailer("x-note", "ssn 536-90-4399")->find("536-90"), std::string::npos);
    EXPECT_EQ((*filter)->trailer("x-sum", "42"), "42");
    EXPECT_EQ((*filter)->masked(), 1U);
}

TEST(HttpMasking, LetsNothingPassThatItCannotMask) {
    const auto of = [](int status, const char* type, const char* coding) {
        HeadEdits edits;
        const http::ResponseHead head{
            .status = status, .fields = {{"content-type", type}, {"content-encoding", coding}}};
        return masking()->response(masks(), {.method = "GET"}, head, edits).has_value();
    };
    EXPECT_TRUE(of(200, "application/json", ""));
    EXPECT_FALSE(of(200, "text/html", ""));
    EXPECT_FALSE(of(200, "", ""));
    EXPECT_FALSE(of(206, "application/json", ""));
    EXPECT_FALSE(of(200, "application/json", "dcb"));
    EXPECT_TRUE(of(304, "text/html", ""));
}

TEST(HttpMasking, OfRequestsReachesTheQuery) {
    HeadEdits edits;
    const http::RequestHead head{.method = "GET", .target = "/find?email=a%40b&q=1"};
    auto filter = masking()->request(masks(), head, edits);
    ASSERT_TRUE(filter);
    EXPECT_EQ(edits.target(head.target), "/find?email=%5BREDACTED%5D&q=1");
    Buffer out;
    EXPECT_TRUE((*filter)->push({}, true, out));  // no body came
    EXPECT_TRUE(out.empty());
}

TEST(HttpMasking, RefusesARequestBodyThatIsNoText) {
    HeadEdits edits;
    const http::RequestHead head{
        .method = "POST",
        .target = "/",
        .fields = {{"content-type", "application/x-protobuf"}, {"content-length", "5"}}};
    EXPECT_FALSE(masking()->request(masks(), head, edits));
}

constexpr const char* kShop = R"(
syntax = "proto3";
package shop.v1;
message Order { string email = 1; string note = 2; }
service Orders { rpc Get(Order) returns (Order); }
)";

// A message of one field.
std::string frame(int field, std::string_view text) {
    std::string message;
    message += static_cast<char>(field << 3 | 2);
    message += static_cast<char>(text.size());
    message += text;
    return std::string(4, '\0') + static_cast<char>(message.size()) + message;
}

TEST(HttpMasking, MasksCallsOfGrpcByTheirSchema) {
    const auto knowing = make_masking(source(), masker(), testing::schema_of(kShop));
    const http::RequestHead call{.method = "POST",
                                 .target = "/shop.v1.Orders/Get",
                                 .fields = {{"content-type", "application/grpc+proto"},
                                            {"grpc-accept-encoding", "zstd, gzip"}}};
    HeadEdits up;
    knowing->prepare(masks(), call, up);
    EXPECT_EQ(text(up.apply(call.fields)),
              "content-type: application/grpc+proto\n"
              "grpc-accept-encoding: identity, deflate, gzip\n");
    const http::ResponseHead head{.status = 200,
                                  .fields = {{"content-type", "application/grpc"},
                                             {"x-note", "536-90-4399"},
                                             {"X-Status-Bin", "CAUSCm5v"}}};
    for (const bool request : {true, false}) {
        HeadEdits edits;
        auto filter = request ? knowing->request(masks(), call, edits)
                              : knowing->response(masks(), call, head, edits);
        ASSERT_TRUE(filter && *filter);
        Buffer out;
        ASSERT_TRUE((*filter)->push(as_bytes(frame(1, "ann")), true, out));
        EXPECT_EQ(as_text(out), frame(1, "[REDACTED]"));
        EXPECT_EQ((*filter)->trailer("grpc-message", "of 536-90-4399"), "of <US_SSN>");
        EXPECT_EQ((*filter)->trailer("grpc-status", "5"), "5");
        EXPECT_EQ((*filter)->trailer("grpc-status-details-bin", "CAUSCm5v"), std::nullopt);
        if (!request)
            EXPECT_EQ(text(edits.apply(head.fields)),
                      "content-type: application/grpc\nx-note: <US_SSN>\n");
    }
}

TEST(HttpMasking, RefusesCallsOfGrpcThatNobodyKnows) {
    const auto knowing = make_masking(source(), masker(), testing::schema_of(kShop));
    const auto refused = [](const Masking& by, const char* target, const char* type) {
        HeadEdits edits;
        const http::ResponseHead head{.status = 200, .fields = {{"content-type", type}}};
        const auto made = by.response(masks(), {.method = "POST", .target = target}, head, edits);
        return made ? "" : made.error().message();
    };
    EXPECT_NE(refused(*knowing, "/shop.v1.Orders/Put", "application/grpc").find("lacks its method"),
              std::string::npos);
    EXPECT_NE(
        refused(*masking(), "/shop.v1.Orders/Get", "application/grpc").find("protoDescriptor"),
        std::string::npos);
    for (const char* type :
         {"application/grpc-web", "application/grpc-web-text", "application/proto",
          "application/connect+proto", "application/grpc+json"})
        EXPECT_NE(refused(*knowing, "/shop.v1.Orders/Get", type), "") << type;
}

}  // namespace
}  // namespace chaperone::session

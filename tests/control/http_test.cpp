// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/http.h"

#include <gtest/gtest.h>

namespace chaperone::control {
namespace {

using namespace std::string_literals;

Result<std::optional<HttpRequest>> read_all(std::string_view text, HttpLimits limits = {}) {
    return RequestReader{limits}.feed(as_bytes(text));
}

TEST(RequestReader, GivesTheSameWhereverItIsCut) {
    const auto input =
        "PUT /v1/a%20b?x=1&y=%26 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbodyGET"s;
    const std::size_t whole = input.size() - 3;
    for (std::size_t cut = 0; cut <= whole; ++cut) {
        RequestReader reader;
        auto first = reader.feed(as_bytes(input).first(cut));
        ASSERT_TRUE(first) << cut;
        EXPECT_EQ(first->has_value(), cut == whole) << cut;
        if (!*first) first = reader.feed(as_bytes(input).subspan(cut));
        ASSERT_TRUE(first && *first) << cut;
        const HttpRequest& request = **first;
        EXPECT_EQ(request.method, "PUT");
        EXPECT_EQ(request.path, (std::vector<std::string>{"v1", "a b"}));
        EXPECT_EQ(request.query.at(1).second, "&");
        EXPECT_EQ(request.body, "body");
        if (cut < whole) {
            EXPECT_EQ(reader.rest(), "GET");
        }
    }
}

struct Bad {
    const char* name;
    std::string input;
    Errc why;
};

class RequestReaderBad : public testing::TestWithParam<Bad> {};

TEST_P(RequestReaderBad, IsRefused) {
    const auto got = read_all(GetParam().input, {.head = 512, .body = 16});
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code, GetParam().why) << got.error().message();
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Table, RequestReaderBad,
    testing::Values(
        Bad{"NotHttp",           "\x16\x03\x01\x02\r\n\r\n"s,                                     Errc::Malformed},
        Bad{"NoPath",            "GET v1 HTTP/1.1\r\n\r\n",                                       Errc::Malformed},
        Bad{"DotDot",            "GET /v1/../x HTTP/1.1\r\n\r\n",                                 Errc::Malformed},
        Bad{"EscapedDotDot",     "GET /v1/%2e%2e HTTP/1.1\r\n\r\n",                               Errc::Malformed},
        Bad{"EmptySegment",      "GET /v1//x HTTP/1.1\r\n\r\n",                                   Errc::Malformed},
        Bad{"NulEscape",         "GET /v1/%00 HTTP/1.1\r\n\r\n",                                  Errc::Malformed},
        Bad{"CutEscape",         "GET /v1/%4 HTTP/1.1\r\n\r\n",                                   Errc::Malformed},
        Bad{"BadEscape",         "GET /v1/%zz HTTP/1.1\r\n\r\n",                                  Errc::Malformed},
        Bad{"UnknownCoding",     "POST /v1 HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",      Errc::Unsupported},
        Bad{"Chunked",           "POST /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Errc::Unsupported},
        Bad{"TwoLengths",        "POST /v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", Errc::Malformed},
        Bad{"TwoHosts",          "GET /v1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                Errc::Malformed},
        Bad{"OfAWebPage",        "GET /v1 HTTP/1.1\r\nOrigin: http://x\r\n\r\n",                  Errc::Denied},
        Bad{"HeadTooLarge",      "GET /v1 HTTP/1.1\r\nX: " + std::string(600, 'x') + "\r\n\r\n",  Errc::TooLarge},
        Bad{"BodyTooLarge",      "POST /v1 HTTP/1.1\r\nContent-Length: 17\r\n\r\n",               Errc::TooLarge}),
    [](const auto& info) { return info.param.name; });
// clang-format on

TEST(Escape, IsUndoneByParseTarget) {
    const auto odd = "a/b c?&=%\xc3\xa9:~"s;
    HttpRequest request;
    ASSERT_TRUE(parse_target("/v1/" + escape(odd) + "?k=" + escape(odd), request));
    EXPECT_EQ(request.path.at(1), odd);
    EXPECT_EQ(request.query.at(0).second, odd);
}

}  // namespace
}  // namespace chaperone::control

// SPDX-License-Identifier: Apache-2.0
// Heads that are taken, heads that are refused, and every cut of those that are taken.
#include "userspace/wire/http1/parser.h"

#include <gtest/gtest.h>

namespace chaperone::wire::http1 {
namespace {

struct Taken {
    Parsed parsed{};
    http::RequestHead head{};
    Framing framing{};
};

Taken request(std::string_view text, std::string_view scheme = "http") {
    Taken made;
    made.parsed = parse_request(as_bytes(text), scheme, {}, made.head, made.framing);
    return made;
}

const std::string_view kGood[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "get /x HTTP/1.1\r\nhost:a\r\n\r\n",
    "GET /?q=%00&b={\"a\"}|^ HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\nX: \xff\t\x80\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "GET http://a/x?y HTTP/1.1\r\nHost: A\r\n\r\n",
    "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked \r\nTE: trailers\r\n\r\n",
    "M-SEARCH!#$ / HTTP/1.1\r\nHost: [::1]:80\r\nX:\r\nY: \t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n",
};

TEST(Http1Request, IsTakenAtEveryCutOrNot) {
    for (const std::string_view text : kGood) {
        const Taken whole = request(text);
        EXPECT_EQ(whole.parsed.size, text.size()) << text << whole.parsed.fault.what;
        for (std::size_t cut = 0; cut != text.size(); ++cut) {
            const Taken part = request(text.substr(0, cut));
            EXPECT_EQ(part.parsed.size, 0u) << text << cut;
            EXPECT_EQ(part.parsed.fault.status, 0) << text << cut << part.parsed.fault.what;
        }
        const std::string more = std::string{text} + "GET";
        EXPECT_EQ(request(more).parsed.size, text.size()) << "what follows is not touched";
    }
}

struct Refused {
    std::string_view text;
    int status;
};

const Refused kBad[] = {
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000012\r\n\r\n", 400},
    // the first line
    {"GET /\r\nHost: a\r\n\r\n", 400},
    {"GET\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\nHost: a\n\n", 400},
    {"GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
    {"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
    {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n", 400},
    // fields
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n\tX: 1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX\x80: 1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: other\r\n\r\n", 417},
    // lengths
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\r\n : chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
};

TEST(Http1Request, IsRefusedWhereTwoReadersCouldDiffer) {
    for (const Refused& bad : kBad) {
        const Taken made = request(bad.text);
        EXPECT_EQ(made.parsed.size, 0u) << bad.text;
        EXPECT_EQ(made.parsed.fault.status, bad.status) << bad.text;
    }
    EXPECT_EQ(request(std::string_view{"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 37})
                  .parsed.fault.status,
              400);
}

TEST(Http1Request, IsBounded) {
    const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
    std::string many = head;
    for (int i = 0; i != 300; ++i) many += "X: 1\r\n";
    EXPECT_EQ(request(many).parsed.fault.status, 431);
    EXPECT_EQ(request(head + "X: " + std::string(70'000, 'x')).parsed.fault.status, 431);
    EXPECT_EQ(request("GET /" + std::string(20'000, 'x')).parsed.fault.status, 414);
    EXPECT_EQ(request("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n")
                  .parsed.fault.status,
              414);
}

TEST(Http1Request, SaysWhatItIs) {
    const Taken absolute = request("GET http://a:8/x?y HTTP/1.1\r\nHost: A:8\r\n\r\n");
    EXPECT_EQ(absolute.head.target, "/x?y");
    EXPECT_EQ(absolute.head.authority, "A:8");
    const Taken expects = request(kGood[14]);
    EXPECT_TRUE(expects.framing.continue_100);
    EXPECT_EQ(expects.framing.length, 3u);
    const auto keeps = [](std::string_view version, std::string_view connection) {
        return request("GET / HTTP/" + std::string{version} +
                       "\r\nHost: a\r\nConnection: " + std::string{connection} + "\r\n\r\n")
            .framing.keep_alive;
    };
    EXPECT_TRUE(keeps("1.1", "x"));
    EXPECT_FALSE(keeps("1.1", "x, Close"));
    EXPECT_FALSE(keeps("1.0", "x"));
    EXPECT_TRUE(keeps("1.0", "Keep-Alive"));
    const Taken upgrade =
        request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_TRUE(upgrade.framing.upgrade);
    EXPECT_EQ(upgrade.head.protocol, "websocket");
}

struct Answered {
    std::string_view text;
    std::string_view method;
    BodyKind body;
    std::uint64_t length;
};

TEST(Http1Response, HasTheBodyThatTheRulesGiveIt) {
    const Answered all[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", BodyKind::Length, 5},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", BodyKind::None, 0},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", BodyKind::None, 0},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", "GET", BodyKind::Chunked, 0},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET", BodyKind::None, 0},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", BodyKind::None, 0},
        {"HTTP/1.0 200 OK\r\n\r\n", "GET", BodyKind::UntilClose, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", "GET", BodyKind::None, 0},
    };
    for (const Answered& one : all) {
        http::ResponseHead head;
        Framing framing;
        const auto parsed =
            parse_response(as_bytes(one.text), one.method, false, {}, head, framing);
        EXPECT_EQ(parsed.size, one.text.size()) << one.text << parsed.fault.what;
        EXPECT_EQ(framing.body, one.body) << one.text;
        EXPECT_EQ(framing.length, one.length) << one.text;
        for (std::size_t cut = 0; cut != one.text.size(); ++cut) {
            const auto part = parse_response(as_bytes(one.text.substr(0, cut)), one.method, false,
                                             {}, head, framing);
            EXPECT_TRUE(part.size == 0 && part.fault.status == 0) << one.text << cut;
        }
    }
}

TEST(Http1Response, IsRefusedWhereTwoReadersCouldDiffer) {
    for (const auto* bad :
         {"HTTP/1.1 200 OK\nContent-Length: 5\n\n", "HTTP/2.0 200 OK\r\n\r\n",
          "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n",
          "HTTP/1.1  200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
          "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n"}) {
        http::ResponseHead head;
        Framing framing;
        const auto parsed = parse_response(as_bytes(bad), "GET", false, {}, head, framing);
        EXPECT_EQ(parsed.fault.status, 502) << bad;
    }
}

}  // namespace
}  // namespace chaperone::wire::http1

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/asked_name.h"

#include <gtest/gtest.h>

#include <fstream>

namespace chaperone::net {
namespace {

using namespace std::string_literals;

std::string name_in(std::string_view text) {
    const auto asked = asked_name(as_bytes(text));
    if (!asked) return "more";
    return asked->name.empty() ? "none" : asked->name;
}

TEST(AskedName, InHttp) {
    EXPECT_EQ(name_in("GET / HTTP/1.1\r\nhost: API.Example.com:8080\r\nA: b\r\n\r\n"),
              "api.example.com");
    EXPECT_EQ(name_in("GET http://api.example.com:80/x HTTP/1.1\r\nHost: other\r\n"),
              "api.example.com");
    EXPECT_EQ(name_in("POST /a HTTP/1.1\nHOST:\tapi.example.com.\n\n"), "api.example.com");
    for (const char* none :
         {"GET / HTTP/1.1\r\nHost: a.b\r\nHost: c.d\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n", "GET http://u@a.b/ HTTP/1.1\r\n",
          "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: *.example.com\r\n\r\n",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\n", "SSH-2.0-x\r\n", " GET /"})
        EXPECT_EQ(name_in(none), "none") << none;
    EXPECT_EQ(name_in("\0\0\0\x08\x04\xd2\x16\x2f"s), "none");  // PostgreSQL asks for TLS
}

TEST(AskedName, AsksForMoreAtEveryCut) {
    const std::string text = "GET /a/b HTTP/1.1\r\nAccept: */*\r\nHost: api.example.com\r\n\r\n";
    for (std::size_t cut = 0; cut != text.size(); ++cut)
        EXPECT_EQ(name_in(text.substr(0, cut)), "more") << cut;
    EXPECT_EQ(name_in(text), "api.example.com");
}

TEST(AskedName, DoesNotWaitForEver) {
    EXPECT_EQ(name_in(std::string(64, 'a')), "none");
    EXPECT_EQ(name_in("GET /" + std::string(kMaxAskedName, 'a')), "none");
}

TEST(AskedName, InAClientHello) {
    std::ifstream file{CHAPERONE_SOURCE_DIR "/tests/fuzz/corpus/client_hello/tls13",
                       std::ios::binary};
    const std::string hello{std::istreambuf_iterator<char>{file}, {}};
    ASSERT_GT(hello.size(), 100U);
    EXPECT_EQ(name_in(hello), "api.example.com");
    EXPECT_TRUE(asked_name(as_bytes(hello))->tls);
    for (std::size_t cut = 0; cut != hello.size(); ++cut)
        EXPECT_EQ(name_in(hello.substr(0, cut)), "more") << cut;
    EXPECT_TRUE(asked_name(as_bytes("\x16\x03\x01\x40\x01"))->tls);  // no hello, but no HTTP either
}

}  // namespace
}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http1/chunks.h"

#include <gtest/gtest.h>

namespace chaperone::wire::http1 {
namespace {

struct Read {
    std::string data;
    std::size_t used = 0;
    bool done = false;
    bool bad = false;
};

Read read(std::string_view coded, std::size_t piece = SIZE_MAX, ChunkReader reader = {}) {
    Read made;
    std::string held;
    while (!made.done && !made.bad) {
        const auto step = reader.next(as_bytes(held));
        made.data += as_text(step.data);
        made.used += step.used;
        made.done = step.done;
        made.bad = step.fault.status != 0;
        held.erase(0, step.used);
        if (step.used != 0 || made.done || made.bad) continue;
        if (coded.empty()) break;
        const std::size_t n = std::min(piece, coded.size());
        held += coded.substr(0, n);
        coded.remove_prefix(n);
    }
    return made;
}

TEST(Chunks, AreReadInAnyPieces) {
    constexpr std::string_view kBody =
        "5\r\nhello\r\n00A;name=value;x=\"y z\"\r\n, world!!!\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n";
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, SIZE_MAX}) {
        const Read made = read(kBody, piece);
        EXPECT_TRUE(made.done);
        EXPECT_EQ(made.data, "hello, world!!!");
        EXPECT_EQ(made.used, kBody.size());
    }
    for (std::size_t cut = 0; cut != kBody.size(); ++cut) {
        const Read part = read(kBody.substr(0, cut));
        EXPECT_FALSE(part.done || part.bad) << cut;
    }
    EXPECT_EQ(read("0\r\n\r\nGET").used, 5u) << "what follows is not touched";
}

TEST(Chunks, ThatAreNoneAreRefused) {
    for (const auto* bad : {"x\r\n",
                            "-1\r\n",
                            "+1\r\n",
                            " 1\r\n",
                            "1 \r\n",
                            "0x1\r\n",
                            "1;\r\n",
                            "1 ;a=b\r\n",
                            "1;=b\r\n",
                            "\r\n",
                            "1\n",
                            "1\r\na\n",
                            "1\r\nab\r\n",
                            "1\r\na\rX",
                            "fffffffffffffffff\r\n",
                            "10000000000000000\r\n",
                            "0\r\nX\r\n\r\n",
                            "0\r\n X: 1\r\n\r\n",
                            "0\r\n\n",
                            "0\r\nContent-Length: 5\r\n\r\n",
                            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
                            "0\r\nHost: a\r\n\r\n",
                            "1\r\r\n",
                            "1;a=\x01\r\n",
                            "1,2\r\n",
                            "1\t\r\n",
                            "g"})
        EXPECT_TRUE(read(bad).bad) << bad;
}

TEST(Chunks, AreBounded) {
    EXPECT_TRUE(read("1;" + std::string(5000, 'a')).bad);
    std::string flood;
    for (int i = 0; i != 100; ++i) flood += "1;" + std::string(300, 'a') + "\r\nx\r\n";
    EXPECT_TRUE(read(flood).bad);
    EXPECT_TRUE(read("0\r\nX: " + std::string(20'000, 'a')).bad);
    std::string trailers = "0\r\n";
    for (int i = 0; i != 100; ++i) trailers += "X: 1\r\n";
    EXPECT_TRUE(read(trailers).bad);
}

TEST(Chunks, AreWrittenAsTheyAreRead) {
    Buffer made;
    write_chunk_head(made, 26);
    append(made, "abcdefghijklmnopqrstuvwxyz\r\n");
    write_last_chunk(made, {{"X", "1"}});
    EXPECT_EQ(as_text(made), "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX: 1\r\n\r\n");
    EXPECT_EQ(read(as_text(made)).data.size(), 26u);
}

TEST(WriteHead, PutsItBehindWhatIsThere) {
    http::RequestHead head;
    head.method = "GET";
    head.version = "1.1";
    Buffer made = copy(as_bytes("before|"));
    write_request_head(made, head, "/a?b", {{"Host", "h"}, {"X-Empty", ""}});
    EXPECT_EQ(as_text(made), "before|GET /a?b HTTP/1.1\r\nHost: h\r\nX-Empty: \r\n\r\n");
    made.clear();
    write_request_head(made, head, "*", {});
    EXPECT_EQ(as_text(made), "GET * HTTP/1.1\r\n\r\n");
    made.clear();
    write_response_head(made, 200, "1.0", "", {{"A", "1"}, {"A", "2"}});
    EXPECT_EQ(as_text(made), "HTTP/1.0 200 \r\nA: 1\r\nA: 2\r\n\r\n");
    made.clear();
    write_last_chunk(made, {});
    EXPECT_EQ(as_text(made), "0\r\n\r\n");
}

}  // namespace
}  // namespace chaperone::wire::http1

// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/aws_chunks.h"

#include <gtest/gtest.h>

namespace chaperone::credential {
namespace {

// The example of AWS's page on signed pieces: 66,560 octets "a", in pieces of 64 KiB and 1 KiB.
AwsSigner published() {
    AwsSigner signer{"AKIAIOSFODNN7EXAMPLE",
                     Secret{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
                     {"us-east-1", "s3"},
                     "20130524T000000Z"};
    signer.authorize({"PUT",
                      "/examplebucket/chunkObject.txt",
                      "",
                      {{"content-encoding", "aws-chunked"},
                       {"content-length", "66824"},
                       {"host", "s3.amazonaws.com"},
                       {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
                       {"x-amz-date", "20130524T000000Z"},
                       {"x-amz-decoded-content-length", "66560"},
                       {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                      "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"});
    return signer;
}

std::string piece(const char* size, const std::string& signature, const std::string& data) {
    return std::string{size} + ";chunk-signature=" + signature + "\r\n" + data + "\r\n";
}

std::string body(const std::string& first, const std::string& second, const std::string& third) {
    return piece("10000", first, std::string(65536, 'a')) +
           piece("400", second, std::string(1024, 'a')) + piece("0", third, "");
}

const std::string kAnother(64, 'f');

Result<std::string> through(std::string_view text, std::size_t cut, bool trailers = false) {
    AwsChunks chunks{published(), trailers};
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += cut)
        if (auto done = chunks.push(text.substr(at, cut), false, out); !done)
            return fail(done.error());
    if (auto done = chunks.push({}, true, out); !done) return fail(done.error());
    return out;
}

TEST(AwsChunks, HaveThePublishedSignatures) {
    const std::string sent = body(kAnother, kAnother, kAnother);
    const std::string wanted =
        body("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
             "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
             "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    ASSERT_EQ(wanted.size(), 66824U);
    for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, std::size_t{65536}, sent.size()})
        EXPECT_EQ(through(sent, cut).value_or("?"), wanted) << cut;
}

// The example of the page on trailers, whose head is another: only that they are signed in a chain,
// and that nothing else of the body changes, wherever it is cut.
TEST(AwsChunks, SignTrailers) {
    const std::string sent =
        piece("3", kAnother, "abc") + "0;chunk-signature=" + kAnother +
        "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + kAnother + "\r\n\r\n";
    auto signer = published();
    const std::string first = signer.sign_chunk("abc"), last = signer.sign_chunk("");
    const std::string trailer = signer.sign_trailer("x-amz-checksum-crc32c:sOO8/Q==\n");
    const std::string wanted =
        piece("3", first, "abc") + "0;chunk-signature=" + last +
        "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + trailer + "\r\n\r\n";
    for (std::size_t cut = 1; cut <= sent.size(); ++cut)
        EXPECT_EQ(through(sent, cut, true).value_or("?"), wanted) << cut;
}

TEST(AwsChunks, RefuseWhatIsNoSuchBody) {
    const std::string end = piece("0", kAnother, "");
    const std::string trailer = "0;chunk-signature=" + kAnother + "\r\na:b\r\n";
    const std::pair<std::string, bool> all[]{
        {"", false},
        {"3\r\nabc\r\n" + end, false},  // no signature
        {"3;chunk-signature=abc\r\nabc\r\n" + end, false},
        {"x;chunk-signature=" + kAnother + "\r\n", false},
        {";chunk-signature=" + kAnother + "\r\n", false},
        {"-3;chunk-signature=" + kAnother + "\r\nabc\r\n" + end, false},
        {"3;chunk-signature=" + kAnother + ";x=y\r\nabc\r\n" + end, false},
        {piece("2", kAnother, "abc") + end, false},
        {piece("4", kAnother, "abc") + end, false},
        {piece("3", kAnother, "abc"), false},  // ends early
        {end + "x", false},
        {trailer + "\r\n", false},  // nobody said that there are any
        {trailer + "\r\n", true},   // not signed
        {end, true},
        {trailer + "no field\r\n\r\n", true},
        {trailer + "x-amz-trailer-signature:00\r\n\r\n", true},
        {trailer + "x-amz-trailer-signature:" + kAnother + "\r\nc:d\r\n\r\n", true},
        {std::string(5000, '0'), false},
        {"ffffffffffffffffff;chunk-signature=" + kAnother + "\r\n", false},
    };
    for (const auto& [text, trailers] : all) {
        const auto got = through(text, std::max<std::size_t>(text.size(), 1), trailers);
        ASSERT_FALSE(got) << text;
        EXPECT_EQ(got.error().code, Errc::Malformed) << text;
        EXPECT_FALSE(through(text, 1, trailers)) << text;
    }
}

TEST(AwsChunks, HoldNoMoreThanALimit) {
    const auto got = through("400001;chunk-signature=" + kAnother + "\r\n", 8);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::TooLarge);
}

}  // namespace
}  // namespace chaperone::credential

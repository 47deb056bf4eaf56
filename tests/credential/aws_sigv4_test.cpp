// SPDX-License-Identifier: Apache-2.0
// The examples of AWS's documentation and of its published test suite.
#include "userspace/credential/aws_sigv4.h"

#include <gtest/gtest.h>

namespace chaperone::credential {
namespace {

constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Example {
    const char* name;
    const char* method;
    const char* path;
    const char* query;
    std::vector<std::pair<std::string, std::string>> fields;
    const char* payload;
    const char* signature;
};
class Suite : public testing::TestWithParam<Example> {};

TEST_P(Suite, HasThePublishedSignature) {
    const Example& e = GetParam();
    AwsRequest request{e.method, e.path, e.query, e.fields, e.payload};
    request.fields.emplace_back("host", "example.amazonaws.com");
    request.fields.emplace_back("x-amz-date", "20150830T123600Z");
    const AwsScope scope{"us-east-1", "service"};
    AwsSigner signer{"AKIDEXAMPLE", Secret{"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, scope,
                     "20150830T123600Z"};
    signer.authorize(request);
    EXPECT_EQ(signer.signature(), e.signature) << aws_canonical(request, scope);
}

INSTANTIATE_TEST_SUITE_P(
    AwsSigV4, Suite,
    testing::Values(Example{"get-vanilla",
                            "GET",
                            "/",
                            "",
                            {},
                            kEmpty,
                            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                    Example{"get-vanilla-query-order-key-case",
                            "GET",
                            "/",
                            "Param2=value2&Param1=value1",
                            {},
                            kEmpty,
                            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
                    Example{"get-utf8",
                            "GET",
                            "/\xe1\x88\xb4",
                            "",
                            {},
                            kEmpty,
                            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
                    Example{"get-relative",
                            "GET",
                            "/example/..",
                            "",
                            {},
                            kEmpty,
                            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                    Example{"get-slashes",
                            "GET",
                            "//",
                            "",
                            {},
                            kEmpty,
                            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                    Example{"post-vanilla",
                            "POST",
                            "/",
                            "",
                            {},
                            kEmpty,
                            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
                    Example{"post-x-www-form-urlencoded",
                            "POST",
                            "/",
                            "",
                            {{"content-type", "application/x-www-form-urlencoded"}},
                            "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
                            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"}),
    [](const auto& tested) {
        std::string name = tested.param.name;
        std::erase(name, '-');
        return name;
    });

struct Vector {
    const char* service;
    const char* path;
    const char* query;
    std::vector<std::pair<std::string, std::string>> fields;
    const char* payload;
    const char* signature;
};

// What botocore 1.43 signs for the same key, date and host.
TEST(AwsSigV4, AgreesWithBotocore) {
    const Vector all[]{
        {"service",
         "/a%20b/c%2Fd~e",
         "",
         {},
         kEmpty,
         "554bc3bdc7d8e715192e0e25579ec5de13619810fcc649b82c536a0247f31a72"},
        {"service",
         "/a/./b//c/../d/",
         "",
         {},
         kEmpty,
         "fc87438582477f9ca8c8209b32704e0e9f5b46786f0101a26c46e85478a0f14f"},
        {"service",
         "/",
         "b=%2F%20x&a=1&a=0&flag&c=~-",
         {},
         kEmpty,
         "fe51e8db6c0aa559bdb79bc9dd42e30b53c6dc7b633bd50ab0118f647226430e"},
        {"service",
         "/",
         "",
         {{"x-amz-meta-a", "one  two   three"}},
         kEmpty,
         "d002110eac2316865102f9f547fcb7766672364bc66ce623c4862601ec49f09c"},
        {"s3",
         "/bucket/a%20b//c/../d%2B%28e%29",
         "",
         {{"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}},
         "UNSIGNED-PAYLOAD",
         "f99b74e4e6b3cf13723cb087559b6ccf0d0dac240a37e7adc4363aa4dfb31fd9"},
        {"s3",
         "/bucket",
         "list-type=2&prefix=a%2Fb&delimiter=%2F&uploads",
         {{"x-amz-content-sha256", kEmpty}},
         kEmpty,
         "0c6c6fa0279f50ae6ea02080f25fb8d1ec79861469dc5d75f94f7a450e0b69c9"},
    };
    for (const Vector& v : all) {
        AwsRequest request{"GET", v.path, v.query, v.fields, v.payload};
        request.fields.emplace_back("host", "example.amazonaws.com");
        request.fields.emplace_back("x-amz-date", "20150830T123600Z");
        const AwsScope scope{"us-east-1", v.service};
        AwsSigner signer{"AKIDEXAMPLE", Secret{"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, scope,
                         "20150830T123600Z"};
        signer.authorize(request);
        EXPECT_EQ(signer.signature(), v.signature) << aws_canonical(request, scope);
    }
}

AwsSigner s3() {
    return {"AKIAIOSFODNN7EXAMPLE",
            Secret{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
            {"us-east-1", "s3"},
            "20130524T000000Z"};
}

TEST(AwsSigV4, OfS3) {
    auto signer = s3();
    const auto value = signer.authorize({"GET",
                                         "/test.txt",
                                         "",
                                         {{"host", "examplebucket.s3.amazonaws.com"},
                                          {"range", "bytes=0-9"},
                                          {"x-amz-content-sha256", kEmpty},
                                          {"x-amz-date", "20130524T000000Z"}},
                                         kEmpty});
    EXPECT_EQ(
        value,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature="
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(AwsSigV4, OfABodyInPieces) {
    auto signer = s3();
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
    EXPECT_EQ(signer.signature(),
              "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    EXPECT_EQ(signer.sign_chunk(std::string(65536, 'a')),
              "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    EXPECT_EQ(signer.sign_chunk(std::string(1024, 'a')),
              "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    EXPECT_EQ(signer.sign_chunk(""),
              "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
}

TEST(AwsSigV4, FindsTheScopeOfAnotherKeysSignature) {
    const auto scope = aws_scope_in(
        "AWS4-HMAC-SHA256 Credential=placeholder/20250101/eu-central-1/execute-api/aws4_request, "
        "SignedHeaders=host, Signature=00");
    EXPECT_EQ(scope.region, "eu-central-1");
    EXPECT_EQ(scope.service, "execute-api");
    for (const char* none :
         {"", "Bearer x", "/aws4_request", "a/b\n/s3/aws4_request", "//s3/aws4_request"})
        EXPECT_EQ(aws_scope_in(none).service, "") << none;
}

}  // namespace
}  // namespace chaperone::credential

// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4: what makes a request ours. Pure.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html, and for bodies that
// are signed piece by piece
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/secret.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::credential {

struct AwsScope {
    std::string region{};   // "eu-central-1"
    std::string service{};  // "s3", "execute-api"
};

struct AwsRequest {
    std::string_view method{};
    std::string_view path{};   // as sent: "/a%20b"
    std::string_view query{};  // as sent, without "?"
    // Names in lower case, values without spaces around them: those that are signed, host and
    // x-amz-date among them.
    std::vector<std::pair<std::string, std::string>> fields{};
    std::string payload{};  // x-amz-content-sha256: 64 hex digits, or UNSIGNED-PAYLOAD and the like
};

std::string aws_date(Time time);  // "20130524T000000Z"
// What is hashed is the canonical request; exposed for tests.
std::string aws_canonical(const AwsRequest& request, const AwsScope& scope);

class AwsSigner {
public:
    // `date` as aws_date() gives it.
    AwsSigner(std::string access_key, const Secret& secret_key, AwsScope scope, std::string date);

    // The value of Authorization; signature() is in it.
    std::string authorize(const AwsRequest& request);
    const std::string& signature() const noexcept { return signature_; }
    // Of the next piece of a body, each after the one before: STREAMING-AWS4-HMAC-SHA256-PAYLOAD.
    std::string sign_chunk(std::string_view data);
    // Of the fields behind the last piece, as "name:value\n" each: …-PAYLOAD-TRAILER.
    std::string sign_trailer(std::string_view fields);

private:
    std::string sign(std::string_view text) const;
    std::string scope_text() const;

    std::string access_key_;
    Secret key_;  // derived for the day, region and service
    AwsScope scope_;
    std::string date_;
    std::string signature_{};
};

// The scope in an Authorization or X-Amz-Credential that was made with another key: an SDK knows
// its region and service. Empty fields: it says none.
AwsScope aws_scope_in(std::string_view authorization);

}  // namespace chaperone::credential

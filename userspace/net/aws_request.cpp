// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/aws_request.h"

#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"
#include "userspace/credential/aws_chunks.h"

#include <algorithm>
#include <array>

namespace chaperone::net {
namespace {

using policy::http::Body;
using policy::http::Facts;
using session::HeadEdits;
using Step = session::CredentialInjector::Step;

constexpr std::string_view kUnsigned = "UNSIGNED-PAYLOAD";
constexpr std::string_view kInPieces = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
constexpr std::string_view kWithTrailers = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
constexpr std::string_view kUnsignedPieces = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

// A signature in the query, which would stand beside ours.
constexpr std::array<std::string_view, 7> kPresigned{
    "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",          "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Security-Token"};

bool is_hash(std::string_view text) {
    return text.size() == 64 && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

class SignedAnew final : public session::BodyFilter {
public:
    explicit SignedAnew(credential::AwsChunks chunks) : chunks_(std::move(chunks)) {}
    Result<> push(Bytes data, bool last, Buffer& out) override {
        text_.clear();
        auto done = chunks_.push(as_text(data), last, text_);
        append(out, text_);
        return done;
    }
    bool keeps_length() const override { return true; }

private:
    credential::AwsChunks chunks_;
    std::string text_{};
};

// The payload's part of the signature, or nothing: the body must be seen. What the agent says of
// its body is what the server holds it against, and nothing is signed that was not decided.
Result<std::optional<std::string>> payload(const Facts& facts, bool s3) {
    const std::string sent = facts.field("x-amz-content-sha256").value_or("");
    if (sent == kInPieces || sent == kWithTrailers || sent == kUnsignedPieces || is_hash(sent))
        return sent;
    if (sent.starts_with("STREAMING-"))
        return fail(Errc::Unsupported, "a body that is signed as " + sent);
    if (facts.body.state == Body::State::Whole) {
        const Digest digest = sha256(as_bytes(facts.body.data));
        return to_hex(digest);
    }
    // Within TLS, S3 takes a body that is not signed.
    if (s3 && facts.head().scheme == "https") return std::string{kUnsigned};
    return std::optional<std::string>{};
}

Result<credential::AwsScope> scope_of(const HttpCredential& credential, const Facts& facts) {
    credential::AwsScope scope = credential.scope;
    auto own = credential::aws_scope_in(facts.field("authorization").value_or(""));
    if (own.region.empty())
        for (const auto& [name, value] : Facts::pairs(facts.raw_query()))
            if (name == "X-Amz-Credential") own = credential::aws_scope_in(value);
    if (scope.region.empty()) scope.region = own.region;
    if (scope.service.empty()) scope.service = own.service;
    if (scope.region.empty() || scope.service.empty())
        return fail(Errc::Invalid, "region and service are not known");
    return scope;
}

}  // namespace

Result<AwsSigned> sign_for_aws(const HttpCredential& credential, const Facts& facts, Time now,
                               HeadEdits& edits) {
    const auto scope = scope_of(credential, facts);
    if (!scope) return fail(scope.error());
    const auto hashed = payload(facts, scope->service == "s3");
    if (!hashed) return fail(hashed.error());
    const std::optional<std::string>& hash = *hashed;
    if (!hash) return AwsSigned{.step = Step::NeedBody};
    const std::string date = credential::aws_date(now);
    edits.set("x-amz-date", date);
    edits.set("x-amz-content-sha256", *hash);
    if (!credential.session_token.empty())
        edits.set("x-amz-security-token", credential.session_token.expose());
    const std::string query = query_without(facts.raw_query(), [](std::string_view name) {
        return std::ranges::find(kPresigned, name) != kPresigned.end();
    });
    if (query != facts.raw_query())
        edits.set_target(std::string{facts.raw_path()} + (query.empty() ? "" : "?" + query));
    credential::AwsRequest request{
        .method = facts.head().method, .path = facts.raw_path(), .query = query, .payload = *hash};
    request.fields.emplace_back("host", facts.head().authority);
    for (const auto& field : edits.apply(facts.head().fields)) {
        const std::string name = http::lower(field.name);
        if (name == "content-type" || name == "content-md5" || name.starts_with("x-amz-"))
            request.fields.emplace_back(name, http::trim(field.value));
    }
    credential::AwsSigner signer{credential.access_key, credential.secret_key, *scope, date};
    edits.set("authorization", signer.authorize(request));
    AwsSigned made{.step = Step::Done};
    if (*hash == kInPieces || *hash == kWithTrailers)
        made.body = std::make_unique<SignedAnew>(
            credential::AwsChunks{std::move(signer), *hash == kWithTrailers});
    return made;
}

}  // namespace chaperone::net

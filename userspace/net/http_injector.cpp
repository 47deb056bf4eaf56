// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/encoding.h"
#include "userspace/net/http_credential.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/shared.h"
#include "userspace/session/http/blotter.h"

#include <algorithm>
#include <array>

namespace chaperone::net {
namespace {

using policy::http::Body;
using policy::http::Facts;
using session::HeadEdits;

// What an agent may log in with on its own. Where we log in for it, none of it leaves.
constexpr std::array<std::string_view, 11> kOwn{
    "authorization",  "proxy-authorization", "cookie",
    "cookie2",        "x-api-key",           "api-key",
    "x-auth-token",   "x-access-token",      "x-amz-security-token",
    "x-goog-api-key", "private-token"};

constexpr std::string_view kUnsigned = "UNSIGNED-PAYLOAD";
constexpr std::string_view kNoChunks = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

constexpr std::array<std::string_view, 2> kBegun{"set-cookie", "set-cookie2"};

bool is_coded(const http::ResponseHead& head) {
    const auto coding = http::find(head.fields, "content-encoding");
    return coding && !http::same(http::trim(*coding), "identity");
}

// What programs echo requests in; a search of pictures and archives would find nothing.
bool is_text(const http::ResponseHead& head) {
    const auto type = http::find(head.fields, "content-type");
    if (!type) return true;
    const std::string name = http::lower(*type);
    for (const std::string_view part : {"text/", "json", "xml", "javascript", "x-www-form"})
        if (name.contains(part)) return true;
    return false;
}

std::string encoded(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        const auto octet = static_cast<unsigned char>(c);
        if (plain)
            out += c;
        else
            ((out += '%') += kDigits[octet >> 4]) += kDigits[octet & 15];
    }
    return out;
}

// The query without the parameters whose decoded names `drop` takes.
template <class Drop>
std::string filtered(std::string_view query, Drop drop) {
    std::string out;
    while (!query.empty()) {
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(end == query.npos ? query.size() : end + 1);
        const auto decoded = Facts::pairs(pair.substr(0, pair.find('=')));
        if (!decoded.empty() && drop(decoded.front().first)) continue;
        if (!out.empty()) out += '&';
        out += pair;
    }
    return out;
}

class Injector final : public session::CredentialInjector {
public:
    Injector(Tokens& tokens, std::shared_ptr<const HttpCredential> credential, LivePtr live)
        : tokens_(tokens), credential_(std::move(credential)), live_(std::move(live)) {}

    Result<Step> inject(const Facts& facts, Time now, HeadEdits& edits) override {
        for (const std::string_view name : kOwn) edits.remove(name);
        switch (credential_->kind) {
        case HttpCredential::Kind::Field:
            edits.set(credential_->name, credential_->value.expose());
            return Step::Done;
        case HttpCredential::Kind::Query: return query(facts, edits);
        case HttpCredential::Kind::Oauth2: return oauth(now, edits);
        case HttpCredential::Kind::Aws: return sign(facts, now, edits);
        }
        return fail(Errc::Unsupported, "credential");
    }

    // A session with the server that our login began would be ours, too: its cookies do not come
    // through, as those of the agent do not go.
    std::unique_ptr<session::BodyFilter> response(const http::ResponseHead& head,
                                                  HeadEdits& edits) override {
        for (const std::string_view name : kBegun) edits.remove(name);
        const std::vector<std::string> secrets = texts();
        for (const http::Field& field : head.fields) {
            std::string value{field.value};
            if (session::blot(value, secrets)) edits.set(field.name, value);
        }
        if (head.status < 200 || is_coded(head) || !is_text(head)) return nullptr;
        return session::make_blotter(secrets);
    }

    void rejected() override {
        if (credential_->source && !token_.empty()) tokens_.reject(*credential_->source, token_);
    }

private:
    std::vector<std::string> texts() const {
        std::vector<std::string> out;
        for (const Secret& secret : credential_->blotted) out.emplace_back(secret.expose());
        if (!token_.empty()) out.push_back(token_);
        return out;
    }

    Result<Step> query(const Facts& facts, HeadEdits& edits) {
        std::string query = filtered(
            facts.raw_query(), [&](const std::string& name) { return name == credential_->name; });
        if (!query.empty()) query += '&';
        query += encoded(credential_->name) + '=' + encoded(credential_->value.expose());
        edits.set_target(std::string{facts.raw_path()} + '?' + query);
        return Step::Done;
    }

    Result<Step> oauth(Time now, HeadEdits& edits) {
        auto token = tokens_.get(credential_->source, now, [live = live_] {
            live->post([](SessionRunner& runner) { runner.wake(); });
        });
        if (!token) return fail(token.error());
        const std::optional<std::string>& found = *token;
        if (!found) return Step::Wait;
        token_ = *found;
        edits.set("authorization", "Bearer " + token_);
        return Step::Done;
    }

    // The payload's part of the signature, or nothing: the body must be seen.
    std::optional<std::string> payload(const Facts& facts, bool s3) const {
        if (facts.body.state == Body::State::Whole) {
            const Digest digest = sha256(as_bytes(facts.body.data));
            return to_hex(digest);
        }
        const auto sent = facts.field("x-amz-content-sha256");
        if (s3 && sent && *sent == kNoChunks) return std::string{kNoChunks};
        // Within TLS, S3 takes a body that is not signed.
        if (s3 && facts.head().scheme == "https") return std::string{kUnsigned};
        return std::nullopt;
    }

    Result<Step> sign(const Facts& facts, Time now, HeadEdits& edits) {
        credential::AwsScope scope = credential_->scope;
        const auto own = credential::aws_scope_in(facts.field("authorization").value_or(""));
        if (scope.region.empty()) scope.region = own.region;
        if (scope.service.empty()) scope.service = own.service;
        if (scope.region.empty() || scope.service.empty())
            return fail(Errc::Invalid, "region and service are not known");
        const bool s3 = scope.service == "s3";
        const auto sent = facts.field("x-amz-content-sha256");
        // Its pieces are signed one by one with the agent's key.
        if (sent && sent->starts_with("STREAMING-AWS4-"))
            return fail(Errc::Unsupported, "a body that is signed in pieces");
        const auto hash = payload(facts, s3);
        if (!hash) return Step::NeedBody;
        const std::string date = credential::aws_date(now);
        edits.set("x-amz-date", date);
        edits.set("x-amz-content-sha256", *hash);
        if (!credential_->session_token.empty())
            edits.set("x-amz-security-token", credential_->session_token.expose());
        const std::string query = filtered(facts.raw_query(), [](const std::string& name) {
            return name == "X-Amz-Algorithm" || name == "X-Amz-Credential" ||
                   name == "X-Amz-Date" || name == "X-Amz-Expires" ||
                   name == "X-Amz-SignedHeaders" || name == "X-Amz-Signature" ||
                   name == "X-Amz-Security-Token";
        });
        if (query != facts.raw_query())
            edits.set_target(std::string{facts.raw_path()} + (query.empty() ? "" : "?" + query));
        credential::AwsRequest request{.method = facts.head().method,
                                       .path = facts.raw_path(),
                                       .query = query,
                                       .payload = *hash};
        request.fields.emplace_back("host", facts.head().authority);
        for (const auto& field : edits.apply(facts.head().fields)) {
            const std::string name = http::lower(field.name);
            if (name == "content-type" || name == "content-md5" || name.starts_with("x-amz-"))
                request.fields.emplace_back(name, http::trim(field.value));
        }
        credential::AwsSigner signer{credential_->access_key, credential_->secret_key, scope, date};
        edits.set("authorization", signer.authorize(request));
        return Step::Done;
    }

    Tokens& tokens_;
    std::shared_ptr<const HttpCredential> credential_;
    LivePtr live_;
    std::string token_;  // the last that was used
};

}  // namespace

std::shared_ptr<session::CredentialInjector> make_injector(
    Shared& shared, std::shared_ptr<const HttpCredential> credential, LivePtr live) {
    return std::make_shared<Injector>(*shared.tokens, std::move(credential), std::move(live));
}

}  // namespace chaperone::net

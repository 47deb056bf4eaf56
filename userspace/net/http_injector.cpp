// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/percent.h"
#include "userspace/base/steady.h"
#include "userspace/net/aws_request.h"
#include "userspace/net/http_credential.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/shared.h"
#include "userspace/session/http/blotter.h"
#include "userspace/session/http/masking.h"

#include <algorithm>
#include <array>

namespace chaperone::net {
namespace {

using policy::http::Facts;
using session::HeadEdits;

// What an agent may log in with on its own. Where we log in for it, none of it leaves.
constexpr std::array<std::string_view, 11> kOwn{
    "authorization",  "proxy-authorization", "cookie",
    "cookie2",        "x-api-key",           "api-key",
    "x-auth-token",   "x-access-token",      "x-amz-security-token",
    "x-goog-api-key", "private-token"};

constexpr std::array<std::string_view, 2> kBegun{"set-cookie", "set-cookie2"};

std::string joined(const http::Fields& fields, std::string_view name) {
    std::string all;
    for (const http::Field& field : fields)
        if (http::same(field.name, name))
            all += (all.empty() ? "" : ", ") + std::string{http::trim(field.value)};
    return all;
}

class Injector final : public session::CredentialInjector {
public:
    Injector(Tokens& tokens, std::shared_ptr<const HttpCredential> credential, LivePtr live)
        : tokens_(tokens), credential_(std::move(credential)), live_(std::move(live)) {}

    Result<Step> inject(const Facts& facts, Time now, HeadEdits& edits) override {
        for (const std::string_view name : kOwn) edits.remove(name);
        session::accept_spoken_codings(facts.head(), edits);
        switch (credential_->kind) {
        case HttpCredential::Kind::Field:
            edits.set(credential_->name, credential_->value.expose());
            return Step::Done;
        case HttpCredential::Kind::Query: return query(facts, edits);
        case HttpCredential::Kind::Oauth2: return oauth(edits);
        case HttpCredential::Kind::Aws: return sign(facts, now, edits);
        }
        return fail(Errc::Unsupported, "credential");
    }

    std::unique_ptr<session::BodyFilter> request() override { return std::move(body_); }

    // A session with the server that our login began would be ours, too: its cookies do not come
    // through, as those of the agent do not go.
    std::unique_ptr<session::BodyFilter> response(const http::ResponseHead& head,
                                                  HeadEdits& edits) override {
        for (const std::string_view name : kBegun)
            if (http::find(head.fields, name)) edits.remove(name);
        const std::vector<std::string> secrets = texts();
        blot_fields(head.fields, secrets, edits);
        if (head.status < 200) return nullptr;
        const std::string codings = joined(head.fields, "content-encoding");
        if (codings.empty() || http::same(codings, "identity"))
            return session::make_blotter(secrets);
        auto within = session::make_blotter(secrets, codings);
        // In a coding that nobody offered to read, it is searched as it stands.
        if (!within) return session::make_blotter(secrets);
        if (*within) session::reframe_body(edits);
        return *std::move(within);
    }

    bool scrub(std::span<std::byte> text) override {
        return session::blot({reinterpret_cast<char*>(text.data()), text.size()}, texts());
    }

    void rejected() override {
        if (credential_->source && !token_.empty()) tokens_.reject(*credential_->source, token_);
    }

private:
    std::vector<std::string> texts() const {
        std::vector<std::string> out;
        for (const Secret& secret : credential_->blotted) out.emplace_back(secret.expose());
        for (const std::string& spelling : token_spellings_) out.push_back(spelling);
        return out;
    }

    // All fields of a name together, because edits are by name.
    static void blot_fields(const http::Fields& fields, const std::vector<std::string>& secrets,
                            HeadEdits& edits) {
        for (const http::Field& field : fields) {
            std::string probe{field.value};
            if (!session::blot(probe, secrets)) continue;
            edits.remove(field.name);
            for (const http::Field& other : fields) {
                if (!http::same(other.name, field.name)) continue;
                std::string value{other.value};
                (void)session::blot(value, secrets);
                edits.add(other.name, value);
            }
        }
    }

    Result<Step> query(const Facts& facts, HeadEdits& edits) {
        std::string query = query_without(
            facts.raw_query(), [&](std::string_view name) { return name == credential_->name; });
        if (!query.empty()) query += '&';
        query +=
            percent_encoded(credential_->name) + '=' + percent_encoded(credential_->value.expose());
        edits.set_target(std::string{facts.raw_path()} + '?' + query);
        return Step::Done;
    }

    Result<Step> oauth(HeadEdits& edits) {
        auto token = tokens_.get(credential_->source, steady_now(), [live = live_] {
            live->post([](SessionRunner& runner) { runner.wake(); });
        });
        if (!token) return fail(token.error());
        const std::optional<std::string>& found = *token;
        if (!found) return Step::Wait;
        if (token_ != *found) {
            token_ = *found;
            token_spellings_ = session::spellings(token_);
        }
        edits.set("authorization", "Bearer " + token_);
        return Step::Done;
    }

    Result<Step> sign(const Facts& facts, Time now, HeadEdits& edits) {
        auto made = sign_for_aws(*credential_, facts, now, edits);
        if (!made) return fail(made.error());
        body_ = std::move(made->body);
        return made->step;
    }

    Tokens& tokens_;
    std::shared_ptr<const HttpCredential> credential_;
    LivePtr live_;
    std::string token_;  // the last that was used
    std::vector<std::string> token_spellings_{};
    std::unique_ptr<session::BodyFilter> body_{};
};

}  // namespace

std::shared_ptr<session::CredentialInjector> make_injector(
    Shared& shared, std::shared_ptr<const HttpCredential> credential, LivePtr live) {
    return std::make_shared<Injector>(*shared.tokens, std::move(credential), std::move(live));
}

}  // namespace chaperone::net

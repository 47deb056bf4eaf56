// SPDX-License-Identifier: Apache-2.0
// What policy sees of a request, and what rules make of it.
#include "policy/http/facts.h"
#include "tests/policy/http/support.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace chaperone::policy::http {
namespace {

RequestHead head(std::string_view method, std::string_view target,
                 chaperone::http::Fields fields = {}) {
    return {.method = method,
            .scheme = "https",
            .authority = "API.example.com:443",
            .target = target,
            .version = "1.1",
            .fields = std::move(fields)};
}

TEST(HttpFacts, AreOfTheHead) {
    Facts facts;
    facts.assign(head("POST", "/A/b?x=1&x=%32&y",
                      {{"Content-Type", "Application/JSON; charset=utf-8"},
                       {"X-A", "1"},
                       {"x-a", "2"},
                       {"Cookie", "a=b; c=d"}}),
                 "api.example.com.", true);
    EXPECT_EQ(facts.host(), "api.example.com");
    EXPECT_EQ(facts.port(), 443);
    EXPECT_FALSE(facts.fronted());
    EXPECT_EQ(facts.raw_path(), "/A/b");
    EXPECT_EQ(facts.raw_query(), "x=1&x=%32&y");
    EXPECT_EQ(facts.url(), "https://API.example.com:443/A/b?x=1&x=%32&y");
    EXPECT_EQ(facts.content_type(), "application/json");
    EXPECT_EQ(facts.field("x-A"), "1, 2");
    EXPECT_EQ(facts.field("x-b"), std::nullopt);
    EXPECT_EQ(facts.body.state, Body::State::NotSeen);
    EXPECT_EQ(Facts::pairs("x=1&x=%32&y&&=z").size(), 4u);
    EXPECT_EQ(facts.cookies().size(), 2u);
    EXPECT_EQ(facts.readings().size(), 2u) << "as sent, and in lower case";
}

TEST(HttpFacts, HaveTheReadingsOfLooseServersForWhatForbids) {
    for (const auto* raw :
         {"/admin.", "/admin..", "/admin%20", "/Admin.;x=1/", "/admin%3bx=1/", "/x/..;%2fadmin"}) {
        Facts facts;
        facts.assign(head("GET", raw), "", false);
        EXPECT_TRUE(std::ranges::any_of(facts.readings(), [](const Reading& one) {
            return one.only_forbids && (one.path == "/admin" || one.path == "/admin/");
        })) << raw;
    }
}

TEST(HttpFacts, HaveTheReadingsOfAllFieldsThatNameAPath) {
    for (const chaperone::http::Fields& fields :
         {chaperone::http::Fields{{"X-Original-URL", "/a"}, {"x-original-url", "/admin"}},
          chaperone::http::Fields{{"X-Original-URL", "/admin"}, {"X-Original-URL", "/a"}},
          chaperone::http::Fields{{"X_Rewrite-Url", "/admin?x"}}}) {
        Facts facts;
        facts.assign(head("GET", "/", fields), "", false);
        EXPECT_TRUE(std::ranges::any_of(facts.readings(), [](const Reading& one) {
            return one.only_forbids && one.path == "/admin";
        })) << fields.front().name;
    }
}

TEST(HttpFacts, OfTheSameHeadAgainAreTheSame) {
    Facts facts;
    facts.assign(head("GET", "/a/../b", {{"X-A", "1"}}), "other.example.com", false);
    const auto paths = facts.readings().size();
    facts.assign(head("GET", "/a/../b", {{"x-a", "1"}}), "", true);
    EXPECT_FALSE(facts.fronted()) << "the name is not the head's";
    EXPECT_EQ(facts.body.state, Body::State::NotSeen);
    EXPECT_EQ(facts.readings().size(), paths);
    facts.assign(head("GET", "/c", {{"x-a", "1"}}), "", false);
    EXPECT_EQ(facts.readings().front().path, "/c");
    facts.assign(head("GET", "/c", {{"x-a", "2"}}), "", false);
    EXPECT_EQ(facts.field("x-a"), "2");
}

TEST(HttpFacts, HaveTheHostOfWhatIsOne) {
    Facts facts;
    RequestHead of = head("GET", "/");
    of.authority = "[::ffff:10.0.0.1]:8443";
    facts.assign(of, "10.0.0.1", false);
    EXPECT_EQ(facts.host(), "10.0.0.1");
    EXPECT_EQ(facts.port(), 8443);
    EXPECT_FALSE(facts.fronted());
    of.authority = "0x0a.1";
    facts.assign(of, "", false);
    EXPECT_EQ(facts.host(), "");
    EXPECT_EQ(facts.port(), 443);
}

TEST(HttpFacts, SeeAnotherHostThanWasAskedFor) {
    Facts facts;
    facts.assign(head("GET", "/"), "other.example.com", false);
    EXPECT_TRUE(facts.fronted());
    facts.assign(head("GET", "/"), "", false);
    EXPECT_FALSE(facts.fronted()) << "nothing is known to compare with";
}

TEST(HttpFacts, DigestIsOfWhatARequestMeans) {
    const auto digest = [](std::string_view method, std::string_view target,
                           chaperone::http::Fields fields, std::string body = {}) {
        Facts facts;
        facts.assign(head(method, target, std::move(fields)), "", false);
        facts.body.data = std::move(body);
        return facts.digest();
    };
    const Digest one = digest("POST", "/a", {{"X-Trace", "1"}}, "x");
    EXPECT_EQ(one, digest("POST", "/a", {{"X-Trace", "2"}}, "x"));
    EXPECT_NE(one, digest("PUT", "/a", {}, "x"));
    EXPECT_NE(one, digest("POST", "/a?b", {}, "x"));
    EXPECT_NE(one, digest("POST", "/a", {}, "y"));
    EXPECT_NE(one, digest("POST", "/a", {{"content-type", "text/plain"}}, "x"));
    EXPECT_NE(one, digest("POST", "/a", {{"X-HTTP-Method-Override", "DELETE"}}, "x"));
    EXPECT_NE(one, digest("POST", "/a", {{"x-amz-acl", "public-read"}}, "x"));
    EXPECT_NE(one, digest("POST", "/a", {{"X-Tenant", "prod"}}, "x"));
    EXPECT_NE(digest("POST", "/a", {{"X-Tenant", "a"}, {"X-Zone", "b"}}, "x"),
              digest("POST", "/a", {{"X-Tenant", "ax-zoneb"}}, "x"));
    EXPECT_EQ(digest("POST", "/a", {{"X-Tenant", "a"}, {"X-Zone", "b"}}, "x"),
              digest("POST", "/a", {{"x-zone", "b"}, {"x-tenant", "a"}}, "x"));
}

class HttpRules : public RulesTest {
protected:
    DecisionPtr decide(const RequestHead& head, std::optional<std::string> body = {},
                       bool too_large = false) {
        auto facts = std::make_shared<Facts>();
        const bool follows = body || too_large;
        facts->assign(head, session_->destination.name, follows);
        if (too_large)
            facts->body.state = Body::State::TooLarge;
        else if (body && *body != "?")
            facts->body = {Body::State::Whole, *body};
        return policy_->decide({.session = session_, .stage = Stage::Http, .http = facts});
    }
    Effect get(std::string_view target) { return decide(head("GET", target))->effect; }
};

TEST_F(HttpRules, ForbidWhatAnyServerMayReach) {
    rules(R"(
  - {id: no, when: 'http.path.startsWith("/admin/") || http.path == "/admin"', deny: {}}
  - {id: rest, allow: {}}
)");
    for (const auto* bad : {"/admin",
                            "/admin/x",
                            "//admin/x",
                            "/ADMIN/x",
                            "/a/../admin/x",
                            "/admin;x=1/x",
                            "/%61dmin",
                            "/a%2f..%2fadmin",
                            "/a/%2e%2e/admin/",
                            "/..;/admin",
                            "/%2561dmin/x",
                            "/a\\..\\admin",
                            "/./admin",
                            "/admin%2fx",
                            "/admin/../admin/x",
                            "/x/%252e%252e/admin",
                            "/%00/admin",
                            "/%c0%ae%c0%ae/admin",
                            "/AdMiN;/x",
                            "///admin///x",
                            "/admin/%zz",
                            "/adm\u0131n",
                            "/adm%C4%B1n",
                            "/admin%C2%A0",
                            "/admin\u2028/x",
                            "/ad\u00admin",
                            "/%EF%BD%81dmin",
                            "/x/\uff0e\uff0e/admin",
                            "/x\uff0f\uff0e\uff0e\uff0fadmin",
                            "/x/\u2025/admin",
                            "/admin\uff1bx",
                            "/admin\xa0",
                            "/admin\x85",
                            "/admin%a0"})
        EXPECT_EQ(get(bad), Effect::Deny) << bad;
    for (const auto* good : {"/", "/administrator", "/a/b", "/admins;x=1/x", "/a%20b/?q=/admin",
                             "/caf\u00e9/%E6%BC%A2", "/x\u00a0y"})
        EXPECT_EQ(get(good), Effect::Allow) << good;
}

TEST_F(HttpRules, AllowOnlyWhatEveryServerReads) {
    rules(R"(
  - {id: yes, when: 'http.path.startsWith("/public/")', allow: {}}
)");
    for (const auto* good : {"/public/x", "/public/X/Y", "/public/a%20b", "/public/a/../b"})
        EXPECT_EQ(get(good), Effect::Allow) << good;
    for (const auto* bad : {"/public/../admin", "/public/..%2fadmin", "/public/%2e%2e/admin",
                            "/public/%252e%252e/admin", "/public/..;/admin", "/x/../public/y",
                            "/public/..\\admin", "/Public/x", "//public/x", "/public;/x"})
        EXPECT_EQ(get(bad), Effect::Deny) << bad;
}

TEST_F(HttpRules, SeeTheMethodThatFieldsName) {
    rules(R"(
  - {id: no, when: 'http.method == "DELETE"', deny: {}}
  - {id: yes, when: 'http.method == "POST"', allow: {}}
)");
    EXPECT_EQ(decide(head("POST", "/"))->effect, Effect::Allow);
    EXPECT_EQ(decide(head("POST", "/", {{"X-HTTP-Method-Override", "delete"}}))->effect,
              Effect::Deny);
    EXPECT_EQ(decide(head("post", "/"))->effect, Effect::Deny);
    EXPECT_EQ(decide(head("Delete", "/"))->effect, Effect::Deny);
    EXPECT_EQ(decide(head("POST", "/", {{"X_HTTP_Method_Override", "DELETE"}}))->effect,
              Effect::Deny);
    EXPECT_EQ(
        decide(head("POST", "/",
                    {{"X-HTTP-Method-Override", "POST"}, {"x-http-method-override", "DELETE"}}))
            ->effect,
        Effect::Deny);
    EXPECT_EQ(decide(head("POST", "/?a=1&_method=delete"))->effect, Effect::Deny);
    EXPECT_EQ(decide(head("POST", "/?a=1&%5fmethod=delete"))->effect, Effect::Deny);
    EXPECT_EQ(decide(head("POST", "/?a=DELETE&x_method=DELETE"))->effect, Effect::Allow);
}

TEST_F(HttpRules, SeeTheMethodThatAQueryNames) {
    rules(R"(
  - {id: no, when: 'http.method == "DELETE"', deny: {}}
  - {id: yes, allow: {}}
)");
    for (const auto* bad :
         {"/?_method=delete", "/?_METHOD=DELETE", "/?a&%5fmethod=Delete&b", "/?_HttpMethod=DELETE",
          "/?$httpMethod=DELETE", "/?%24httpMethod=DELETE", "/?X-HTTP-Method-Override=DELETE",
          "/?x-http-method=delete", "/?_method=POST&_method=DELETE"})
        EXPECT_EQ(decide(head("POST", bad))->effect, Effect::Deny) << bad;
    for (const auto* good : {"/?method=fast&verb=DELETE", "/?_method=PUT", "/_method=DELETE"})
        EXPECT_EQ(decide(head("POST", good))->effect, Effect::Allow) << good;
}

// COPY and MOVE of WebDAV write where Destination says; object stores copy by themselves.
TEST_F(HttpRules, SeeThePathsThatFieldsName) {
    rules(R"(
  - {id: no, when: 'http.path.startsWith("/admin")', deny: {}}
  - {id: read, when: 'http.method == "GET" && http.path.startsWith("/secret/")', deny: {}}
  - {id: write, when: 'http.method == "PUT" && http.path.startsWith("/fixed/")', deny: {}}
  - {id: yes, allow: {}}
)");
    const auto with = [this](std::string_view method, std::string_view name,
                             std::string_view value) {
        return decide(head(method, "/mine", {{name, value}}))->effect;
    };
    for (const auto* bad : {"/admin/x", "https://api.example.com/admin", "https://other/x/../admin",
                            "/x/%2e%2e/%61dmin", "//admin", "/fixed/x", "http://a/fixed/x?y"})
        EXPECT_EQ(with("MOVE", "Destination", bad), Effect::Deny) << bad;
    for (const auto* good :
         {"/x", "https://api.example.com/x?/admin", "https://admin/", "secret/x"})
        EXPECT_EQ(with("COPY", "Destination", good), Effect::Allow) << good;
    for (const auto* name :
         {"x-amz-copy-source", "X-Goog-Copy-Source", "x-ms-copy-source", "X_AMZ_COPY_SOURCE"})
        for (const auto* bad :
             {"/secret/x", "secret/x", "%73ecret/x?versionId=3", "/a/../secret/x"})
            EXPECT_EQ(with("PUT", name, bad), Effect::Deny) << name << ": " << bad;
    EXPECT_EQ(with("PUT", "x-ms-copy-source", "https://a.blob.test/secret/x?sv=%"), Effect::Deny);
    EXPECT_EQ(with("PUT", "x-amz-copy-source", "/other/x"), Effect::Allow);
    EXPECT_EQ(with("PUT", "copy-source", "/secret/x"), Effect::Allow);
}

TEST_F(HttpRules, AskForTheBodyOnlyWhereItMatters) {
    rules(R"(
  - {id: big, when: 'http.path == "/pay" && http.body.json.amount > 100', deny: {reason: "too much"}}
  - {id: yes, allow: {}}
)");
    EXPECT_FALSE(decide(head("POST", "/other"), "?")->needs_body);
    EXPECT_EQ(decide(head("POST", "/other"), "?")->effect, Effect::Allow);
    EXPECT_TRUE(decide(head("POST", "/pay"), "?")->needs_body);
    EXPECT_EQ(decide(head("POST", "/pay"), "?")->effect, Effect::Deny);
    EXPECT_EQ(decide(head("POST", "/pay"), R"({"amount": 50})")->effect, Effect::Allow);
    EXPECT_EQ(decide(head("POST", "/pay"), R"({"amount": 500})")->effect, Effect::Deny);
    for (const auto* bad : {"", "{", R"({"amount": 1, "amount": 500})", R"({"amount": "x"})",
                            "amount=1", "{\"amount\": 1} x", "\xff"})
        EXPECT_EQ(decide(head("POST", "/pay"), bad)->effect, Effect::Deny) << bad;
    EXPECT_EQ(decide(head("POST", "/pay"), {}, true)->effect, Effect::Deny);
}

// Clients that connect anew for each request do not have it decided anew.
TEST_F(HttpRules, DecideOnceForSessionsThatAreAlike) {
    rules(R"(
  - {id: no, when: 'http.path.startsWith("/admin")', deny: {}}
  - {id: mine, when: 'identity.subject == "agent:one" && http.headers["x-key"] == "1"', allow: {}}
)");
    const auto with = [](std::string_view key, std::string_view target = "/") {
        return head("GET", target, {{"X-Key", key}});
    };
    const auto again = [this](auto... change) {
        auto other = std::make_shared<SessionFacts>(*session_);
        (change(*other), ...);
        session_ = other;
        policy_ = std::make_unique<SessionPolicy>(policy_->shared_bundle(), other);
    };
    const DecisionPtr allowed = decide(with("1"));
    const DecisionPtr denied = decide(with("1", "/admin"));
    ASSERT_EQ(allowed->effect, Effect::Allow);
    ASSERT_EQ(denied->rule, "no");
    again();
    EXPECT_EQ(decide(with("1")), allowed);
    EXPECT_EQ(decide(with("1", "/admin")), denied);
    EXPECT_EQ(decide(with("2"))->effect, Effect::Deny);  // another head
    EXPECT_EQ(decide(with("1"), "body")->effect, Effect::Allow);
    again([](SessionFacts& facts) { facts.workload = "another"; });
    EXPECT_NE(decide(with("1")), allowed);
    again([](SessionFacts& facts) { facts.identity.subject = "agent:two"; });
    EXPECT_EQ(decide(with("1"))->effect, Effect::Deny);  // a rule looks at it
}

TEST_F(HttpRules, ThatLookAtTheTimeAreDecidedAnew) {
    rules("  - {id: yes, when: 'now > timestamp(\"2020-01-01T00:00:00Z\")', allow: {}}\n");
    const DecisionPtr first = decide(head("GET", "/"));
    policy_ = std::make_unique<SessionPolicy>(policy_->shared_bundle(), session_);
    EXPECT_NE(decide(head("GET", "/")), first);
}

TEST_F(HttpRules, OfOtherProtocolsSayNothing) {
    rules(R"(
  - {id: no, when: 'sql.effects.exists(e, e.kind == "drop")', deny: {}}
  - {id: yes, when: 'http.method == "GET"', allow: {}}
)");
    EXPECT_EQ(get("/"), Effect::Allow);
}

TEST_F(HttpRules, AnApprovalIsForAWholeRequest) {
    rules(R"(
  - {id: ask, when: 'http.method == "POST"', approve: {by: ["group:dba"]}}
)");
    EXPECT_TRUE(decide(head("POST", "/"), "?")->needs_body);
    EXPECT_EQ(decide(head("POST", "/"), "x")->effect, Effect::Approve);
    EXPECT_EQ(decide(head("POST", "/"))->effect, Effect::Approve);
}

TEST_F(HttpRules, RefuseAnotherHostUnlessItIsNamed) {
    RequestHead other = head("GET", "/");
    other.authority = "evil.example.com";
    rules("  - {id: yes, allow: {}}\n");
    EXPECT_EQ(decide(other)->effect, Effect::Deny);
    EXPECT_EQ(decide(other)->rule, kFrontedRule);
    EXPECT_EQ(get("/"), Effect::Allow);
    rules(R"(
  - {id: cdn, when: 'http.fronted && http.host == "evil.example.com"', allow: {}}
)");
    EXPECT_EQ(decide(other)->effect, Effect::Allow);
    EXPECT_EQ(get("/"), Effect::Deny);
}

TEST_F(HttpRules, SeeFieldsQueryAndForm) {
    rules(R"(
  - id: yes
    when: >-
      http.headers["x-Key"] == "1, 2" && http.query["a"] == ["1", "2"] && http.segments[1] == "b"
      && http.content_type == "application/x-www-form-urlencoded" && http.body.form["n"][0] == "v w"
      && http.version == "1.1" && http.scheme == "https" && http.port == 443
      && http.cookies["s"] == ["t"] && http.body.size == 5
    allow: {}
)");
    const RequestHead all = head("POST", "/a/b?a=1&a=2",
                                 {{"X-Key", "1"},
                                  {"X-Key", "2"},
                                  {"Cookie", "s=t"},
                                  {"Content-Type", "application/x-www-form-urlencoded"}});
    EXPECT_EQ(decide(all, "n=v+w")->effect, Effect::Allow);
    EXPECT_EQ(decide(all, "n=v")->effect, Effect::Deny);
}

}  // namespace
}  // namespace chaperone::policy::http

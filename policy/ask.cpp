// SPDX-License-Identifier: Apache-2.0
// A question as a person puts it, made the request that the daemon would see.
#include "policy/bundle/hosts.h"
#include "policy/explain.h"
#include "policy/http/authority.h"
#include "policy/http/facts.h"
#include "policy/http/message.h"
#include "policy/http/model_api.h"
#include "policy/http/tool_call.h"
#include "policy/names.h"
#include "policy/shell/facts.h"
#include "policy/sql/analyzer.h"
#include "policy/sql/catalog.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy {
namespace {

bool is_identifier(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '$';
    });
}

Result<std::string> literal_of(const Question& question) {
    std::string text;
    for (const auto& [table, columns] : question.tables) {
        const std::size_t dot = table.find('.');
        if (dot == std::string::npos || !is_identifier(std::string_view{table}.substr(0, dot)) ||
            !is_identifier(std::string_view{table}.substr(dot + 1)))
            return fail(Errc::Invalid, "\"" + table + "\" is no table: write schema.table");
        text += "table " + table + "(";
        for (const std::string& column : columns) {
            if (!is_identifier(column))
                return fail(Errc::Invalid, "\"" + column + "\" is no column name");
            text += (&column == &columns.front() ? "" : ", ") + column + " text";
        }
        text += ")\n";
    }
    return text;
}

// The first host that can be dialled as it is written.
Destination destination_of(const bundle::Resource& resource) {
    Destination made{.port = resource.ports.empty() ? std::uint16_t{0} : resource.ports.front()};
    for (const std::string& host : resource.hosts) {
        const auto pattern = bundle::HostPattern::parse(host);
        if (!pattern) continue;
        if (pattern->kind == bundle::HostPattern::Kind::Exact) {
            made.name = pattern->name;
            return made;
        }
        if (pattern->kind == bundle::HostPattern::Kind::Network &&
            pattern->prefix == pattern->address.bits()) {
            made.address = pattern->address.text();
            return made;
        }
    }
    return made;
}

Identity identity_of(const bundle::Bundle& bundle, const bundle::Workload& workload) {
    Identity made{.subject = workload.subject, .groups = workload.groups};
    if (workload.oidc)
        if (const auto* provider = bundle.provider(workload.oidc->provider))
            made.issuer = provider->issuer;
    return made;
}

Result<std::shared_ptr<const sql::Facts>> analyse(const Question& question, const std::string& text,
                                                  sql::AnalysisCache* cache) {
    const auto literal = literal_of(question);
    if (!literal) return fail(literal.error());
    std::shared_ptr<const sql::Facts> facts;
    Result<> built;
    const auto work = [&] {
        std::shared_ptr<const sql::Catalog> catalog;
        if (!literal->empty()) {
            sql::CatalogBuilder builder;
            built = builder.add_literal(*literal);
            if (!built) return;
            catalog = builder.build();
        }
        // A session that has just begun: nothing was prepared, no cursor is open.
        const sql::SessionNames nothing_yet;
        sql::Context context{.catalog = catalog.get(), .session = &nothing_yet};
        facts = cache != nullptr && catalog == nullptr
                    ? cache->analyze(sql::postgresql(), text, context)
                    : sql::analyze(text, context);
    };
    // The parser and the lineage of views need more stack than a thread may have.
    bool ran = true;
    if (cache != nullptr)
        work();
    else
        ran = sql::run_with_big_stack(work);
    if (!built) return fail(built.error());
    if (!ran || facts == nullptr)
        return fail(Errc::Unavailable, "no memory for the SQL parser's stack");
    return facts;
}

Result<Asked> ask_http(const std::shared_ptr<SessionFacts>& session, const Question& question) {
    const HttpQuestion& asked_for = *question.http;
    const std::string_view url = asked_for.url;
    const std::size_t mark = url.find("://");
    const std::string scheme{url.substr(0, mark)};
    if (mark == std::string_view::npos || (scheme != "http" && scheme != "https"))
        return fail(Errc::Invalid, "\"" + asked_for.url + "\" is no URL: write https://host/path");
    const std::string_view rest = url.substr(mark + 3);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    const std::string authority{rest.substr(0, end)};
    std::string target{rest.substr(end)};
    if (!target.starts_with('/')) target.insert(0, "/");
    const auto named = http::split_authority(authority);
    if (!named) return fail(Errc::Invalid, "\"" + authority + "\" is no host");

    http::RequestHead head{.method = asked_for.method,
                           .scheme = scheme,
                           .authority = authority,
                           .target = target,
                           .version = "1.1"};
    for (const auto& [name, value] : asked_for.headers) {
        head.fields.push_back({name, value});
        if (chaperone::http::same(name, "host")) head.authority = value;
        if (chaperone::http::same(name, "upgrade")) head.protocol = value;
    }
    session->tls = scheme == "https";
    session->destination.name = named->host;
    auto facts = std::make_shared<http::Facts>();
    facts->assign(head, session->destination.name, !asked_for.body.empty());
    session->destination.port = facts->port();
    facts->body = {http::Body::State::Whole, asked_for.body};
    if (question.message && !chaperone::http::same(facts->upgrade(), "websocket"))
        return fail(Errc::Invalid, "a message needs a request with \"Upgrade: websocket\"");
    Asked asked{.text = std::make_unique<const std::string>(asked_for.method + " " + facts->url())};
    asked.request.session = session;
    asked.request.stage = Stage::Http;
    asked.request.statement = *asked.text;
    asked.request.http = std::move(facts);
    asked.request.now = question.now;
    if (question.tool_call) {
        if (!http::may_call_tools(*asked.request.http))
            return fail(Errc::Invalid,
                        "\"" + asked_for.url + "\" is no model API, whose answers have tool calls");
        asked.request.tool_call = std::make_shared<const http::ToolCall>(
            http::ToolCall{.name = question.tool_call->name,
                           .type = question.tool_call->type,
                           .arguments = http::call_arguments(question.tool_call->arguments)});
        asked.request.stage = Stage::Message;
        return asked;
    }
    if (!question.message) return asked;
    auto message = std::make_shared<http::Message>();
    message->up = question.message->up;
    message->data = question.message->text;
    asked.request.message = std::move(message);
    asked.request.stage = Stage::Message;
    return asked;
}

Asked ask_name(const std::shared_ptr<SessionFacts>& session, const bundle::Bundle& bundle,
               const Question& question) {
    session->protocol = "dns";
    auto facts = std::make_shared<DnsFacts>();
    facts->name = bundle::normal_name(question.dns);
    facts->type = question.dns_type;
    facts->class_ = "IN";
    // What nobody owns is not destroyed.
    const std::shared_ptr<const bundle::Bundle> borrowed{std::shared_ptr<void>{}, &bundle};
    for (const bundle::Resource* one : claimants_of(bundle, facts->name))
        if (may_open(borrowed, *session, *one, facts->name, question.now))
            facts->resources.push_back(one->metadata.name);
    Asked asked{.text = std::make_unique<const std::string>(facts->name + " " + facts->type)};
    asked.request.session = session;
    asked.request.stage = Stage::Statement;
    asked.request.statement = *asked.text;
    asked.request.dns = std::move(facts);
    asked.request.now = question.now;
    return asked;
}

Result<std::shared_ptr<SessionFacts>> session_of(const bundle::Bundle& bundle,
                                                 const Question& question) {
    const bundle::Workload* workload = bundle.workload(question.workload);
    if (workload == nullptr)
        return fail(Errc::NotFound, "there is no workload \"" + question.workload + "\"");
    auto session = std::make_shared<SessionFacts>();
    session->id = "asked";
    session->start = question.now;
    session->identity = question.identity.value_or(identity_of(bundle, *workload));
    session->workload = workload->metadata.name;
    session->workload_labels = workload->metadata.labels;
    if (!question.dns.empty()) return session;
    const bundle::Resource* resource = bundle.resource(question.resource);
    if (resource == nullptr)
        return fail(Errc::NotFound, "there is no resource \"" + question.resource + "\"");

    session->resource = resource->metadata.name;
    session->protocol = resource->protocol;
    session->resource_labels = resource->metadata.labels;
    session->destination = destination_of(*resource);
    session->tls = question.tls;
    session->database = question.database;
    if (session->database.empty() && !resource->databases.empty())
        session->database = resource->databases.front();
    session->user = question.user;
    session->application = question.application;
    session->replication = question.replication;
    return session;
}

}  // namespace

Result<Asked> ask(const bundle::Bundle& bundle, const Question& question, const AskWith& with) {
    auto session = with.session;
    if (session == nullptr) {
        auto made = session_of(bundle, question);
        if (!made) return fail(made.error());
        if (!question.dns.empty()) return ask_name(*made, bundle, question);
        if (question.http) return ask_http(*made, question);
        session = *std::move(made);
    }
    Asked asked{.text = std::make_unique<const std::string>(
                    question.command.empty() ? question.statement : question.command)};
    asked.request.session = std::move(session);
    asked.request.now = question.now;
    if (!question.command.empty()) {
        asked.request.shell = shell::analyze(*asked.text);
        asked.request.statement = *asked.text;
        asked.request.stage = Stage::Statement;
        return asked;
    }
    if (question.statement.empty()) return asked;
    auto facts = analyse(question, *asked.text, with.cache);
    if (!facts) return fail(facts.error());
    asked.request.sql = std::move(*facts);
    asked.request.statement = *asked.text;
    asked.request.stage = question.parameters ? Stage::Execute : Stage::Statement;
    if (question.parameters)
        for (const std::string& value : *question.parameters)
            asked.request.parameters.push_back({.text = value});
    return asked;
}

DecisionPtr decide_all(SessionPolicy& policy, const Request& request) {
    Request opening{.session = request.session, .now = request.now};
    if (request.dns != nullptr) return policy.decide(request);  // names are asked for anywhere
    DecisionPtr opened = policy.decide(opening);
    if (request.stage == Stage::Connect || opened->effect == Effect::Deny) return opened;
    if (request.message != nullptr || request.tool_call != nullptr) {
        Request handshake = request;
        handshake.message = nullptr;
        handshake.tool_call = nullptr;
        handshake.stage = Stage::Http;
        opened = policy.decide(handshake);
        if (opened->effect == Effect::Deny) return opened;
    }
    return policy.decide(request);
}

}  // namespace chaperone::policy

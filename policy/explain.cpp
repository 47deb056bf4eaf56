// SPDX-License-Identifier: Apache-2.0
#include "policy/explain.h"

#include "policy/engine/combine.h"
#include "policy/engine/declarations.h"
#include "policy/engine/engine.h"
#include "policy/http/facts.h"

#include <utility>
#include <vector>

namespace chaperone::policy {
namespace {

using engine::CompiledRule;
using engine::Outcome;

constexpr std::size_t kMostLines = 200;  // of one rule's trace; a list of thousands says no more
constexpr std::size_t kWidest = 160;     // bytes of a value or an expression

std::string cut(std::string_view text) {
    std::string made;
    for (const char c : text.substr(0, kWidest)) made += c == '\n' || c == '\t' ? ' ' : c;
    while (text.size() > kWidest && !made.empty() && (made.back() & 0xc0) == 0x80) made.pop_back();
    return text.size() > kWidest ? made + "…" : made;
}

class Lines final : public cel::Tracer {
public:
    explicit Lines(std::vector<TraceLine>& to) : to_(to) {}
    void value(const cel::SourceRange& where, std::string_view text,
               const cel::Value& value) override {
        if (to_.size() >= kMostLines) return;
        // The evaluator's own words go to the operator here, never to the agent.
        to_.push_back({where.line, where.column, cut(text), cel::describe(value, kWidest)});
    }

private:
    std::vector<TraceLine>& to_;
};

Outcome outcome_of(const cel::Value& value) {
    if (value.is_true()) return Outcome::Yes;
    if (value.is_false()) return Outcome::No;
    return value.is(cel::Kind::Unknown) ? Outcome::Unknown : Outcome::Failed;
}

class Explainer {
public:
    Explainer(const bundle::Bundle& bundle, const Request& request)
        : bundle_(bundle),
          request_(request),
          view_(*request.session),
          variables_(view_, &request),
          batch_(engine::mcp_batch(request)),
          at_{.session = *request.session,
              .resource = bundle.resource(request.session->resource),
              .stage = request.stage,
              .sql = request.sql.get(),
              .dns = request.dns.get(),
              .http = request.http.get(),
              .shell = request.shell.get(),
              .message = request.message.get(),
              .tool_call = request.tool_call.get(),
              .bundle = bundle.digest()} {}

    ConsideredRule consider(const CompiledRule& rule) {
        ConsideredRule made{.id = rule.full_name};
        if (!engine::concerns(rule, at_)) {
            made.effect = engine::to_text(rule.kind);
            made.file = bundle_.files()[rule.source->at.file].path;
            made.line = rule.source->at.line;
            made.shadow = rule.shadow;
            made.applies = false;
            made.note = rule.uses.dns        ? "is about names only"
                        : at_.dns != nullptr ? "says nothing about names"
                        : rule.uses.message && at_.message == nullptr
                            ? "is about messages of WebSockets"
                        : rule.uses.tool_call && at_.tool_call == nullptr
                            ? "is about tool calls in answers"
                            : "is about requests of another protocol";
            return made;
        }
        made.effect = engine::to_text(rule.kind);
        made.file = bundle_.files()[rule.source->at.file].path;
        made.line = rule.source->at.line;
        made.shadow = rule.shadow;
        Outcome scope = Outcome::Yes;
        if (rule.scope != engine::Engine::kNoScope) {
            made.when = rule.policy->when->source;
            scope = trace(bundle_.engine().scopes()[rule.scope], made);
        }
        Outcome own = Outcome::Yes;
        if (rule.when && scope != Outcome::No) {
            made.when += (made.when.empty() ? "" : " && ") + rule.source->when->source;
            const http::McpMessage* message = rule.uses.mcp ? telling(rule, made) : nullptr;
            own = trace(*rule.when, made, message);
            if (request_.http != nullptr && rule.uses.readings)
                own = otherwise(rule, own, made, message);
        }
        conclude(rule, scope, own, made);
        return made;
    }

private:
    // `message`: which of MCP, where the body has several.
    Outcome trace(const cel::Program& program, ConsideredRule& made,
                  const http::McpMessage* message = nullptr) {
        Lines lines{made.trace};
        if (message == nullptr)
            return outcome_of(program.trace(variables_, lines, engine::kRuleLimits));
        const engine::RequestActivation variables{view_, &request_, 0, message};
        return outcome_of(program.trace(variables, lines, engine::kRuleLimits));
    }

    // Of several messages in one body the one that the rule says most about; null: it is no batch.
    const http::McpMessage* telling(const CompiledRule& rule, ConsideredRule& made) {
        const bool allows = rule.kind == engine::RuleKind::Allow;
        const http::McpMessage* found = nullptr;
        Outcome most{};
        for (const http::McpMessage& message : batch_) {
            const engine::RequestActivation variables{view_, &request_, 0, &message};
            const Outcome one = outcome_of(rule.when->evaluate(variables, engine::kRuleLimits));
            const bool more = allows ? one == Outcome::Yes && most != Outcome::Yes
                                     : engine::stricter(most, one, false) != most;
            if (found != nullptr && !more) continue;
            found = &message;
            most = one;
        }
        if (found != nullptr)
            made.note = "each message is put to it; this is " +
                        cut(found->method.empty() ? "one without a method" : found->method) +
                        (found->tool.empty() ? "" : " " + cut(found->tool));
        return found;
    }

    // What servers may take the request for, beside its canonical reading.
    Outcome otherwise(const CompiledRule& rule, Outcome own, ConsideredRule& made,
                      const http::McpMessage* message) {
        const bool allows = rule.kind == engine::RuleKind::Allow;
        const auto& readings = request_.http->readings();
        for (std::size_t at = 1; at < readings.size(); ++at) {
            if (allows && readings[at].only_forbids) continue;
            const engine::RequestActivation variables{view_, &request_, at, message};
            const Outcome other = outcome_of(rule.when->evaluate(variables, engine::kRuleLimits));
            if (engine::stricter(own, other, allows) == own) continue;
            own = other;
            made.note =
                "some server reads it as " + readings[at].method + " " + cut(readings[at].path);
        }
        return own;
    }

    void conclude(const CompiledRule& rule, Outcome scope, Outcome own, ConsideredRule& made) {
        if (scope == Outcome::No) {
            made.applies = false;
            made.note = "its policy is not about this session";
            return;
        }
        Outcome outcome = own;
        if (scope != Outcome::Yes && own != Outcome::No) outcome = Outcome::Failed;
        if (request_.stage == Stage::Connect && rule.uses.request && outcome == Outcome::Failed)
            outcome = Outcome::Unknown;
        made.failed = outcome == Outcome::Failed;
        made.matched = engine::counts(rule, outcome, at_);
        if (outcome == Outcome::Unknown && request_.stage == Stage::Connect) {
            made.applies = false;
            made.note = "looks at requests, and there is none yet";
        } else if (made.failed) {
            made.note = rule.kind == engine::RuleKind::Allow
                            ? "could not be evaluated, and so does not allow"
                            : "could not be evaluated, and so counts as matched";
        } else if (!made.matched && outcome == Outcome::Yes) {
            made.note = rule.kind == engine::RuleKind::Allow
                            ? "does not say that it allows what cannot be analysed"
                            : "is asked with each statement, not when the session opens";
        }
    }

    const bundle::Bundle& bundle_;
    const Request& request_;
    engine::SessionView view_;
    engine::RequestActivation variables_;
    std::vector<http::McpMessage> batch_;
    engine::Situation at_;
};

}  // namespace

Explanation explain(std::shared_ptr<const bundle::Bundle> bundle, const Request& request) {
    Explanation made{.bundle = bundle, .request = request};
    made.statement = request.statement;
    made.request.statement = {};
    made.request.refused = {};
    SessionPolicy policy{bundle, request.session};
    made.decision = decide_all(policy, request);
    Explainer explainer{*bundle, request};
    for (const CompiledRule& rule : bundle->engine().rules())
        made.rules.push_back(explainer.consider(rule));
    return made;
}

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/standing.h"

#include "policy/engine/combine.h"
#include "policy/engine/engine.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace chaperone::policy {
namespace {

using engine::Outcome;

// Only what is the same for all connections is known.
class Standing final : public cel::Activation {
public:
    explicit Standing(const engine::SessionView& session) : known_(session, nullptr) {}

    cel::Value variable(std::size_t slot) const override { return known_.variable(slot); }
    std::span<const std::string> unknowns() const override {
        static const std::array<std::string, 2> kLater{"session", "conn"};
        return kLater;
    }

private:
    const engine::RequestActivation known_;
};

// nullopt: it can be this way for one connection and that way for another.
std::optional<Outcome> outcome_of(const cel::Program& condition, const Standing& known) {
    const cel::Value value = condition.evaluate(known, engine::kRuleLimits);
    if (value.is_true()) return Outcome::Yes;
    if (value.is_false()) return Outcome::No;
    if (!value.is(cel::Kind::Unknown)) return Outcome::Failed;
    const engine::Uses left = engine::Uses::of(condition.partial(known, engine::kRuleLimits));
    if (left.session || left.now) return std::nullopt;
    return Outcome::Unknown;  // of requests, of which none is ever seen here
}

bool asks_for_more(const bundle::Resource& resource) {
    const bundle::ResourceLimits& limits = resource.limits;
    // Of datagrams and Unix sockets nothing is ever inspected.
    const bool inspected =
        resource.inspect && resource.protocol != "udp" && resource.protocol != "unix";
    return inspected || !resource.upstream.host.empty() || resource.upstream.port != 0 ||
           resource.credential.has_value() || !resource.databases.empty() || limits.sessions != 0 ||
           limits.idle != Duration{};
}

}  // namespace

DecisionPtr standing_decision(const bundle::Bundle& bundle, const bundle::Resource& resource,
                              const std::string& workload, const Identity& identity) {
    const bundle::Workload* document = bundle.workload(workload);
    if (asks_for_more(resource) || document == nullptr) return nullptr;
    if (document->mode == bundle::Mode::Shadow) return nullptr;
    if (document->metadata.labels.contains("chaperone.dev/mode")) return nullptr;
    SessionFacts facts;
    facts.identity = identity;
    facts.workload = workload;
    facts.workload_labels = document->metadata.labels;
    facts.resource = resource.metadata.name;
    facts.protocol = resource.protocol;
    facts.resource_labels = resource.metadata.labels;
    const engine::SessionView view{facts};
    const Standing known{view};

    const engine::Situation at{.session = facts, .resource = &resource, .bundle = bundle.digest()};
    engine::Residual all;
    std::vector<Outcome> outcomes;
    for (const engine::CompiledRule& rule : bundle.engine().rules()) {
        if (!engine::concerns(rule, at)) continue;
        Outcome scope = Outcome::Yes;
        if (rule.scope != engine::Engine::kNoScope) {
            const auto inside = outcome_of(bundle.engine().scopes()[rule.scope], known);
            if (!inside) return nullptr;
            scope = *inside;
        }
        if (scope == Outcome::No) continue;
        if (scope != Outcome::Yes && rule.kind == engine::RuleKind::Allow) continue;
        std::optional<Outcome> outcome = scope;
        if (scope == Outcome::Yes && rule.when) outcome = outcome_of(*rule.when, known);
        if (!outcome) return nullptr;
        if (*outcome == Outcome::No) continue;
        if (rule.shadow) return nullptr;
        all.rules.push_back({.rule = &rule});
        outcomes.push_back(*outcome);
    }
    DecisionPtr decision = engine::combine(all, outcomes, at);
    return decision->effect == Effect::Approve ? nullptr : decision;
}

}  // namespace chaperone::policy

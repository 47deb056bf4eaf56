// SPDX-License-Identifier: Apache-2.0
#include "policy/drift/situations.h"

#include "policy/cel/ast.h"
#include "policy/engine/combine.h"
#include "policy/shell/facts.h"
#include "policy/sql/analyzer.h"
#include "policy/testing/asker.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

namespace chaperone::policy::drift {
namespace {

using bundle::Resource;
using bundle::Workload;
using engine::CompiledRule;

constexpr std::size_t kMostFolds = 200'000;     // rules times situations
constexpr std::size_t kMostTrials = 2'000'000;  // rules times examples, all situations together

// What a workload and a resource settle; the rest of a session is open.
class OfPair final : public cel::Activation {
public:
    OfPair(const engine::SessionView& view, bool identity) : view_(view), identity_(identity) {}
    cel::Value variable(std::size_t slot) const override {
        const bool settled = slot == engine::kWorkload || slot == engine::kResource ||
                             (slot == engine::kIdentity && identity_);
        return settled ? view_.variable(slot) : cel::Value::unknown();
    }

private:
    const engine::SessionView& view_;
    bool identity_;
};

SessionFacts facts_of(const Workload& workload, const Resource& resource) {
    SessionFacts facts;
    facts.identity = {.subject = workload.subject, .groups = workload.groups};
    facts.workload = workload.metadata.name;
    facts.workload_labels = workload.metadata.labels;
    facts.resource = resource.metadata.name;
    facts.protocol = resource.protocol;
    facts.resource_labels = resource.metadata.labels;
    return facts;
}

// A rule that names another protocol's requests, and not this one's, is about those.
bool elsewhere(const CompiledRule& rule, std::string_view protocol) {
    const auto& [sql, http, ssh] = std::tuple{rule.uses.sql, rule.uses.http, rule.uses.ssh};
    if (protocol == "postgresql" || protocol == "mysql") return !sql && (http || ssh);
    if (protocol == "ssh") return !ssh && (http || sql);
    return protocol == "http" && !http && (sql || ssh);
}

Standing standing_of(const cel::Program& whole, const cel::Activation& known) {
    cel::Program folded = whole.partial(known, engine::kRuleLimits);
    const cel::Value* constant = folded.constant();
    if (constant == nullptr) return {.left = std::move(folded)};
    return {.state = constant->is_true() ? Standing::State::Always : Standing::State::Never};
}

std::set<std::string> kinds() {
    std::set<std::string> all;
    for (int i = 0; i <= static_cast<int>(sql::EffectKind::Unknown); ++i)
        all.insert(cel::quote(sql::to_text(static_cast<sql::EffectKind>(i))));
    return all;
}

cel::World world_of(const bundle::Bundle& bundle) {
    cel::World made;
    auto& doings = made.domains["ssh.effects[].kind"];
    for (int i = 0; i <= static_cast<int>(shell::EffectKind::Unknown); ++i)
        doings.insert(cel::quote(shell::to_text(static_cast<shell::EffectKind>(i))));
    made.domains["sql.effects[].kind"] = kinds();
    made.domains["sql.stage"] = {"\"statement\"", "\"prepare\"", "\"execute\""};
    auto& protocols = made.domains["resource.protocol"];
    for (const std::string_view one :
         {"postgresql", "mysql", "ssh", "kubernetes", "http", "tcp", "udp", "dns"})
        protocols.insert(cel::quote(one));
    for (const Workload& one : bundle.workloads())
        made.domains["workload.name"].insert(cel::quote(one.metadata.name));
    for (const Resource& one : bundle.resources())
        made.domains["resource.name"].insert(cel::quote(one.metadata.name));
    auto writes = kinds();
    for (const std::string_view other :
         {"read", "grant", "session", "transaction", "copy_out", "file", "program", "call", "lock",
          "listen", "notify", "maintain", "unknown"})
        writes.erase(cel::quote(other));
    made.implied["sql.writes"] = {"sql.effects", "kind", std::move(writes)};
    made.implied["sql.reads"] = {"sql.effects", "kind", {"\"read\"", "\"copy_out\""}};
    return made;
}

}  // namespace

cel::Claim Standing::claim(bool holds) const {
    return {left ? &*left : nullptr, holds};
}

Situations::Situations(const bundle::Bundle& bundle) : bundle_(bundle), world_(world_of(bundle)) {
    probes_.add(bundle);
    std::set<std::string> paths;
    for (const CompiledRule& rule : bundle.engine().rules()) {
        wholes_.push_back(whole(rule));
        if (!wholes_.back()) continue;
        for (const std::string& path : wholes_.back()->references())
            if (path.starts_with("workload") || path.starts_with("resource") ||
                path.starts_with("identity"))
                paths.insert(path);
    }
    if (bundle.workloads().empty() || bundle.resources().empty()) {
        add(nullptr, nullptr);
        return;
    }
    const auto asked = engine::session_parts(std::vector<std::string>{paths.begin(), paths.end()});
    const std::size_t most = std::max<std::size_t>(1, kMostFolds / (wholes_.size() + 1));
    std::set<std::string> seen;
    for (const Resource& resource : bundle.resources())
        for (const Workload& workload : bundle.workloads()) {
            const SessionFacts facts = facts_of(workload, resource);
            // What is known of a request differs by protocol, asked for or not.
            const std::string key = engine::SessionView{facts}.fingerprint(asked) + "|" +
                                    resource.protocol + (workload.oidc ? "|token" : "");
            if (!seen.insert(key).second) continue;
            complete_ = complete_ && all_.size() < most;
            if (complete_) add(&workload, &resource);
        }
}

std::optional<cel::Program> Situations::whole(const CompiledRule& rule) const {
    if (rule.scope == engine::Engine::kNoScope) return rule.when;
    if (!rule.when) return bundle_.engine().scopes()[rule.scope];
    // Line ends, so that a comment at the end of one does not swallow the other.
    const std::string both =
        "(" + rule.policy->when->source + "\n) && (" + rule.source->when->source + "\n)";
    auto made = cel::compile(both, engine::environment(), {.max_bytes = 300'000});
    return made.program ? std::move(made.program) : rule.when;
}

void Situations::add(const Workload* workload, const Resource* resource) {
    Situation made{.workload = workload, .resource = resource};
    const SessionFacts facts =
        workload == nullptr ? SessionFacts{} : facts_of(*workload, *resource);
    const engine::SessionView view{facts};
    const OfPair pair{view, workload != nullptr && !workload->oidc};
    const Nothing nothing;
    for (std::size_t i = 0; i != wholes_.size(); ++i) {
        const auto& program = wholes_[i];
        if (resource != nullptr && elsewhere(bundle_.engine().rules()[i], resource->protocol))
            made.rules.push_back({.state = Standing::State::Never});
        else if (!program)
            made.rules.push_back({.state = Standing::State::Always});
        else if (workload == nullptr)
            made.rules.push_back(standing_of(*program, nothing));
        else
            made.rules.push_back(standing_of(*program, pair));
    }
    for (const cel::Program& scope : bundle_.engine().scopes()) {
        const Standing left =
            workload == nullptr ? standing_of(scope, nothing) : standing_of(scope, pair);
        made.scopes.push_back(left.state != Standing::State::Never);
    }
    if (workload != nullptr) try_examples(made);
    all_.push_back(std::move(made));
}

void Situations::try_examples(Situation& situation) {
    std::vector<Question> examples = probes_.of(*situation.workload, *situation.resource);
    const std::size_t room = kMostTrials / (wholes_.size() + 1) / (all_.size() + 1);
    if (examples.size() > room) examples.resize(std::max<std::size_t>(room, 1));
    const auto work = [&] {
        // Not owned: the bundle outlives this call.
        testing::Asker asker{{std::shared_ptr<void>{}, &bundle_}};
        for (Question& question : examples) {
            const DecisionPtr decision = asker.ask(question);
            if (decision == nullptr || asker.last()->stage == Stage::Connect) continue;
            const engine::SessionView view{*asker.last()->session};
            const engine::RequestActivation variables{view, asker.last()};
            for (Standing& rule : situation.rules) {
                const cel::Value value =
                    rule.left ? rule.left->evaluate(variables, engine::kRuleLimits)
                              : cel::Value::boolean(rule.state == Standing::State::Always);
                rule.met.push(value.is_true());
                rule.missed.push(value.is_false());
            }
            situation.denied.push(decision->effect == Effect::Deny);
            const auto& sql = asker.last()->sql;
            situation.empty.push(sql == nullptr || sql->effects.empty());
            situation.examples.push_back(std::move(question));
        }
    };
    if (!sql::run_with_big_stack(work)) situation.examples.clear();
}

bool Situations::out_of_scope(std::size_t scope) const {
    return complete_ && scope != engine::Engine::kNoScope &&
           std::ranges::none_of(all_, [&](const Situation& one) { return one.scopes[scope]; });
}

std::vector<std::string> Situations::values_of(std::string_view path) const {
    std::vector<std::string> all;
    const auto found = world_.domains.find(path);
    if (found == world_.domains.end()) return all;
    for (const std::string& quoted : found->second)
        all.push_back(quoted.substr(1, quoted.size() - 2));
    return all;
}

}  // namespace chaperone::policy::drift

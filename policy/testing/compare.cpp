// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/compare.h"

#include "policy/cel/reason.h"
#include "policy/drift/situations.h"
#include "policy/engine/engine.h"
#include "policy/testing/probes.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <map>
#include <set>

namespace chaperone::policy::testing {
namespace {

namespace json = boost::json;
using engine::CompiledRule;

std::string list_of(const std::vector<std::string>& all) {
    std::string text;
    for (const std::string& one : all) text += (text.empty() ? "" : ", ") + one;
    return text;
}

// What the rule does, beside its condition.
std::string effect_text(const CompiledRule& rule) {
    std::string text{engine::to_text(rule.kind)};
    if (rule.shadow) text = "shadow " + text;
    const bundle::Rule& source = *rule.source;
    if (source.approve) {
        text += " by " + list_of(source.approve->by) + ", " + std::to_string(source.approve->count);
        text += ", within " + chaperone::to_text(source.approve->within);
        if (source.approve->scope == ApprovalScope::Session) text += ", for the session";
        if (source.approve->scope == ApprovalScope::Window)
            text += ", for " + chaperone::to_text(source.approve->window);
    }
    if (source.allow && source.allow->unknown) text += " (unknown too)";
    for (const bundle::Mask& mask : source.mask)
        text += " " + list_of(mask.columns) + list_of(mask.detect) + list_of(mask.json) + " with " +
                std::string{detect::name_of(mask.with)} +
                (mask.filters == bundle::Filters::Deny ? " (not in filters)" : "") +
                (mask.in == bundle::MaskIn::Response ? "" : " (of requests too)");
    return text;
}

std::string condition_text(const CompiledRule& rule) {
    std::string text;
    if (rule.policy->when) text = rule.policy->when->source;
    if (rule.source->when) text += (text.empty() ? "" : " && ") + rule.source->when->source;
    return text;
}

std::string whole_text(const CompiledRule& rule) {
    const std::string condition = condition_text(rule);
    return effect_text(rule) + (condition.empty() ? "" : " when " + condition);
}

// The rule's own condition and its policy's, as claims that must all hold.
std::vector<const cel::Program*> parts(const bundle::Bundle& bundle, const CompiledRule& rule) {
    std::vector<const cel::Program*> all;
    if (rule.scope != engine::Engine::kNoScope)
        all.push_back(&bundle.engine().scopes()[rule.scope]);
    if (rule.when) all.push_back(&*rule.when);
    return all;
}

// Whatever meets all of `from` meets all of `to`: proven.
bool follows(const std::vector<const cel::Program*>& from,
             const std::vector<const cel::Program*>& to, const cel::World& world) {
    std::vector<cel::Claim> claims;
    for (const cel::Program* one : from) claims.push_back({one, true});
    for (const cel::Program* one : to) {
        claims.push_back({one, false});
        if (!cel::impossible(claims, world)) return false;
        claims.pop_back();
    }
    return true;
}

using Rules = std::map<std::string_view, const CompiledRule*>;
Rules rules_of(const bundle::Bundle& bundle) {
    Rules all;
    for (const CompiledRule& rule : bundle.engine().rules()) all.emplace(rule.full_name, &rule);
    return all;
}

std::vector<RuleChange> compare(const bundle::Bundle& before, const bundle::Bundle& after) {
    std::vector<RuleChange> changes;
    const Rules old = rules_of(before);
    const Rules fresh = rules_of(after);
    const drift::Situations situations{after};
    // Names differ between the bundles, and say nothing here.
    cel::World world = situations.world();
    world.domains.erase("workload.name");
    world.domains.erase("resource.name");
    for (const auto& [name, rule] : old) {
        const auto now = fresh.find(name);
        if (now == fresh.end()) {
            changes.push_back({std::string{name}, "removed", whole_text(*rule), {}});
            continue;
        }
        const std::string was = whole_text(*rule);
        const std::string is = whole_text(*now->second);
        if (was == is) continue;
        const auto from = parts(before, *rule);
        const auto to = parts(after, *now->second);
        const bool wider = follows(from, to, world);
        const bool narrower = follows(to, from, world);
        std::string change = wider ? "wider" : narrower ? "narrower" : "changed";
        if (wider && narrower)
            change = effect_text(*rule) == effect_text(*now->second) ? "same" : "effect";
        changes.push_back({std::string{name}, std::move(change), was, is});
    }
    for (const auto& [name, rule] : fresh)
        if (!old.contains(name))
            changes.push_back({std::string{name}, "added", {}, whole_text(*rule)});
    return changes;
}

}  // namespace

Comparison::Comparison(std::shared_ptr<const bundle::Bundle> before,
                       std::shared_ptr<const bundle::Bundle> after)
    : before_(std::move(before)),
      after_(std::move(after)),
      asker_(before_),
      simulation_(after_),
      rules_(compare(*before_, *after_)) {}

void Comparison::ask(const Question& question, std::string_view session) {
    Recorded was = answer_of(asker_, question, session);
    was.question = question;
    was.session = session;
    simulation_.add(was);
}

void Comparison::ask_probes() {
    Probes probes;
    probes.add(*before_);
    probes.add(*after_);
    std::set<std::pair<std::string, std::string>> seen;
    for (const bundle::Bundle* bundle : {before_.get(), after_.get()})
        for (const bundle::Workload& workload : bundle->workloads())
            for (const bundle::Resource& resource : bundle->resources()) {
                if (!seen.emplace(workload.metadata.name, resource.metadata.name).second) continue;
                for (const Question& question : probes.of(workload, resource)) ask(question);
            }
    for (const Question& question : probes.tests()) ask(question);
}

std::string to_json(const Comparison& comparison) {
    json::object made = json::parse(to_json(comparison.requests())).as_object();
    json::array rules;
    for (const RuleChange& one : comparison.rules())
        rules.push_back(json::object{{"rule", one.rule},
                                     {"change", one.change},
                                     {"before", one.before},
                                     {"after", one.after}});
    made["rules"] = std::move(rules);
    return json::serialize(made);
}

std::string to_table(const Comparison& comparison) {
    if (comparison.same()) return "the bundles mean the same\n";
    std::string text;
    for (const RuleChange& one : comparison.rules()) {
        text += one.change + "  " + one.rule + "\n";
        if (!one.before.empty()) text += "  - " + one.before + "\n";
        if (!one.after.empty()) text += "  + " + one.after + "\n";
    }
    return text + (text.empty() ? "" : "\n") + to_table(comparison.requests());
}

}  // namespace chaperone::policy::testing

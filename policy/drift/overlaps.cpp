// SPDX-License-Identifier: Apache-2.0
#include "policy/drift/overlaps.h"

#include "policy/cel/ast.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::drift {
namespace {

using engine::CompiledRule;
using engine::RuleKind;
using State = Standing::State;

constexpr std::size_t kTogether = 12;  // deny rules that are weighed as one

bool decides(const CompiledRule& rule) {
    return rule.kind != RuleKind::Mask && !rule.shadow;
}

// A statement that may allow what is not analysed is not covered by one that may not.
bool as_wide(const CompiledRule& wide, const CompiledRule& narrow) {
    return (wide.allows_unknown || !narrow.allows_unknown) &&
           wide.names_replication == narrow.names_replication;
}

// False: the situation's own facts are not those that are assumed.
bool agrees(const Situation& situation, const cel::World& world) {
    if (situation.workload == nullptr) return true;
    for (const cel::NamedValue& value : world.assumed) {
        const auto is = [&](std::string_view prefix, const bundle::Metadata& metadata) {
            if (!value.path.starts_with(prefix)) return true;
            const std::string rest = value.path.substr(prefix.size());
            if (rest == "name") return value.value == cel::quote(metadata.name);
            if (!rest.starts_with("labels.")) return true;
            const auto label = metadata.labels.find(rest.substr(7));
            return label != metadata.labels.end() && value.value == cel::quote(label->second);
        };
        if (!is("workload.", situation.workload->metadata)) return false;
        if (!is("resource.", situation.resource->metadata)) return false;
    }
    return true;
}

// An example that the rule matches and that is not denied.
bool allowed_somewhere(const Situation& situation, std::size_t rule) {
    const auto& met = situation.rules[rule].met.words();
    const auto& denied = situation.denied.words();
    for (std::size_t i = 0; i != met.size(); ++i)
        if ((met[i] & ~denied[i]) != 0) return true;
    return false;
}

std::string words(const Question& question) {
    const std::string asked =
        question.http ? question.http->method + " " + question.http->url : question.statement;
    return "\"" + asked + "\" by " + question.workload + " on " + question.resource;
}

}  // namespace

Overlaps::Overlaps(const bundle::Bundle& bundle, const Situations& situations)
    : rules_(bundle.engine().rules()), situations_(situations), world_(situations.world()) {
    world_.budget = &budget_;
    for (const CompiledRule& rule : rules_) {
        Named& named = named_.emplace_back();
        if (!rule.when) continue;
        for (cel::NamedValue& value : cel::named_values(*rule.when))
            named[std::move(value.path)].insert(std::move(value.value));
    }
}

bool Overlaps::possible(const Situation& situation, std::size_t rule) {
    const Standing& own = situation.rules[rule];
    if (own.state != State::Open) return own.state == State::Always;
    if (own.met.any()) return true;
    const std::array claims{own.claim(true)};
    return !cel::impossible(claims, world_);
}

bool Overlaps::impossible(std::size_t rule) {
    if (!situations_.complete() || !rules_[rule].when || rules_[rule].uses.dns) return false;
    return std::ranges::none_of(
        situations_.all(), [&](const Situation& situation) { return possible(situation, rule); });
}

// Whether the other's effect hides this one's where both match.
bool Overlaps::overrides(std::size_t other, std::size_t rule) const {
    const CompiledRule& by = rules_[other];
    const CompiledRule& of = rules_[rule];
    if (other == rule || !decides(by) || by.uses.dns || of.uses.dns) return false;
    switch (by.kind) {
    case RuleKind::Deny: return of.kind != RuleKind::Deny || other < rule;
    case RuleKind::Approve: return of.kind == RuleKind::Allow;
    case RuleKind::Allow: return of.kind == RuleKind::Allow && other < rule && as_wide(by, of);
    case RuleKind::Mask: return false;
    }
    return false;
}

// An example that the one matches and the other does not.
bool Overlaps::refuted(const Situation& situation, std::size_t rule, std::size_t other,
                       bool with_empty) const {
    const auto& met = situation.rules[rule].met.words();
    const auto& missed = situation.rules[other].missed.words();
    const auto& empty = situation.empty.words();
    for (std::size_t i = 0; i != met.size(); ++i)
        if ((met[i] & missed[i] & (with_empty ? ~std::uint64_t{0} : ~empty[i])) != 0) return true;
    return false;
}

// Two conditions that ask for other values of one thing: what meets the one hardly meets the other.
bool Overlaps::apart(std::size_t rule, std::size_t other) const {
    const auto& own = named_[rule];
    for (const auto& [path, values] : named_[other]) {
        const auto found = own.find(path);
        if (found == own.end()) continue;
        if (std::ranges::none_of(values,
                                 [&](const auto& value) { return found->second.contains(value); }))
            return true;
    }
    return false;
}

bool Overlaps::implied(const Situation& situation, std::size_t rule, std::size_t other,
                       const cel::World& world) {
    const Standing& own = situation.rules[rule];
    const Standing& over = situation.rules[other];
    if (over.state != State::Open) return over.state == State::Always;
    const std::array claims{own.claim(true), over.claim(false)};
    return cel::impossible(claims, world);
}

bool Overlaps::one_denies_all(std::size_t rule, std::size_t other, const cel::World& world) {
    if (apart(rule, other)) return false;
    bool met = false;
    for (const Situation& situation : situations_.all()) {
        if (!agrees(situation, world)) continue;
        if (situation.rules[rule].state == State::Never) continue;
        if (situation.rules[other].state == State::Never) {
            if (possible(situation, rule)) return false;
            continue;
        }
        if (world.assumed.empty() && refuted(situation, rule, other, world.filled.empty()))
            return false;
        if (implied(situation, rule, other, world))
            met = true;
        else if (possible(situation, rule))
            return false;
    }
    return met;
}

bool Overlaps::denied_together(std::size_t rule) {
    bool met = false;
    for (const Situation& situation : situations_.all()) {
        const Standing& own = situation.rules[rule];
        if (!possible(situation, rule)) continue;
        if (allowed_somewhere(situation, rule)) return false;
        std::vector<cel::Claim> claims{own.claim(true)};
        for (std::size_t other = 0; other != rules_.size() && claims.size() <= kTogether; ++other) {
            const Standing& over = situation.rules[other];
            if (rules_[other].kind != RuleKind::Deny || !overrides(other, rule)) continue;
            if (over.state == State::Open) claims.push_back(over.claim(false));
        }
        if (claims.size() < 2 || !cel::impossible(claims, world_)) return false;
        met = true;
    }
    return met;
}

std::string Overlaps::example(std::size_t rule, std::size_t other) const {
    for (const Situation& situation : situations_.all())
        for (std::size_t i = 0; i != situation.examples.size(); ++i)
            if (situation.rules[rule].met.at(i) && situation.rules[other].met.at(i))
                return words(situation.examples[i]);
    return {};
}

std::optional<Overlaps::Override> Overlaps::overridden(std::size_t rule) {
    if (!situations_.complete() || rules_[rule].shadow) return std::nullopt;
    for (std::size_t other = 0; other != rules_.size(); ++other)
        if (overrides(other, rule) && one_denies_all(rule, other, world_))
            return Override{&rules_[other], example(rule, other)};
    if (rules_[rule].kind == RuleKind::Deny || !denied_together(rule)) return std::nullopt;
    return Override{};
}

std::vector<cel::NamedValue> Overlaps::shared_names(std::size_t rule, std::size_t other) const {
    std::vector<cel::NamedValue> all;
    for (const auto& [path, values] : named_[rule]) {
        const auto found = named_[other].find(path);
        if (found == named_[other].end()) continue;
        for (const std::string& value : values)
            if (found->second.contains(value)) all.push_back({path, value});
    }
    return all;
}

std::vector<Overlaps::Contradiction> Overlaps::contradicted(std::size_t rule) {
    std::vector<Contradiction> all;
    if (!situations_.complete() || rules_[rule].shadow || !rules_[rule].when ||
        rules_[rule].uses.dns)
        return all;
    cel::World filled = world_;
    for (const std::string& path : rules_[rule].when->references()) filled.filled.insert(path);
    for (std::size_t other = 0; other != rules_.size(); ++other) {
        const CompiledRule& deny = rules_[other];
        if (deny.kind != RuleKind::Deny || deny.shadow || !deny.when || deny.uses.dns) continue;
        if (deny.source->at.file == rules_[rule].source->at.file) continue;
        if (one_denies_all(rule, other, filled)) {
            all.push_back({{&deny, example(rule, other)}, {}});
            continue;
        }
        for (const cel::NamedValue& value : shared_names(rule, other)) {
            cel::World assumed = world_;
            assumed.assumed = {value};
            if (!one_denies_all(rule, other, assumed)) continue;
            all.push_back({{&deny, example(rule, other)}, value.path + " == " + value.value});
            break;
        }
    }
    return all;
}

bool Overlaps::unmet(std::size_t rule) {
    if (!situations_.complete() || rules_[rule].shadow || rules_[rule].uses.dns) return false;
    bool somewhere = false;
    for (const Situation& situation : situations_.all()) {
        if (!possible(situation, rule)) continue;
        somewhere = true;
        if (allowed_somewhere(situation, rule)) return false;
        std::vector<cel::Claim> denies{situation.rules[rule].claim(true)};
        bool closed = false;
        for (std::size_t other = 0; other != rules_.size(); ++other) {
            if (rules_[other].kind != RuleKind::Deny || rules_[other].shadow ||
                rules_[other].uses.dns)
                continue;
            closed = closed || situation.rules[other].state == State::Always;
            if (situation.rules[other].state == State::Open && denies.size() <= kTogether)
                denies.push_back(situation.rules[other].claim(false));
        }
        for (std::size_t other = 0; !closed && other != rules_.size(); ++other) {
            const bool lets =
                rules_[other].kind == RuleKind::Allow || rules_[other].kind == RuleKind::Approve;
            if (!lets || rules_[other].shadow || situation.rules[other].state == State::Never)
                continue;
            auto claims = denies;
            // An approve rule also counts where its condition fails: nothing is said of those.
            if (rules_[other].kind == RuleKind::Allow)
                claims.push_back(situation.rules[other].claim(true));
            if (!cel::impossible(claims, world_)) return false;
        }
    }
    return somewhere;
}

}  // namespace chaperone::policy::drift

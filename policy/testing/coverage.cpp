// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/coverage.h"

#include "policy/engine/variables.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace chaperone::policy::testing {
namespace {

using engine::CompiledRule;

class Watcher final : public cel::Tracer {
public:
    using Note = std::function<void(const cel::SourceRange&, bool)>;
    explicit Watcher(Note note) : note_(std::move(note)) {}
    void value(const cel::SourceRange& where, std::string_view, const cel::Value& value) override {
        if (value.is(cel::Kind::Bool)) note_(where, value.as_bool());
    }

private:
    Note note_;
};

bool applied(const CompiledRule& rule, const Decision& decision) {
    if (decision.rule == rule.name) return true;
    const auto of_rule = [&](const auto& mask) { return mask.rule == rule.name; };
    const auto in_set = [&](const MaskSet& masks) {
        return std::ranges::any_of(masks.columns, of_rule) ||
               std::ranges::any_of(masks.detectors, of_rule) ||
               std::ranges::any_of(masks.json, of_rule);
    };
    return in_set(decision.masks) || in_set(decision.request_masks);
}

}  // namespace

Coverage::Coverage(const bundle::Bundle& bundle)
    : bundle_(bundle), rules_(bundle.engine().rules().size()) {
    for (std::size_t i = 0; i != rules_.size(); ++i) {
        const CompiledRule& rule = bundle.engine().rules()[i];
        if (!rule.when) continue;
        for (const cel::SourceRange& branch : rule.when->branches())
            rules_[i].branches[{branch.begin, branch.end}];
    }
}

void Coverage::note(const CompiledRule& rule, PerRule& to, const Request& request) const {
    if (!rule.when) return;
    const engine::SessionView view{*request.session};
    const engine::RequestActivation variables{view, &request};
    Watcher watcher{[&](const cel::SourceRange& where, bool value) {
        const auto found = to.branches.find({where.begin, where.end});
        if (found == to.branches.end()) return;
        (value ? found->second.yes : found->second.no) = true;
    }};
    const cel::Value value = rule.when->trace(variables, watcher, engine::kRuleLimits);
    to.whole.yes = to.whole.yes || value.is_true();
    to.whole.no = to.whole.no || value.is_false();
}

void Coverage::add(const Request& request, const Decision& decision) {
    for (std::size_t i = 0; i != rules_.size(); ++i) {
        const CompiledRule& rule = bundle_.engine().rules()[i];
        note(rule, rules_[i], request);
        const bool matched =
            std::ranges::find(decision.rules, rule.name) != decision.rules.end() ||
            std::ranges::find(decision.shadow_rules, rule.name) != decision.shadow_rules.end();
        if (matched) ++rules_[i].matched;
        if (matched && applied(rule, decision)) ++rules_[i].decided;
    }
}

RuleCoverage Coverage::report(const CompiledRule& rule, const PerRule& from) const {
    RuleCoverage made{.rule = rule.full_name, .matched = from.matched, .decided = from.decided};
    made.file = bundle_.files()[rule.source->at.file].path;
    made.line = rule.source->at.line;
    if (!rule.when) return made;
    const auto count = [&](const Seen& seen, const std::string& where) {
        made.branches += 2;
        made.branches_seen += (seen.yes ? 1U : 0U) + (seen.no ? 1U : 0U);
        if (!seen.yes) made.not_seen.push_back(where + " was never true");
        if (!seen.no) made.not_seen.push_back(where + " was never false");
    };
    count(from.whole, "the condition");
    const std::string& source = rule.when->source();
    for (const auto& [branch, seen] : from.branches) {
        if (branch.first == 0 && branch.second >= source.size()) continue;  // the whole again
        count(seen, "`" + source.substr(branch.first, branch.second - branch.first) + "`");
    }
    return made;
}

std::vector<RuleCoverage> Coverage::take() const {
    std::vector<RuleCoverage> all;
    for (std::size_t i = 0; i != rules_.size(); ++i)
        all.push_back(report(bundle_.engine().rules()[i], rules_[i]));
    return all;
}

}  // namespace chaperone::policy::testing

// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/check.h"

#include "policy/bundle/findings.h"
#include "policy/engine/engine.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace chaperone::policy::bundle {
namespace {

using engine::CompiledRule;
using engine::RuleKind;

// Nothing is known: what folds to a constant here is one whatever is asked.
class Nothing final : public cel::Activation {
public:
    cel::Value variable(std::size_t) const override { return cel::Value::unknown(); }
};

std::string place(const Bundle& bundle, const CompiledRule& rule) {
    return bundle.files()[rule.source->at.file].path + ":" + std::to_string(rule.source->at.line);
}

class Drift {
public:
    explicit Drift(const Bundle& bundle)
        : bundle_(bundle), rules_(bundle.engine().rules()), findings_(bundle.files()) {}

    std::vector<Issue> run() {
        constants();
        same_conditions();
        resources();
        approvers();
        tests();
        unused_acceptances();
        return findings_.take();
    }

private:
    void warn(const std::vector<Accept>& accepts, const Mark& at, std::string_view id,
              std::string message, std::string suggestion = {}) {
        for (const Accept& accept : accepts) {
            if (accept.warning != id) continue;
            met_.insert(&accept);
            return;
        }
        findings_.warning(at, std::string{id}, std::move(message), std::move(suggestion));
    }

    void warn(const CompiledRule& rule, std::string_view id, std::string message,
              std::string suggestion = {}) {
        std::vector<Accept> empty;
        for (const std::vector<Accept>* all : {&rule.source->accept, &rule.policy->accept})
            for (const Accept& accept : *all)
                if (accept.warning == id) {
                    met_.insert(&accept);
                    return;
                }
        warn(empty, rule.source->at, id, std::move(message), std::move(suggestion));
    }

    // The whole condition of a rule, so that equal ones have equal text; "" for none.
    std::string condition(const CompiledRule& rule) const {
        std::string text;
        if (rule.scope != engine::Engine::kNoScope)
            text = bundle_.engine().scopes()[rule.scope].text();
        if (rule.when) text += " && " + rule.when->text();
        return text;
    }

    void constants() {
        for (const CompiledRule& rule : rules_) {
            if (!rule.when) continue;
            const cel::Program folded = rule.when->partial(Nothing{}, engine::kRuleLimits);
            const cel::Value* constant = folded.constant();
            if (constant == nullptr) continue;
            if (constant->is_true())
                warn(rule, "always", "the condition is true whatever is asked", "leave `when` out");
            else
                warn(rule, "impossible",
                     constant->is_false() ? "the condition is false whatever is asked"
                                          : "the condition fails whatever is asked");
        }
    }

    // Rules with one condition: a deny decides for all of them.
    void same_conditions() {
        std::map<std::string, std::vector<const CompiledRule*>> groups;
        for (const CompiledRule& rule : rules_)
            if (!rule.shadow) groups[condition(rule)].push_back(&rule);
        const auto everywhere = groups.find("");
        const CompiledRule* denies_all =
            everywhere == groups.end() ? nullptr : deny_of(everywhere->second);
        for (const auto& [text, group] : groups) {
            const CompiledRule* deny = deny_of(group);
            if (deny == nullptr) deny = denies_all;
            if (deny == nullptr) continue;
            for (const CompiledRule* rule : group)
                if (rule->kind != RuleKind::Deny) overridden(*rule, *deny);
        }
    }

    static const CompiledRule* deny_of(const std::vector<const CompiledRule*>& group) {
        const auto found =
            std::ranges::find(group, RuleKind::Deny, [](const CompiledRule* r) { return r->kind; });
        return found == group.end() ? nullptr : *found;
    }

    void overridden(const CompiledRule& rule, const CompiledRule& deny) {
        const bool other_file = rule.source->at.file != deny.source->at.file;
        const std::string by = "rule \"" + deny.full_name + "\" at " + place(bundle_, deny);
        if (rule.kind == RuleKind::Allow && other_file)
            warn(rule, "contradiction",
                 "allows what " + by + " denies" +
                     (rule.when ? ": any request with " + rule.when->text() : ": every request"));
        else
            warn(rule, "never-decides", by + " denies whatever this rule matches");
    }

    // For every resource: whether any workload of the bundle is left with a rule that can allow.
    void resources() {
        for (const Resource& resource : bundle_.resources()) {
            if (bundle_.workloads().empty()) return;
            const bool used = std::ranges::any_of(
                bundle_.workloads(), [&](const Workload& w) { return reachable(w, resource); });
            if (!used)
                warn(resource.accept, resource.metadata.at, "resource-unused",
                     "no rule can allow any workload anything on resource \"" +
                         resource.metadata.name + "\"");
        }
    }

    bool reachable(const Workload& workload, const Resource& resource) const {
        // Claims, users and databases differ from session to session: a rule that looks at them
        // may allow something.
        for (const CompiledRule& rule : rules_) {
            if (rule.shadow) continue;
            if (rule.kind != RuleKind::Allow && rule.kind != RuleKind::Approve) continue;
            if (may_hold(rule, workload, resource)) return true;
        }
        return false;
    }

    bool may_hold(const CompiledRule& rule, const Workload& workload,
                  const Resource& resource) const {
        SessionFacts facts;
        facts.identity = {.subject = workload.subject, .groups = workload.groups};
        facts.workload = workload.metadata.name;
        facts.workload_labels = workload.metadata.labels;
        facts.resource = resource.metadata.name;
        facts.protocol = resource.protocol;
        facts.resource_labels = resource.metadata.labels;
        const engine::SessionView view{facts};
        const OfPair known{view, !workload.oidc.has_value()};
        const auto holds = [&](const cel::Program& program) {
            const cel::Program folded = program.partial(known, engine::kRuleLimits);
            const cel::Value* constant = folded.constant();
            return constant == nullptr || constant->is_true() ||
                   (rule.kind == RuleKind::Approve && !constant->is_false());
        };
        if (rule.scope != engine::Engine::kNoScope && !holds(bundle_.engine().scopes()[rule.scope]))
            return false;
        return !rule.when || holds(*rule.when);
    }

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

    // A group that is declared and empty, or fewer people than the rule wants.
    void approvers() {
        for (const CompiledRule& rule : rules_) {
            if (rule.kind != RuleKind::Approve) continue;
            std::set<std::string> people;
            bool open = false;  // a group of the operating system: who is in it is not known here
            for (const std::string& by : rule.source->approve->by) {
                if (by.starts_with("user:")) {
                    people.insert(by.substr(5));
                    continue;
                }
                const Approvers* group = group_named(by.substr(6));
                open = open || group == nullptr;
                if (group != nullptr) people.insert(group->users.begin(), group->users.end());
            }
            if (!open && people.size() < rule.source->approve->count)
                warn(rule, "no-approver",
                     "asks for " + std::to_string(rule.source->approve->count) +
                         " approvals and only " + std::to_string(people.size()) +
                         " people can give one");
        }
    }

    const Approvers* group_named(std::string_view name) const {
        for (const Approvers& group : bundle_.approvers())
            if (group.metadata.name == name) return &group;
        return nullptr;
    }

    // Only where somebody tests rules by name.
    void tests() {
        std::set<std::string> named;
        for (const PolicyTest& test : bundle_.tests())
            for (const TestCase& one : test.cases)
                if (one.expect.rule) named.insert(*one.expect.rule);
        if (named.empty()) return;
        for (const CompiledRule& rule : rules_) {
            if (rule.kind == RuleKind::Mask || rule.shadow) continue;
            if (named.contains(rule.source->id) || named.contains(rule.full_name)) continue;
            warn(rule, "no-rule-test", "no test case expects rule \"" + rule.full_name + "\"");
        }
    }

    void unused_acceptances() {
        const auto report = [&](const std::vector<Accept>& accepts) {
            for (const Accept& accept : accepts)
                if (!met_.contains(&accept))
                    findings_.warning(
                        accept.at, "unused-accept",
                        "accepts a warning \"" + accept.warning + "\" that there is not");
        };
        for (const Policy& policy : bundle_.policies()) {
            report(policy.accept);
            for (const Rule& rule : policy.rules) report(rule.accept);
        }
        for (const Resource& resource : bundle_.resources()) report(resource.accept);
        for (const Workload& workload : bundle_.workloads()) report(workload.accept);
    }

    const Bundle& bundle_;
    const std::vector<CompiledRule>& rules_;
    Findings findings_;
    std::set<const Accept*> met_;
};

}  // namespace

std::vector<Issue> drift(const Bundle& bundle) {
    return Drift{bundle}.run();
}

Loaded check(const std::filesystem::path& directory) {
    Loaded loaded = load(directory);
    if (!loaded.bundle) return loaded;
    std::vector<Issue> more = drift(*loaded.bundle);
    loaded.issues.insert(loaded.issues.end(), more.begin(), more.end());
    return loaded;
}

}  // namespace chaperone::policy::bundle

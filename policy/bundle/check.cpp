// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/check.h"

#include "policy/bundle/findings.h"
#include "policy/drift/overlaps.h"
#include "policy/drift/situations.h"
#include "policy/engine/engine.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace chaperone::policy::bundle {
namespace {

using engine::CompiledRule;
using engine::RuleKind;

std::string place(const Bundle& bundle, const CompiledRule& rule) {
    return bundle.files()[rule.source->at.file].path + ":" + std::to_string(rule.source->at.line);
}

class Drift {
public:
    Drift(const Bundle& bundle, const GroupSize& group_size)
        : bundle_(bundle),
          group_size_(group_size),
          rules_(bundle.engine().rules()),
          situations_(bundle),
          overlaps_(bundle, situations_),
          findings_(bundle.files()) {}

    std::vector<Issue> run() {
        constants();
        overlaps();
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
              std::string suggestion = {}, std::optional<Mark> at = {}) {
        for (const std::vector<Accept>* all : {&rule.source->accept, &rule.policy->accept})
            for (const Accept& accept : *all)
                if (accept.warning == id) {
                    met_.insert(&accept);
                    return;
                }
        findings_.warning(at.value_or(rule.source->at), std::string{id}, std::move(message),
                          std::move(suggestion));
    }

    // A condition that is one thing whatever is asked, by its own terms or by those of the bundle.
    void constants() {
        for (std::size_t i = 0; i != rules_.size(); ++i) {
            const CompiledRule& rule = rules_[i];
            if (situations_.out_of_scope(rule.scope)) {
                if (told_.insert(rule.policy).second)
                    warn(rule.policy->accept, rule.policy->metadata.at, "impossible",
                         "the policy is about no workload and resource of the bundle");
                told_.insert(&rule);
                continue;
            }
            if (!rule.when) continue;
            if (unknown_values(rule)) {
                told_.insert(&rule);
                continue;
            }
            const cel::Program folded = rule.when->partial(drift::Nothing{}, engine::kRuleLimits);
            const cel::Value* constant = folded.constant();
            if (constant == nullptr && !overlaps_.impossible(i)) continue;
            told_.insert(&rule);
            if (constant == nullptr) {
                warn(rule, "impossible",
                     "no workload of the bundle can ask anything that meets this condition");
            } else if (constant->is_true()) {
                warn(rule, "always", "the condition is true whatever is asked", "leave `when` out");
            } else {
                warn(rule, "impossible",
                     constant->is_false() ? "the condition is false whatever is asked"
                                          : "the condition fails whatever is asked");
            }
        }
    }

    // Text that what it is compared with never is: a kind of effect, a protocol, a name.
    bool unknown_values(const CompiledRule& rule) {
        bool found = false;
        for (const cel::NamedValue& named : cel::named_values(*rule.when)) {
            const std::vector<std::string> possible = situations_.values_of(named.path);
            if (possible.empty() || !named.value.starts_with('"')) continue;
            const std::string value = named.value.substr(1, named.value.size() - 2);
            if (std::ranges::find(possible, value) != possible.end()) continue;
            found = true;
            const std::vector<std::string_view> names{possible.begin(), possible.end()};
            warn(rule, "impossible", named.path + " is never " + named.value,
                 did_you_mean(value, names), literal_mark(rule, value));
        }
        return found;
    }

    Mark literal_mark(const CompiledRule& rule, const std::string& value) const {
        const std::string& source = rule.source->when->source;
        for (const char* quote : {"\"", "'"}) {
            const std::size_t at = source.find(quote + value + quote);
            if (at != source.npos)
                return inside_scalar(bundle_.files(), rule.source->when->at, source, at,
                                     value.size() + 2);
        }
        return rule.source->at;
    }

    void overlaps() {
        for (std::size_t i = 0; i != rules_.size(); ++i) {
            const CompiledRule& rule = rules_[i];
            if (told_.contains(&rule)) continue;
            if (rule.kind == RuleKind::Allow && contradiction(rule, i)) continue;
            if (const auto found = overlaps_.overridden(i)) {
                overridden(rule, *found);
            } else if (rule.kind == RuleKind::Mask && overlaps_.unmet(i)) {
                warn(rule, "mask-unmet", "no request that is allowed meets this mask");
            }
        }
    }

    static std::string shown(const std::string& example) {
        return example.empty() ? std::string{} : ", for example " + example;
    }

    bool contradiction(const CompiledRule& rule, std::size_t index) {
        const auto all = overlaps_.contradicted(index);
        for (const auto& found : all)
            warn(rule, "contradiction",
                 "rule \"" + found.by->full_name + "\" at " + place(bundle_, *found.by) +
                     " denies " +
                     (found.value.empty() ? "what this rule allows"
                                          : "what this rule allows with " + found.value) +
                     shown(found.example));
        return !all.empty();
    }

    void overridden(const CompiledRule& rule, const drift::Overlaps::Override& found) {
        if (found.by == nullptr) {
            warn(rule, "never-decides", "deny rules together deny whatever this rule matches");
            return;
        }
        const std::string by =
            "rule \"" + found.by->full_name + "\" at " + place(bundle_, *found.by);
        std::string does = " decides";
        if (found.by->kind == RuleKind::Deny) does = " denies";
        if (found.by->kind == RuleKind::Approve) does = " holds";
        const bool other_file = rule.source->at.file != found.by->source->at.file;
        if (rule.kind == RuleKind::Allow && found.by->kind == RuleKind::Deny && other_file)
            warn(rule, "contradiction",
                 by + " denies what this rule allows" + shown(found.example));
        else
            warn(rule, "never-decides",
                 by + does + " whatever this rule matches" + shown(found.example));
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
            std::string missing;
            std::size_t unnamed = 0;  // members of groups of the operating system
            bool open = false;        // a group of a host that is not this one
            for (const std::string& by : rule.source->approve->by) {
                if (by.starts_with("user:")) {
                    if (!is_agent(by.substr(5))) people.insert(by.substr(5));
                    continue;
                }
                if (const Approvers* group = group_named(by.substr(6))) {
                    people.insert(group->users.begin(), group->users.end());
                } else if (!group_size_) {
                    open = true;
                } else if (const auto size = group_size_(by.substr(6))) {
                    unnamed += *size;
                } else {
                    missing += (missing.empty() ? "\"" : ", \"") + by.substr(6) + "\"";
                }
            }
            const std::size_t can = people.size() + unnamed;
            if (open || can >= rule.source->approve->count) continue;
            warn(rule, "no-approver",
                 "asks for " + std::to_string(rule.source->approve->count) +
                     " approvals and only " + std::to_string(can) + " people can give one",
                 missing.empty() ? std::string{}
                                 : missing +
                                       " is neither a group of this host nor declared here "
                                       "(kind: Approvers)");
        }
    }

    // What is governed approves nothing, least of all its own requests.
    bool is_agent(std::string_view user) const {
        return std::ranges::any_of(bundle_.workloads(),
                                   [&](const Workload& w) { return w.subject == user; });
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
    const GroupSize& group_size_;
    const std::vector<CompiledRule>& rules_;
    drift::Situations situations_;
    drift::Overlaps overlaps_;
    Findings findings_;
    std::set<const Accept*> met_;
    std::set<const void*> told_;  // policies and rules of which the worst is said
};

}  // namespace

std::vector<Issue> drift(const Bundle& bundle, const GroupSize& group_size) {
    return Drift{bundle, group_size}.run();
}

Loaded check(const std::filesystem::path& directory, const GroupSize& group_size) {
    Loaded loaded = load(directory);
    if (!loaded.bundle) return loaded;
    std::vector<Issue> more = drift(*loaded.bundle, group_size);
    loaded.issues.insert(loaded.issues.end(), more.begin(), more.end());
    return loaded;
}

}  // namespace chaperone::policy::bundle

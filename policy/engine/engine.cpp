// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/engine.h"

#include "policy/engine/combine.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace chaperone::policy::engine {
namespace {

using bundle::Findings;

RuleKind kind_of(const bundle::Rule& rule) noexcept {
    if (rule.deny) return RuleKind::Deny;
    if (rule.approve) return RuleKind::Approve;
    if (!rule.mask.empty()) return RuleKind::Mask;
    return RuleKind::Allow;
}

// The byte at which line and column (from 1, in code points) stand.
std::size_t offset_of(std::string_view source, std::uint32_t line, std::uint32_t column) {
    std::size_t at = 0;
    for (std::uint32_t i = 1; i < line; ++i) {
        const std::size_t end = source.find('\n', at);
        if (end == std::string_view::npos) return source.size();
        at = end + 1;
    }
    for (std::uint32_t i = 1; i < column && at < source.size(); ++i) {
        ++at;
        while (at < source.size() && (static_cast<unsigned char>(source[at]) & 0xc0U) == 0x80U)
            ++at;
    }
    return at;
}

// An allow rule that looks at a request may allow one whose effects are not known only if whoever
// wrote it thought of that: `sql.writes.size() == 0` is true of what cannot be parsed.
bool thinks_of_unknown(const bundle::Rule& rule, const CompiledRule& compiled) {
    if (!rule.allow || !compiled.uses.request || rule.allow->unknown) return true;
    const std::string& source = rule.when->source;
    const auto& paths = compiled.when->references();
    return source.contains("\"unknown\"") || source.contains("'unknown'") ||
           std::ranges::find(paths, "sql.parsed") != paths.end() ||
           std::ranges::find(paths, "ssh.parsed") != paths.end();
}

}  // namespace

std::string_view to_text(RuleKind kind) noexcept {
    switch (kind) {
    case RuleKind::Deny: return "deny";
    case RuleKind::Approve: return "approve";
    case RuleKind::Mask: return "mask";
    case RuleKind::Allow: return "allow";
    }
    return "deny";
}

class Engine::Compiler {
public:
    explicit Compiler(Findings& findings) : findings_(findings) {}

    std::unique_ptr<const Engine> run(const std::vector<bundle::Policy>& policies) {
        std::map<std::string_view, std::size_t> ids;
        for (const bundle::Policy& policy : policies)
            for (const bundle::Rule& rule : policy.rules) ++ids[rule.id];
        for (const bundle::Policy& policy : policies) add(policy, ids);
        std::ranges::sort(made_->rules_, {}, &CompiledRule::full_name);
        made_->session_parts_ =
            session_parts(std::vector<std::string>{paths_.begin(), paths_.end()});
        return std::move(made_);
    }

private:
    std::optional<cel::Program> compile(const bundle::Expression& expression) {
        if (expression.source.empty()) return std::nullopt;  // reported when it was read
        auto found = cache_.find(expression.source);
        if (found == cache_.end()) {
            cel::Options options;
            options.expected = cel::TypeKind::Bool;
            found = cache_
                        .emplace(expression.source,
                                 cel::compile(expression.source, environment(), options))
                        .first;
        }
        for (const cel::Issue& issue : found->second.issues) report(expression, issue);
        const auto& program = found->second.program;
        if (!program) return std::nullopt;
        for (const std::string& path : program->references()) paths_.insert(path);
        return program;
    }

    void report(const bundle::Expression& expression, const cel::Issue& issue) {
        const std::size_t offset = offset_of(expression.source, issue.line, issue.column);
        const bundle::Mark at = bundle::inside_scalar(findings_.files(), expression.at,
                                                      expression.source, offset, issue.length);
        if (issue.severity == cel::Severity::Error)
            findings_.error(at, issue.message, issue.suggestion);
        else
            findings_.warning(at, "condition", issue.message, issue.suggestion);
    }

    std::size_t scope_of(const bundle::Policy& policy) {
        if (!policy.when) return kNoScope;
        const auto program = compile(*policy.when);
        if (!program) return kNoScope;
        const Uses uses = Uses::of(*program);
        if (uses.request || uses.now)
            findings_.error(policy.when->at,
                            "a policy's condition is decided when the session opens, it can look "
                            "at identity, workload, resource, session and conn only",
                            "put this condition on the rules");
        made_->scopes_.push_back(*program);
        return made_->scopes_.size() - 1;
    }

    void add(const bundle::Policy& policy, const std::map<std::string_view, std::size_t>& ids) {
        const std::size_t scope = scope_of(policy);
        const bool scope_names_replication =
            scope != kNoScope && Uses::of(made_->scopes_[scope]).replication;
        for (const bundle::Rule& rule : policy.rules) {
            CompiledRule compiled{.policy = &policy, .source = &rule, .kind = kind_of(rule)};
            compiled.full_name = policy.metadata.name + "/" + rule.id;
            compiled.name = ids.at(rule.id) == 1 ? rule.id : compiled.full_name;
            compiled.shadow = rule.mode.value_or(policy.mode) == bundle::Mode::Shadow;
            compiled.scope = scope;
            if (is_built_in(rule.id))
                findings_.error(rule.at, "\"" + rule.id + "\" is the name of a built-in rule");
            if (rule.when) {
                compiled.when = compile(*rule.when);
                if (!compiled.when) continue;
                compiled.uses = Uses::of(*compiled.when);
                compiled.allows_unknown = thinks_of_unknown(rule, compiled);
            }
            if (compiled.uses.dns && compiled.kind != RuleKind::Allow &&
                compiled.kind != RuleKind::Deny)
                findings_.error(rule.at, "names can be allowed or denied, and nothing else");
            if (compiled.uses.tool_call && compiled.kind == RuleKind::Mask)
                findings_.error(rule.at,
                                "tool calls of answers can be allowed, denied or approved, "
                                "and not masked");
            compiled.names_replication = compiled.uses.replication || scope_names_replication;
            compiled.names_fronted = compiled.uses.fronted;
            made_->rules_.push_back(std::move(compiled));
        }
    }

    Findings& findings_;
    std::unique_ptr<Engine> made_{new Engine};
    std::map<std::string, cel::Compiled, std::less<>> cache_;
    std::set<std::string> paths_;
};

std::unique_ptr<const Engine> Engine::compile(const std::vector<bundle::Policy>& policies,
                                              Findings& findings) {
    return Compiler{findings}.run(policies);
}

// The key is a digest: any part of it is as good as another.
std::size_t Decided::place(const Digest& key) {
    return std::to_integer<std::size_t>(key.front()) % kMost;
}

DecisionPtr Decided::find(const Digest& key) const {
    return all_.with([&](const auto& all) -> DecisionPtr {
        const Entry& entry = all[place(key)];
        return entry.decision && entry.key == key ? entry.decision : nullptr;
    });
}

void Decided::keep(const Digest& key, DecisionPtr decision) {
    all_.with([&](auto& all) {
        // What was there is let go outside of the lock.
        std::swap(all[place(key)].decision, decision);
        all[place(key)].key = key;
    });
}

Residual Engine::specialise(const SessionView& session) const {
    enum class Scope : std::uint8_t { Inside, Outside, Failed };
    const RequestActivation known{session, nullptr};
    std::vector<Scope> scopes;
    scopes.reserve(scopes_.size());
    for (const cel::Program& program : scopes_) {
        const cel::Value value = program.evaluate(known, kRuleLimits);
        scopes.push_back(value.is_true()    ? Scope::Inside
                         : value.is_false() ? Scope::Outside
                                            : Scope::Failed);
    }
    Residual residual;
    for (const CompiledRule& rule : rules_) {
        const Scope scope = rule.scope == kNoScope ? Scope::Inside : scopes[rule.scope];
        if (scope == Scope::Outside) continue;
        if (scope == Scope::Failed && rule.kind == RuleKind::Allow) continue;
        RuleLeft left{.rule = &rule, .failed = scope == Scope::Failed};
        if (rule.when) {
            cel::Program folded = rule.when->partial(known, kRuleLimits);
            const cel::Value* constant = folded.constant();
            if (constant == nullptr) {
                left.uses = Uses::of(folded);
                left.when = std::move(folded);
            } else if (constant->is_false()) {
                continue;
            } else if (!constant->is_true()) {
                if (rule.kind == RuleKind::Allow) continue;
                left.failed = true;
            }
        }
        if (left.uses.changing || left.uses.now) residual.changing.push_back(residual.rules.size());
        residual.rules.push_back(std::move(left));
    }
    return residual;
}

std::shared_ptr<const Residual> Engine::left_for(const SessionView& session) const {
    constexpr std::size_t kSweepAt = 1'024;  // entries, before those that nobody uses are dropped
    const std::string key = session.fingerprint(session_parts_);
    const auto find = [&](Shared& shared) -> std::shared_ptr<const Residual> {
        const auto found = shared.all.find(key);
        return found == shared.all.end() ? nullptr : found->second.lock();
    };
    if (auto found = shared_.with(find)) return found;
    auto made = std::make_shared<const Residual>(specialise(session));
    return shared_.with([&](Shared& shared) {
        if (auto other = find(shared)) return other;
        if (shared.all.size() >= kSweepAt)
            std::erase_if(shared.all, [](const auto& entry) { return entry.second.expired(); });
        shared.all[key] = made;
        shared.recent[shared.next++ % Shared::kRecent] = made;
        return made;
    });
}

}  // namespace chaperone::policy::engine

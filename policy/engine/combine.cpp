// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/combine.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace chaperone::policy::engine {
namespace {

struct Verdict {
    Effect effect = Effect::Deny;
    std::string rule{};
    std::string reason{};
    std::string hint{};
    std::vector<const CompiledRule*> matched{};
    std::vector<ApprovalNeed> approvals{};
    MaskSet masks{};
    MaskSet request_masks{};
};

std::string list_of(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += (text.empty() ? "" : " or ") + item;
    return text;
}

std::string path_of(const sql::ColumnRef& column) {
    return (column.schema.empty() ? "" : column.schema + ".") + column.relation + "." +
           column.column;
}

void add_column(MaskSet& masks, const std::string& pattern, detect::With with,
                const std::string& rule) {
    const auto same = std::ranges::find(masks.columns, pattern, &ColumnMask::pattern);
    if (same == masks.columns.end()) {
        masks.columns.push_back({pattern, with, rule});
    } else if (detect::stronger(same->with, with) != same->with) {
        *same = {pattern, with, rule};
    }
}

void add_json(MaskSet& masks, const JsonPath& path, detect::With with, const std::string& rule) {
    const auto same = std::ranges::find_if(
        masks.json, [&](const JsonMask& other) { return other.path.text() == path.text(); });
    if (same == masks.json.end())
        masks.json.push_back({path, with, rule});
    else if (detect::stronger(same->with, with) != same->with)
        *same = {path, with, rule};
}

void add_masks(MaskSet& masks, const CompiledRule& rule, bundle::MaskIn direction) {
    for (const bundle::Mask& item : rule.source->mask) {
        if (item.in != direction && item.in != bundle::MaskIn::Both) continue;
        for (const std::string& pattern : item.columns)
            add_column(masks, pattern, item.with, rule.name);
        for (const JsonPath& path : item.json_paths) add_json(masks, path, item.with, rule.name);
        if (item.detect.empty()) continue;
        DetectMask made{item.detect, item.with, rule.name};
        std::ranges::sort(made.kinds);
        const bool there = std::ranges::any_of(masks.detectors, [&](const DetectMask& other) {
            return other.kinds == made.kinds && other.with == made.with;
        });
        if (!there) masks.detectors.push_back(std::move(made));
    }
}

void sort(MaskSet& masks) {
    std::ranges::sort(masks.columns, {}, &ColumnMask::pattern);
    std::ranges::sort(masks.detectors, [](const DetectMask& a, const DetectMask& b) {
        return std::tie(a.kinds, a.with) < std::tie(b.kinds, b.with);
    });
    std::ranges::sort(masks.json, {}, [](const JsonMask& mask) { return mask.path.text(); });
}

void deny(Verdict& verdict, std::string_view rule, std::string reason, std::string hint = {}) {
    verdict.effect = Effect::Deny;
    verdict.rule = rule;
    verdict.reason = std::move(reason);
    verdict.hint = std::move(hint);
}

// A copy in a column that is masked as strongly shows no more than the original.
bool covered(const MaskSet& masks, const sql::Flow& flow, detect::With with) {
    if (flow.column.empty()) return false;
    const std::size_t dot = flow.target.find('.');
    if (dot == std::string::npos) return false;
    // The pattern must name the target for certain, so that "" and "*" do not match by themselves.
    const std::string_view target = flow.target;
    const auto mask = masks.column(target.substr(0, dot), target.substr(dot + 1), flow.column);
    return mask && flow.column != "*" && detect::stronger(*mask, with) == *mask;
}

bool flows_out(Verdict& verdict, const sql::Facts& facts) {
    if (verdict.masks.columns.empty()) return false;
    for (const sql::Flow& flow : facts.flows) {
        const bool known = !flow.source.relation.empty();
        const auto with = known ? verdict.masks.column(flow.source.schema, flow.source.relation,
                                                       flow.source.column)
                                : verdict.masks.unknown_column();
        if (!with || covered(verdict.masks, flow, *with)) continue;
        deny(verdict, kMaskedFlow,
             (known ? "masked column " + path_of(flow.source)
                    : std::string{"a value that may be of a masked column"}) +
                 " may not be copied into " + flow.target,
             "copy the other columns only");
        return true;
    }
    return false;
}

// COPY … TO a file or program of the server: nobody could mask what is written there.
bool leaves_to_server(Verdict& verdict, const sql::Facts& facts) {
    if (verdict.masks.empty()) return false;
    for (const sql::Statement& statement : facts.statements) {
        if (!statement.copy_out || statement.copy_out->to_client) continue;
        bool masked = !statement.outputs_known || !verdict.masks.detectors.empty();
        for (const sql::OutputColumn& output : statement.outputs) {
            masked = masked || output.unknown;
            for (const sql::ColumnRef& source : output.sources)
                masked =
                    masked || verdict.masks.column(source.schema, source.relation, source.column);
        }
        if (!masked) continue;
        deny(verdict, kMaskedFlow, "masked values may not be written to a file of the server",
             "COPY … TO STDOUT is masked and allowed");
        return true;
    }
    return false;
}

bool infers(Verdict& verdict, const sql::Facts& facts) {
    for (const CompiledRule* rule : verdict.matched) {
        if (rule->kind != RuleKind::Mask) continue;
        for (const bundle::Mask& item : rule->source->mask) {
            if (item.filters != bundle::Filters::Deny) continue;
            for (const sql::ColumnRef& column : facts.filters)
                for (const std::string& pattern : item.columns)
                    if (column_matches(pattern, column.schema, column.relation, column.column)) {
                        deny(verdict, kMaskedFilter,
                             "masked column " + path_of(column) +
                                 " may not be used to filter, join or sort (rule \"" + rule->name +
                                 "\")");
                        return true;
                    }
        }
    }
    return false;
}

bool unlisted_database(Verdict& verdict, const Situation& at) {
    if (at.resource == nullptr || at.resource->databases.empty()) return false;
    if (std::ranges::find(at.resource->databases, at.session.database) !=
        at.resource->databases.end())
        return false;
    deny(verdict, kUnlistedDatabase,
         "resource " + at.resource->metadata.name + " does not offer this database");
    return true;
}

// What the bundle cannot allow. The verdict has its masks and matches already.
bool built_in(Verdict& verdict, const Situation& at) {
    if (at.stage == Stage::Connect) {
        if (unlisted_database(verdict, at)) return true;
        if (!at.blind() || (verdict.masks.empty() && verdict.request_masks.empty())) return false;
        deny(verdict, kUninspected,
             "values of this resource are masked, and what passes here is not inspected");
        return true;
    }
    if (at.dns != nullptr && !verdict.approvals.empty()) {
        deny(verdict, verdict.approvals.front().rule, "names are not held for approval");
        return true;
    }
    if (at.shell != nullptr && !verdict.request_masks.empty()) {
        deny(verdict, kMaskedRequest, "what a command sends cannot be masked");
        return true;
    }
    if (at.sql == nullptr) return false;
    if (!verdict.request_masks.empty()) {
        deny(verdict, kMaskedRequest, "what a statement sends cannot be masked");
        return true;
    }
    return flows_out(verdict, *at.sql) || leaves_to_server(verdict, *at.sql) ||
           infers(verdict, *at.sql);
}

// Only requests of a later stage are asked about.
bool only_opens(const Situation& at) {
    return at.stage == Stage::Connect && !at.blind();
}

ApprovalNeed need_of(const CompiledRule& rule) {
    const bundle::Approve& approve = *rule.source->approve;
    return {.rule = rule.name,
            .by = approve.by,
            .count = approve.count,
            .within = approve.within,
            .scope = approve.scope,
            .window = approve.window};
}

// Deny, else approve, else allow, else deny.
void settle(Verdict& verdict, const Situation& at, bool possible, const CompiledRule* denies,
            const CompiledRule* allows) {
    if (denies != nullptr) {
        const bundle::Deny& source = *denies->source->deny;
        deny(verdict, denies->name, source.reason.empty() ? "not allowed" : source.reason,
             source.hint);
        return;
    }
    if (built_in(verdict, at)) return;
    if (at.http != nullptr && at.http->fronted() && (allows == nullptr || !allows->names_fronted)) {
        deny(verdict, kFrontedRule,
             "the request names another host than the connection was opened to",
             "open a connection to that host");
        return;
    }
    if (!verdict.approvals.empty()) {
        verdict.effect = Effect::Approve;
        verdict.rule = verdict.approvals.front().rule;
        verdict.reason = "needs the approval of " + list_of(verdict.approvals.front().by);
        return;
    }
    if (allows != nullptr || possible) {
        verdict.effect = Effect::Allow;
        if (allows != nullptr) verdict.rule = allows->name;
        return;
    }
    if (at.dns != nullptr) {
        if (!at.dns->resources.empty())
            verdict.effect = Effect::Allow;
        else
            deny(verdict, "", "no resource that this workload may use has the name");
        return;
    }
    deny(verdict, "", only_opens(at) ? "no rule allows anything here" : "no rule allows it");
}

Verdict judge(const Residual& residual, std::span<const Outcome> outcomes, const Situation& at,
              bool with_shadow) {
    Verdict verdict;
    const CompiledRule* denies = nullptr;
    const CompiledRule* allows = nullptr;
    bool possible = false;  // something may be allowed later
    const bool early = only_opens(at) || at.stage == Stage::Prepare;
    for (std::size_t i = 0; i != residual.rules.size(); ++i) {
        const CompiledRule& rule = *residual.rules[i].rule;
        if (rule.shadow && !with_shadow) continue;
        if (!concerns(rule, at)) continue;
        const bool matched = counts(rule, outcomes[i], at);
        if (matched) verdict.matched.push_back(&rule);
        switch (rule.kind) {
        case RuleKind::Deny:
            if (matched && denies == nullptr) denies = &rule;
            break;
        case RuleKind::Approve:
            if (matched && at.stage != Stage::Prepare) verdict.approvals.push_back(need_of(rule));
            possible = possible || (early && outcomes[i] != Outcome::No);
            break;
        case RuleKind::Mask:
            if (matched) add_masks(verdict.masks, rule, bundle::MaskIn::Response);
            if (matched) add_masks(verdict.request_masks, rule, bundle::MaskIn::Request);
            break;
        case RuleKind::Allow:
            if (matched && (allows == nullptr || (rule.names_fronted && !allows->names_fronted)))
                allows = &rule;
            possible = possible || (early && outcomes[i] == Outcome::Unknown);
            break;
        }
    }
    sort(verdict.masks);
    sort(verdict.request_masks);
    settle(verdict, at, possible, denies, allows);
    return verdict;
}

bool same_masks(const MaskSet& a, const MaskSet& b) {
    const auto column = [](const ColumnMask& x, const ColumnMask& y) {
        return x.pattern == y.pattern && x.with == y.with;
    };
    const auto detector = [](const DetectMask& x, const DetectMask& y) {
        return x.kinds == y.kinds && x.with == y.with;
    };
    const auto path = [](const JsonMask& x, const JsonMask& y) {
        return x.path.text() == y.path.text() && x.with == y.with;
    };
    return std::ranges::equal(a.columns, b.columns, column) &&
           std::ranges::equal(a.detectors, b.detectors, detector) &&
           std::ranges::equal(a.json, b.json, path);
}

Decision decision_of(Verdict verdict, const Situation& at) {
    Decision made;
    made.effect = verdict.effect;
    made.rule = std::move(verdict.rule);
    for (const CompiledRule* rule : verdict.matched) made.rules.push_back(rule->name);
    made.reason = std::move(verdict.reason);
    made.hint = std::move(verdict.hint);
    if (made.effect == Effect::Approve) made.approvals = std::move(verdict.approvals);
    made.masks = std::move(verdict.masks);
    made.request_masks = std::move(verdict.request_masks);
    made.mcp = at.http != nullptr && at.mcp;
    made.bundle = at.bundle;
    made.generation = at.generation;
    made.commit = at.commit;
    made.shadow_effect = made.effect;
    return made;
}

std::vector<std::string> shadow_names(const Verdict& verdict) {
    std::vector<std::string> names;
    for (const CompiledRule* rule : verdict.matched)
        if (rule->shadow) names.push_back(rule->name);
    return names;
}

// How much an outcome says against a request; of several readings the most counts.
int weight(Outcome outcome, bool allows) {
    switch (outcome) {
    case Outcome::No: return allows ? 3 : 0;
    case Outcome::Failed: return 2;
    case Outcome::Unknown: return 1;
    case Outcome::Yes: return allows ? 0 : 3;
    }
    return 3;
}

}  // namespace

Outcome stricter(Outcome one, Outcome other, bool allows) noexcept {
    return weight(other, allows) > weight(one, allows) ? other : one;
}

bool is_built_in(std::string_view id) noexcept {
    constexpr std::array kAll{kMaskedFlow,  kMaskedFilter,     kMaskedRequest,
                              kUninspected, kUnlistedDatabase, kFrontedRule};
    return std::ranges::find(kAll, id) != kAll.end();
}

bool Situation::blind() const {
    if (session.replication) return true;
    if (resource != nullptr && !resource->inspect) return true;
    return session.protocol == "tcp" || session.protocol == "udp" || session.protocol == "unix";
}

bool concerns(const CompiledRule& rule, const Situation& at) {
    if (rule.uses.dns != (at.dns != nullptr)) return false;
    // A rule that names another protocol's requests, and not this one's, is about those.
    const Uses& uses = rule.uses;
    if (at.sql != nullptr) return uses.sql || !(uses.http || uses.ssh);
    if (at.shell != nullptr) return uses.ssh || !(uses.http || uses.sql);
    if (at.message != nullptr && !rule.uses.message && rule.kind == RuleKind::Approve)
        return false;  // whoever had to agree did so when it was opened
    if (at.http != nullptr && at.message == nullptr && rule.uses.message) return false;
    if (at.tool_call != nullptr && !rule.uses.tool_call && rule.kind == RuleKind::Approve)
        return false;  // whoever had to agree did so to the request
    if (at.http != nullptr && at.tool_call == nullptr && rule.uses.tool_call) return false;
    if (at.http != nullptr) return uses.http || !(uses.sql || uses.ssh);
    return true;
}

bool counts(const CompiledRule& rule, Outcome outcome, const Situation& at) {
    // After the values are there, nothing is left to be known: what still is not, has failed.
    const bool late = at.stage != Stage::Connect && at.stage != Stage::Prepare;
    if (late && outcome == Outcome::Unknown) outcome = Outcome::Failed;
    switch (rule.kind) {
    case RuleKind::Deny: return outcome == Outcome::Yes || outcome == Outcome::Failed;
    case RuleKind::Approve:
        // One statement's approval cannot be given before there is a statement.
        if (only_opens(at) && rule.source->approve->scope == ApprovalScope::Statement) return false;
        return outcome == Outcome::Yes || outcome == Outcome::Failed;
    case RuleKind::Mask: return outcome != Outcome::No;
    case RuleKind::Allow:
        if (outcome != Outcome::Yes) return false;
        if (at.stage == Stage::Connect && at.session.replication) return rule.names_replication;
        if (rule.allows_unknown) return true;
        return (at.sql == nullptr || !at.sql->does(sql::EffectKind::Unknown)) &&
               (at.shell == nullptr || !at.shell->does(shell::EffectKind::Unknown));
    }
    return false;
}

DecisionPtr combine(const Residual& residual, std::span<const Outcome> outcomes,
                    const Situation& at) {
    const bool shadow =
        std::ranges::any_of(residual.rules, [](const RuleLeft& left) { return left.rule->shadow; });
    Verdict enforced = judge(residual, outcomes, at, false);
    if (at.workload_shadow) {
        // The whole workload only watches: what the rules say is kept, and nothing follows.
        Verdict all = shadow ? judge(residual, outcomes, at, true) : std::move(enforced);
        Decision made =
            decision_of({.effect = Effect::Allow, .reason = "the workload is in shadow mode"}, at);
        made.shadow_effect = all.effect;
        for (const CompiledRule* rule : all.matched) made.shadow_rules.push_back(rule->name);
        if (made.shadow_rules.empty() && all.effect != Effect::Allow)
            made.shadow_rules.push_back(all.rule.empty() ? "default" : all.rule);
        return std::make_shared<const Decision>(std::move(made));
    }
    if (!shadow) return std::make_shared<const Decision>(decision_of(std::move(enforced), at));
    const Verdict all = judge(residual, outcomes, at, true);
    const bool changes = all.effect != enforced.effect || !same_masks(all.masks, enforced.masks) ||
                         !same_masks(all.request_masks, enforced.request_masks);
    Decision made = decision_of(std::move(enforced), at);
    if (changes) {
        made.shadow_effect = all.effect;
        made.shadow_rules = shadow_names(all);
    }
    return std::make_shared<const Decision>(std::move(made));
}

}  // namespace chaperone::policy::engine

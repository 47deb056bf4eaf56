// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/session_policy.h"

#include "policy/engine/combine.h"
#include "policy/engine/declarations.h"
#include "policy/engine/engine.h"
#include "policy/http/facts.h"
#include "policy/http/model_api.h"
#include "userspace/base/sha256.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::policy {
namespace {

using engine::Outcome;

// Decisions that one session keeps: drivers prepare a few dozen statements and run them again.
constexpr std::size_t kKept = 64;
// Of requests of HTTP without a body; and the largest head that is compared with those before it.
constexpr std::size_t kKeptHttp = 16, kMaxKeptHead = 2048;
constexpr std::size_t kUsualHead = 512;  // bytes

bool is_shadow(const SessionFacts& session, const bundle::Bundle& bundle) {
    const auto label = session.workload_labels.find("chaperone.dev/mode");
    if (label != session.workload_labels.end() && label->second == "shadow") return true;
    const bundle::Workload* workload = bundle.workload(session.workload);
    return workload != nullptr && workload->mode == bundle::Mode::Shadow;
}

Outcome outcome_of(const engine::RuleLeft& left, const cel::Activation& variables) {
    if (!left.when) return left.failed ? Outcome::Failed : Outcome::Yes;
    const cel::Value value = left.when->evaluate(variables, engine::kRuleLimits);
    if (value.is_true()) return Outcome::Yes;
    if (value.is_false()) return Outcome::No;
    return value.is(cel::Kind::Unknown) ? Outcome::Unknown : Outcome::Failed;
}

void add_number(std::string& to, std::uint64_t number) {
    to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// So that two lists of texts are the same only if each text is.
void add_part(std::string& to, std::string_view text) {
    add_number(to, text.size());
    to.append(text);
}

DecisionPtr needs_body() {
    static const DecisionPtr made = [] {
        Decision open;
        open.needs_body = true;
        open.reason = "the body was not seen";
        return std::make_shared<const Decision>(std::move(open));
    }();
    return made;
}

}  // namespace

struct SessionPolicy::State {
    struct Kept {
        std::shared_ptr<const sql::Facts> sql;  // kept alive, so that its address is its identity
        Stage stage{};
        std::uint64_t used = 0;
        std::vector<Outcome> outcomes;  // only if some rule is not settled by the analysis
        DecisionPtr decision;
    };

    struct KeptHttp {
        std::string head{};
        DecisionPtr decision{};
    };

    State(std::shared_ptr<const bundle::Bundle> from, std::shared_ptr<const SessionFacts> facts)
        : bundle(std::move(from)),
          session(std::move(facts)),
          view(*session),
          left(bundle->engine().left_for(view)),
          resource(bundle->resource(session->resource)),
          workload_shadow(is_shadow(*session, *bundle)) {}

    engine::Situation situation(const Request& request) const {
        return {.session = *session,
                .resource = resource,
                .stage = request.stage,
                .sql = request.sql.get(),
                .dns = request.dns.get(),
                .http = request.http.get(),
                .mcp = request.http != nullptr && speaks_of_mcp(),
                .shell = request.shell.get(),
                .message = request.message.get(),
                .tool_call = request.tool_call.get(),
                .workload_shadow = workload_shadow,
                .bundle = bundle->digest(),
                .generation = bundle->provenance().generation,
                .commit = bundle->provenance().commit};
    }

    using Outcomes = std::vector<Outcome>;

    // `message`: which of MCP, where the body has several.
    Outcomes evaluate(const Request& request, const http::McpMessage* message = nullptr) const {
        const bool opens = request.stage == Stage::Connect && request.sql == nullptr;
        const engine::RequestActivation variables{view, &request, 0, message};
        const engine::Situation at = situation(request);
        Outcomes outcomes;
        outcomes.reserve(left->rules.size());
        for (const engine::RuleLeft& rule : left->rules) {
            // A rule about names says nothing else, and is left out when all is put together.
            if (!engine::concerns(*rule.rule, at)) outcomes.push_back(Outcome::No);
            // Nothing of a request is known before there is one.
            else if (opens && rule.uses.request && rule.rule->kind == engine::RuleKind::Deny)
                outcomes.push_back(Outcome::Unknown);
            else
                outcomes.push_back(outcome_of(rule, variables));
        }
        if (request.http != nullptr) read_otherwise(request, message, outcomes);
        return outcomes;
    }

    // Each message of a batch is decided as if it came alone. Where one is denied, so is all; else
    // what allows any of them, and whatever else is said of any, is said of all.
    Outcomes evaluate_batch(const Request& request,
                            const std::vector<http::McpMessage>& batch) const {
        Outcomes all;
        for (const http::McpMessage& message : batch) {
            Outcomes one = evaluate(request, &message);
            const engine::Situation at = situation(request);
            const DecisionPtr alone = combine(*left, one, at);
            // What is denied in shadow only must not hide what is denied behind it.
            const Effect effect = at.workload_shadow ? alone->shadow_effect : alone->effect;
            if (effect == Effect::Deny) return one;
            if (all.empty()) {
                all = std::move(one);
                continue;
            }
            for (std::size_t i = 0; i != all.size(); ++i) {
                const bool allows = left->rules[i].rule->kind == engine::RuleKind::Allow;
                all[i] = allows && one[i] == Outcome::Yes ? Outcome::Yes
                                                          : engine::stricter(all[i], one[i], false);
            }
        }
        return all;
    }

    std::vector<http::McpMessage> batch_of(const Request& request) const {
        return speaks_of_mcp() ? engine::mcp_batch(request) : std::vector<http::McpMessage>{};
    }

    // What servers may take the request for, beside its canonical reading.
    void read_otherwise(const Request& request, const http::McpMessage* message,
                        Outcomes& outcomes) const {
        const auto& readings = request.http->readings();
        for (std::size_t at = 1; at < readings.size(); ++at) {
            const engine::RequestActivation variables{view, &request, at, message};
            for (std::size_t i = 0; i != outcomes.size(); ++i) {
                const engine::RuleLeft& rule = left->rules[i];
                const bool allows = rule.rule->kind == engine::RuleKind::Allow;
                if (!rule.uses.readings || (allows && readings[at].only_forbids)) continue;
                outcomes[i] = engine::stricter(outcomes[i], outcome_of(rule, variables), allows);
            }
        }
    }

    bool speaks_of_mcp() const {
        return std::ranges::any_of(left->rules, [](const auto& rule) { return rule.uses.mcp; });
    }

    // Whether what is in the body may change what is decided.
    bool hangs_on_body(const Request& request, const std::vector<Outcome>& outcomes) const {
        if (request.http == nullptr || request.mcp != nullptr || request.tool_call != nullptr ||
            request.http->body.state != http::Body::State::NotSeen)
            return false;
        bool open = false;
        for (std::size_t i = 0; i != outcomes.size(); ++i) {
            const engine::CompiledRule& rule = *left->rules[i].rule;
            if (rule.kind == engine::RuleKind::Deny && outcomes[i] == Outcome::Yes && !rule.shadow)
                return false;
            open = open || (outcomes[i] == Outcome::Unknown && left->rules[i].uses.body);
            // What is said of the answer's calls is decided with the body that was sent.
            open = open || (rule.uses.tool_call && left->rules[i].uses.body &&
                            http::may_call_tools(*request.http));
        }
        return open;
    }

    // Whether this opens what some rule looks into, message by message: one that is not settled by
    // the handshake alone, however it may be read.
    bool watches(const Request& request) const {
        if (!chaperone::http::same(request.http->upgrade(), "websocket")) return false;
        for (std::size_t at = 0; at != request.http->readings().size(); ++at) {
            const engine::RequestActivation variables{view, &request, at};
            for (const engine::RuleLeft& rule : left->rules)
                if (rule.rule->uses.message && outcome_of(rule, variables) != Outcome::No)
                    return true;
        }
        return false;
    }

    // Whether some rule looks at the tool calls of the answer: one that is not settled by the
    // request alone.
    bool watches_calls(const Request& request) const {
        if (!http::may_call_tools(*request.http)) return false;
        for (std::size_t at = 0; at != request.http->readings().size(); ++at) {
            const engine::RequestActivation variables{view, &request, at};
            for (const engine::RuleLeft& rule : left->rules)
                if (rule.rule->uses.tool_call && outcome_of(rule, variables) != Outcome::No)
                    return true;
        }
        return false;
    }

    Kept* find(const Request& request) {
        for (Kept& entry : kept)
            if (entry.sql == request.sql && entry.stage == request.stage) return &entry;
        return nullptr;
    }

    // Where the decision on such a head is kept, if it hangs on nothing but the head; `key` is then
    // all of it that anything is decided on. Null: it must be decided anew.
    KeptHttp* kept_for(const Request& request) {
        if (request.stage != Stage::Http || request.http == nullptr || request.mcp != nullptr ||
            request.message != nullptr || request.tool_call != nullptr || !left->changing.empty() ||
            request.http->body.state != http::Body::State::Whole ||
            !request.http->body.data.empty())
            return nullptr;
        key.clear();
        key.reserve(kUsualHead);
        const auto add = [this](std::string_view text) { add_part(key, text); };
        const auto& head = request.http->head();
        for (const std::string_view part :
             {head.method, head.scheme, head.authority, head.target, head.version, head.protocol})
            add(part);
        add(request.http->fronted() ? "fronted" : "");
        for (const auto& field : head.fields) {
            add(field.name);
            add(field.value);
        }
        if (key.size() > kMaxKeptHead) return nullptr;
        return &kept_http[std::hash<std::string_view>{}(key) % kKeptHttp];
    }

    // The same for the question whether the session may open at all, which `key` then is.
    bool opens_alike(const Request& request) {
        const bool alike = request.stage == Stage::Connect && request.sql == nullptr &&
                           request.dns == nullptr && request.http == nullptr &&
                           request.mcp == nullptr && request.shell == nullptr &&
                           request.message == nullptr && left->changing.empty();
        if (alike) key = "connect";
        return alike;
    }

    // Of `key` and of whatever else of this session a decision on a head hangs on, beside the rules
    // that are left. A digest, because heads carry credentials, and it outlives the session.
    Digest key_of_alike() {
        if (!alike) alike = digest_of_session();
        return sha256(*alike, as_bytes(key));
    }

    Digest digest_of_session() const {
        static thread_local std::string whole;
        whole.clear();
        const Destination& to = session->destination;
        for (const std::string_view part : std::initializer_list<std::string_view>{
                 bundle->digest(), bundle->provenance().commit, session->workload,
                 session->identity.subject, session->resource, session->protocol, session->database,
                 session->user, to.address, to.name, workload_shadow ? "shadow" : "",
                 session->replication ? "replication" : ""})
            add_part(whole, part);
        add_number(whole, bundle->provenance().generation);
        add_number(whole, to.port);
        return sha256(as_bytes(whole));
    }

    DecisionPtr keep(const Request& request, std::vector<Outcome> outcomes, DecisionPtr decision) {
        Kept* entry = nullptr;
        if (kept.size() < kKept) {
            entry = &kept.emplace_back();
        } else {
            entry = &kept.front();
            for (Kept& other : kept)
                if (other.used < entry->used) entry = &other;
        }
        if (left->changing.empty()) outcomes.clear();
        *entry = {request.sql, request.stage, ++clock, std::move(outcomes), decision};
        return decision;
    }

    // The rules that this run may have changed, and the decision if they did.
    DecisionPtr refresh(Kept& entry, const Request& request) const {
        const engine::RequestActivation variables{view, &request};
        bool changed = false;
        for (const std::size_t i : left->changing) {
            const Outcome outcome = outcome_of(left->rules[i], variables);
            changed = changed || outcome != entry.outcomes[i];
            entry.outcomes[i] = outcome;
        }
        if (changed) entry.decision = combine(*left, entry.outcomes, situation(request));
        return entry.decision;
    }

    std::shared_ptr<const bundle::Bundle> bundle;
    std::shared_ptr<const SessionFacts> session;
    engine::SessionView view;
    std::shared_ptr<const engine::Residual> left;
    const bundle::Resource* resource;
    bool workload_shadow;
    std::vector<Kept> kept;
    std::array<KeptHttp, kKeptHttp> kept_http{};
    std::string key;              // of the request that is decided
    std::optional<Digest> alike;  // digest_of_session(), once it was asked for
    std::uint64_t clock = 0;
};

SessionPolicy::SessionPolicy(std::shared_ptr<const bundle::Bundle> bundle,
                             std::shared_ptr<const SessionFacts> session)
    : state_(std::make_unique<State>(std::move(bundle), std::move(session))) {}
SessionPolicy::SessionPolicy(SessionPolicy&&) noexcept = default;
SessionPolicy& SessionPolicy::operator=(SessionPolicy&&) noexcept = default;
SessionPolicy::~SessionPolicy() = default;

DecisionPtr SessionPolicy::decide(const Request& request) {
    State& state = *state_;
    if (!request.refused.empty()) {
        Decision refused;
        refused.reason = request.refused;
        refused.bundle = state.bundle->digest();
        refused.generation = state.bundle->provenance().generation;
        refused.commit = state.bundle->provenance().commit;
        refused.shadow_effect = Effect::Deny;
        return std::make_shared<const Decision>(std::move(refused));
    }
    if (request.sql != nullptr) {
        if (State::Kept* entry = state.find(request)) {
            entry->used = ++state.clock;
            return state.left->changing.empty() ? entry->decision : state.refresh(*entry, request);
        }
    }
    State::KeptHttp* const again = state.kept_for(request);
    if (again != nullptr && again->decision && again->head == state.key) return again->decision;
    const bool shared = again != nullptr || state.opens_alike(request);
    const Digest alike = shared ? state.key_of_alike() : Digest{};
    if (shared) {
        if (DecisionPtr decided = state.left->decided->find(alike)) {
            if (again != nullptr) *again = {state.key, decided};
            return decided;
        }
    }
    const std::vector<http::McpMessage> batch = state.batch_of(request);
    std::vector<Outcome> outcomes =
        batch.empty() ? state.evaluate(request) : state.evaluate_batch(request, batch);
    if (state.hangs_on_body(request, outcomes)) return needs_body();
    DecisionPtr decision = combine(*state.left, outcomes, state.situation(request));
    // A person sees, and a grant is bound to, the whole of the request.
    if (decision->effect == Effect::Approve && request.http != nullptr && !request.mcp &&
        request.tool_call == nullptr && request.http->body.state == http::Body::State::NotSeen)
        return needs_body();
    if (request.stage == Stage::Http && decision->effect != Effect::Deny &&
        state.watches(request)) {
        auto opens = *decision;
        opens.messages = true;
        decision = std::make_shared<const Decision>(std::move(opens));
    }
    if (request.stage == Stage::Http && request.mcp == nullptr &&
        decision->effect != Effect::Deny && state.watches_calls(request)) {
        auto asks = *decision;
        asks.tool_calls = true;
        decision = std::make_shared<const Decision>(std::move(asks));
    }
    if (again != nullptr) *again = {state.key, decision};
    if (shared) state.left->decided->keep(alike, decision);
    if (request.sql == nullptr) return decision;
    return state.keep(request, std::move(outcomes), std::move(decision));
}

const bundle::Bundle& SessionPolicy::bundle() const noexcept {
    return *state_->bundle;
}
const std::shared_ptr<const bundle::Bundle>& SessionPolicy::shared_bundle() const noexcept {
    return state_->bundle;
}
const SessionFacts& SessionPolicy::session() const noexcept {
    return *state_->session;
}

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
// The rules of a bundle, compiled, and what is left of them in sessions that are alike. Immutable
// but for the table of what is shared, which is guarded: any thread may ask.
#pragma once

#include "policy/bundle/documents.h"
#include "policy/bundle/findings.h"
#include "policy/cel/program.h"
#include "policy/decision.h"
#include "policy/engine/variables.h"
#include "userspace/base/guarded.h"
#include "userspace/base/sha256.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chaperone::policy::engine {

enum class RuleKind : std::uint8_t { Deny, Approve, Mask, Allow };
std::string_view to_text(RuleKind kind) noexcept;

// More work than this is refused as unevaluable: a statement has effects by the thousand at most.
constexpr cel::Limits kRuleLimits{.steps = 200'000, .value_size = std::uint64_t{1} << 20};

struct CompiledRule {
    const bundle::Policy* policy = nullptr;
    const bundle::Rule* source = nullptr;
    std::string name{};       // as decisions show it: the id, "policy/id" if that is ambiguous
    std::string full_name{};  // "policy/id"
    RuleKind kind = RuleKind::Deny;
    bool shadow = false;
    std::size_t scope = 0;  // index into scopes()
    std::optional<cel::Program> when{};
    Uses uses{};                     // of the rule's own condition
    bool names_replication = false;  // in its own condition or in its policy's
    bool names_fronted = false;      // http.fronted, in its own condition
    bool allows_unknown = true;      // an allow rule that may allow what cannot be analysed
};

// What is left of a rule in a session. Without a condition it matches every request.
struct RuleLeft {
    const CompiledRule* rule = nullptr;
    std::optional<cel::Program> when{};
    Uses uses{};
    bool failed = false;  // could not be evaluated
};

// Decisions that hang on nothing but what is left and a key, for all sessions that share what is
// left: clients that connect anew for each request ask the same things again. Any thread.
class Decided {
public:
    DecisionPtr find(const Digest& key) const;  // null: none
    void keep(const Digest& key, DecisionPtr decision);

private:
    static constexpr std::size_t kMost = 128;
    struct Entry {
        Digest key{};
        DecisionPtr decision{};
    };
    static std::size_t place(const Digest& key);
    Guarded<std::array<Entry, kMost>> all_;
};

struct Residual {
    std::vector<RuleLeft> rules{};        // sorted by full name
    std::vector<std::size_t> changing{};  // those whose answer is not settled by the analysis
    std::unique_ptr<Decided> decided = std::make_unique<Decided>();
};

class Engine {
public:
    static constexpr std::size_t kNoScope = ~std::size_t{0};

    // Problems go to findings; the policies must outlive the engine.
    static std::unique_ptr<const Engine> compile(const std::vector<bundle::Policy>& policies,
                                                 bundle::Findings& findings);

    const std::vector<CompiledRule>& rules() const noexcept { return rules_; }
    // Conditions of whole policies.
    const std::vector<cel::Program>& scopes() const noexcept { return scopes_; }

    // Shared by sessions in which everything that some condition looks at is the same.
    std::shared_ptr<const Residual> left_for(const SessionView& session) const;
    Residual specialise(const SessionView& session) const;

private:
    class Compiler;
    // What is left, for those sessions that are open, and of the last few also after they ended:
    // an agent that connects anew for each statement does not pay for it each time.
    struct Shared {
        static constexpr std::size_t kRecent = 32;
        std::unordered_map<std::string, std::weak_ptr<const Residual>> all;
        std::array<std::shared_ptr<const Residual>, kRecent> recent;
        std::size_t next = 0;
    };

    Engine() = default;

    std::vector<CompiledRule> rules_;
    std::vector<cel::Program> scopes_;
    std::vector<SessionPart> session_parts_;  // that conditions look at
    mutable Guarded<Shared> shared_;
};

}  // namespace chaperone::policy::engine

// SPDX-License-Identifier: Apache-2.0
// What policy answers. The same inputs give the same Decision in the daemon, in
// `chaperone policy test` and in a unit test. Immutable, so that it may be cached and shared.
#pragma once

#include "policy/mask.h"
#include "userspace/base/clock.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy {

enum class Effect { Deny, Approve, Allow };

std::string_view to_text(Effect effect) noexcept;  // "deny", "approve", "allow"

// The built-in rule that refuses requests to another host than the connection was opened to.
inline constexpr std::string_view kFrontedRule = "host-mismatch";

enum class ApprovalScope { Statement, Session, Window };

// What one matching approve rule asks for. All of a Decision must be met.
struct ApprovalNeed {
    std::string rule{};
    std::vector<std::string> by{};  // "group:dba", "user:alice"
    unsigned count = 1;             // different people
    Duration within{};              // the request expires after this
    ApprovalScope scope = ApprovalScope::Statement;
    Duration window{};  // ApprovalScope::Window only
};

struct Decision {
    Effect effect = Effect::Deny;      // a Decision nobody filled in refuses
    std::string rule{};                // the rule that decided, "policy/rule"; empty: none matched
    std::vector<std::string> rules{};  // every rule that matched
    std::string reason{};              // shown to the agent and to the approver
    std::string hint{};                // what the agent may do instead
    std::vector<ApprovalNeed> approvals{};  // Effect::Approve only
    MaskSet masks{};                        // of what comes back
    MaskSet request_masks{};                // of what is sent; HTTP only
    // Rules speak of MCP: lists of tools are cut down to what is allowed, and what servers ask of
    // the agent is put to policy.
    bool mcp = false;
    bool messages = false;         // rules look at each message of the WebSocket that this opens
    bool tool_calls = false;       // rules look at each tool call of the model's answer to this
    std::string bundle{};          // digest of the bundle that decided
    std::uint64_t generation = 0;  // of that bundle; 0: not numbered
    std::string commit{};          // of the git checkout it came from; empty: not known
    // Nothing is decided yet: the request's body must be seen first, then ask again.
    bool needs_body = false;
    // What rules in shadow mode would have decided; nothing follows from it.
    Effect shadow_effect = Effect::Allow;
    std::vector<std::string> shadow_rules{};  // empty: shadow changed nothing
};

// The masks as they were written, in order: column patterns, kinds, JSON paths; "request:" is put
// before those of what is sent.
std::vector<std::string> mask_names(const Decision& decision);

using DecisionPtr = std::shared_ptr<const Decision>;

}  // namespace chaperone::policy

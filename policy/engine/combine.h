// SPDX-License-Identifier: Apache-2.0
// From what each rule said to one Decision: the semantics of effects, in one place. Pure, and the
// same whatever order rules were written in.
#pragma once

#include "policy/bundle/documents.h"
#include "policy/decision.h"
#include "policy/engine/engine.h"
#include "policy/http/facts.h"
#include "policy/request.h"
#include "policy/shell/facts.h"
#include "policy/sql/facts.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::policy::engine {

// What became of one rule's condition.
enum class Outcome : std::uint8_t { No, Yes, Failed, Unknown };

// Rules of our own: what the masks and the resource promise holds whatever the bundle allows.
constexpr std::string_view kMaskedFlow = "masked-flow";
constexpr std::string_view kMaskedFilter = "masked-filter";
constexpr std::string_view kMaskedRequest = "masked-request";
constexpr std::string_view kUninspected = "masks-need-inspection";
constexpr std::string_view kUnlistedDatabase = "unlisted-database";
bool is_built_in(std::string_view id) noexcept;

struct Situation {
    const SessionFacts& session;
    const bundle::Resource* resource = nullptr;  // null: not of the bundle
    Stage stage = Stage::Connect;
    const sql::Facts* sql = nullptr;
    const DnsFacts* dns = nullptr;
    const http::Facts* http = nullptr;
    bool mcp = false;  // some rule that is left speaks of MCP
    const shell::Facts* shell = nullptr;
    const http::Message* message = nullptr;     // in what `http` has opened
    const http::ToolCall* tool_call = nullptr;  // in the answer to `http`
    bool workload_shadow = false;
    std::string_view bundle{};  // digest
    std::uint64_t generation = 0;
    std::string_view commit{};

    // No request of this session is ever seen: what is decided when it opens is all.
    bool blind() const;
};

// Whether a rule says anything about such a request: rules that name `dns` are about names only,
// and no others are.
bool concerns(const CompiledRule& rule, const Situation& situation);

// Whether a rule with this outcome has its effect here.
bool counts(const CompiledRule& rule, Outcome outcome, const Situation& situation);

// Of what two readings of one request make of a rule, what says more against the request.
Outcome stricter(Outcome one, Outcome other, bool allows) noexcept;

// outcomes[i] belongs to residual.rules[i].
DecisionPtr combine(const Residual& residual, std::span<const Outcome> outcomes,
                    const Situation& situation);

}  // namespace chaperone::policy::engine

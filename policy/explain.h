// SPDX-License-Identifier: Apache-2.0
// Why policy answers what it answers: the facts, every rule that was considered, the value of each
// of its sub-expressions, and the decision. Needs no daemon. Slow next to decide(); for people.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/engine/session_policy.h"
#include "policy/request.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql {
class AnalysisCache;
}

namespace chaperone::policy {

// An HTTP request as a person describes it.
struct HttpQuestion {
    std::string method = "GET";
    std::string url{};  // "https://host/path?query"; the connection is opened to this host
    std::vector<std::pair<std::string, std::string>> headers{};  // a Host here is sent instead
    std::string body{};
};

// One message of a WebSocket that the HTTP request opens.
struct MessageQuestion {
    bool up = true;      // from the agent
    std::string text{};  // valid UTF-8
};

// A tool call in a model's answer to the HTTP request.
struct ToolCallQuestion {
    std::string name{};
    std::string arguments{};  // JSON; empty: none
    std::string type = "function";
};

// A request as a person describes it.
struct Question {
    std::string workload{};
    std::string resource{};
    std::string statement{};  // SQL; empty: the connection itself is asked for
    std::string dns{};        // a name that is to be resolved; resource and the rest are empty then
    std::string dns_type = "A";
    std::optional<std::vector<std::string>> parameters{};  // given: bound and executed
    std::optional<HttpQuestion> http{};                    // instead of a statement
    std::optional<MessageQuestion> message{};              // in what `http` opens
    std::optional<ToolCallQuestion> tool_call{};           // in the answer to `http`
    std::string command{};                                 // for a shell, instead of a statement
    std::string database{};
    std::string user{};
    std::string application{};
    bool replication = false;
    bool tls = true;
    std::optional<Identity> identity{};  // instead of the workload's own
    // Tables and their columns, "schema.table" -> names; empty: the catalog is not known.
    std::map<std::string, std::vector<std::string>, std::less<>> tables{};
    Time now{};
};

// The Request that the daemon would make of it; the statement's text lives in the holder.
struct Asked {
    std::unique_ptr<const std::string> text{};
    Request request{};
};

// What one who asks many questions keeps between them.
struct AskWith {
    // Analyses of earlier texts. Given, the caller's stack must be a big one (run_with_big_stack).
    sql::AnalysisCache* cache = nullptr;
    // The session that was made for an earlier question of the same session.
    std::shared_ptr<const SessionFacts> session{};
};

// NotFound: no such workload or resource in the bundle. Invalid: tables or identity do not fit.
// Without a cache it runs the SQL parser on a big stack of its own.
Result<Asked> ask(const bundle::Bundle& bundle, const Question& question, const AskWith& with = {});

// What becomes of the request in a session that has to open first.
DecisionPtr decide_all(SessionPolicy& policy, const Request& request);

struct TraceLine {
    std::uint32_t line = 1;  // within the expression, from 1
    std::uint32_t column = 1;
    std::string text{};   // the sub-expression
    std::string value{};  // for people; cut when long
};

struct ConsideredRule {
    std::string id{};      // "policy/rule"
    std::string effect{};  // deny, approve, mask, allow
    std::string file{};
    std::uint32_t line = 0;
    bool shadow = false;
    bool applies = true;  // false: says nothing about this protocol or stage
    bool matched = false;
    bool failed = false;  // could not be evaluated: counts closed
    std::string note{};   // why it does not apply, what failed
    std::string when{};   // the condition as written; of the policy first if it has one
    std::vector<TraceLine> trace{};
};

struct Explanation {
    std::shared_ptr<const bundle::Bundle> bundle{};
    Request request{};  // keeps the facts; its statement is not valid
    std::string statement{};
    DecisionPtr decision{};
    std::vector<ConsideredRule> rules{};  // sorted by id
};

Explanation explain(std::shared_ptr<const bundle::Bundle> bundle, const Request& request);

// {facts, decision, rules:[{id, matched, trace:[{expression, value, line, column}], …}]}
std::string to_json(const Explanation& explanation);
std::string to_text(const Explanation& explanation);

// The decision object of the API: {effect, rule, rules, masks, reason, bundle, …}.
std::string to_json(const Decision& decision);

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/held_request.h"

#include "policy/http/facts.h"
#include "policy/http/meaning.h"
#include "policy/http/tool_call.h"
#include "userspace/net/session_entries.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace chaperone::net {

namespace {

// Of a body, to an approver.
constexpr std::size_t kMaxShown = 4096;

std::string cut_text(std::size_t whole) {
    return "… (" + std::to_string(whole) + " bytes)";
}

bool is_whole(const policy::http::Facts& facts) {
    return facts.body.state == policy::http::Body::State::Whole;
}

// The beginning, and that it is one: the digest covers the whole.
std::string beginning(std::string_view text, std::size_t most) {
    if (text.size() <= most) return std::string{text};
    while (most != 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
    return std::string{text.substr(0, most)} + cut_text(text.size());
}

std::string shown(const policy::Parameter& parameter) {
    if (parameter.null) return "NULL";
    return parameter.text + (parameter.truncated ? cut_text(parameter.whole.size()) : "");
}

std::string shown(const policy::http::Facts& facts) {
    std::string text = beginning(facts.body.data, kMaxShown);
    return is_whole(facts) ? text : text + " and more, which was not read";
}

// A tool call has none of its own: it came in an answer.
std::vector<std::string> fields_of(const policy::Request& request) {
    std::vector<std::string> made;
    if (request.http == nullptr || request.tool_call != nullptr) return made;
    for (const auto& [name, value] : policy::http::meaningful(request.http->head().fields)) {
        const bool hidden = policy::http::may_be_secret(name);
        made.push_back(name + ": " + (hidden ? "(hidden)" : beginning(value, kMaxShown)));
    }
    return made;
}

approval::Scope scope_of(const policy::Decision& decision) {
    // Several rules may ask for one approval; the narrowest scope of them holds.
    approval::Scope scope = approval::DurationScope{Duration::max()};
    for (const policy::ApprovalNeed& need : decision.approvals) {
        if (need.scope == policy::ApprovalScope::Statement) return approval::StatementScope{};
        if (need.scope == policy::ApprovalScope::Session) scope = approval::SessionScope{};
        auto* window = std::get_if<approval::DurationScope>(&scope);
        if (need.scope == policy::ApprovalScope::Window && window != nullptr)
            window->length = std::min(window->length, need.window);
    }
    return scope;
}

}  // namespace

Digest digest_of(const policy::SessionFacts& facts, const policy::Request& request,
                 std::uint64_t number) {
    Sha256 hash;
    const auto add = [&](std::string_view text) {
        const std::string size = std::to_string(text.size()) + ":";
        hash.add(as_bytes(size)).add(as_bytes(text));
    };
    for (const std::string* part : {&facts.workload, &facts.identity.subject, &facts.resource,
                                    &facts.protocol, &facts.database, &facts.user})
        add(*part);
    // A resource may claim many servers; a question to a resolver is not about the resolver.
    if (request.dns == nullptr) {
        add(facts.destination.name.empty() ? facts.destination.address : facts.destination.name);
        add(std::to_string(facts.destination.port));
    }
    add(kind_of(request.stage));
    if (request.tool_call != nullptr) {
        // Of the talk that it came in, only where it was: a model that is asked again calls again.
        const policy::http::ToolCall& call = *request.tool_call;
        add(request.http->host());
        for (const std::string* part :
             {&request.http->readings().front().path, &call.name, &call.type, &call.written})
            add(*part);
    } else if (request.http != nullptr) {
        const Digest whole = request.http->digest();
        hash.add(whole);
        if (request.mcp != nullptr || !is_whole(*request.http)) {
            add(facts.id);
            add(std::to_string(number));
        }
    }
    add(request.statement);
    for (const policy::Parameter& parameter : request.parameters) {
        add(parameter.null ? "null" : "value");
        add(parameter.text);
        if (parameter.truncated) add(parameter.whole);
    }
    return hash.finish();
}

approval::Held held_of(const policy::SessionFacts& facts, const policy::Request& request,
                       const policy::Decision& decision, const Digest& digest) {
    approval::Held held;
    held.workload = facts.workload;
    held.subject = facts.identity.subject;
    held.resource = facts.resource;
    held.address = facts.destination.address;
    held.port = facts.destination.port;
    held.name = facts.destination.name;
    held.database = facts.database;
    held.login = facts.user;
    held.session = facts.id;
    held.statement = beginning(request.statement, kMaxRecorded);
    for (const policy::Parameter& parameter : request.parameters)
        held.parameters.push_back(shown(parameter));
    if (request.tool_call != nullptr)
        held.parameters.push_back(beginning(request.tool_call->written, kMaxShown));
    else if (request.http != nullptr && !request.http->body.data.empty())
        held.parameters.push_back(shown(*request.http));
    held.fields = fields_of(request);
    Duration within = decision.approvals.empty() ? held.within : decision.approvals.front().within;
    for (const policy::ApprovalNeed& need : decision.approvals) {
        held.requires_.push_back({need.rule, need.by, need.count});
        within = std::min(within, need.within);
    }
    held.within = within;
    held.scope = scope_of(decision);
    held.digest = digest;
    // Root may run agents and approve for them; a governed process is no approver all the same.
    constexpr std::uint32_t kNobody = 0xffffffff;
    held.uid = facts.uid == 0 ? kNobody : facts.uid;
    return held;
}

session::Verdict verdict_of(approval::State state) {
    switch (state) {
    case approval::State::Granted: return session::Verdict::Allowed;
    case approval::State::Refused: return session::Verdict::Refused;
    case approval::State::Expired: return session::Verdict::Expired;
    case approval::State::Cancelled: return session::Verdict::Cancelled;
    case approval::State::Pending:
    case approval::State::Used: break;
    }
    return session::Verdict::Unavailable;
}

}  // namespace chaperone::net

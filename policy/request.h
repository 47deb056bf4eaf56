// SPDX-License-Identifier: Apache-2.0
// What policy is asked: facts of the session, which are constant while it lasts, and of one request
// in it. Facts come from the kernel, from a verified token and from the protocol, never from a
// claim of the agent; the few that the agent did name (database, user) say so. No I/O, no clock.
#pragma once

#include "userspace/base/clock.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql {
struct Facts;
}
namespace chaperone::policy::http {
struct Message;
class Facts;
struct McpMessage;
struct ToolCall;
}  // namespace chaperone::policy::http
namespace chaperone::policy::shell {
struct Facts;
}

namespace chaperone::policy {

using Labels = std::map<std::string, std::string, std::less<>>;

struct Identity {
    std::string subject{};
    std::vector<std::string> groups{};
    std::string issuer{};               // empty: the bundle names the subject
    std::vector<std::string> actors{};  // those it acts for, nearest first (RFC 8693, act)
    std::string claims{};               // the token's claims as JSON; empty: none
};

struct Destination {
    std::string address{};  // what the agent dialled: "10.1.2.3", "fd00::7"
    std::uint16_t port{};
    std::string name{};  // the name it asked for (SNI or DNS); empty: not known
};

struct SessionFacts {
    std::string id{};
    Time start{};
    Identity identity{};
    std::string workload{};
    Labels workload_labels{};
    std::string resource{};
    std::string protocol{};  // "postgresql"
    Labels resource_labels{};
    Destination destination{};
    std::uint32_t pid{};
    std::uint32_t uid{};
    std::string comm{};
    std::uint64_t cgroup{};
    std::string peer{};         // the governed workload that listens there; empty: none
    bool tls{};                 // towards the agent
    std::string database{};     // as the agent named it
    std::string user{};         // as the agent named it
    std::string application{};  // as the agent named it
    bool replication{};         // asked for in the startup packet
};

struct Parameter {
    std::uint32_t type{};  // PostgreSQL type OID; 0: not known
    bool null{};
    bool truncated{};    // text is the beginning only
    std::string text{};  // the text form; "\\x…" (hex) where the type's text form is not known
    std::string_view whole{};  // if truncated: all bytes as sent; valid during the call only
};

// A question to a resolver.
struct DnsFacts {
    std::string name{};    // lower case, without the dot at the end; odd bytes as "\\DDD"
    std::string type{};    // "A", "HTTPS", "TYPE65534"
    std::string class_{};  // "IN"
    std::string server{};  // the resolver that the agent asked
    // Those that claim the name and that the workload may open: without a rule, it resolves if
    // there is one.
    std::vector<std::string> resources{};
};

enum class Stage {
    Connect,    // the session itself, before anything is dialled
    Statement,  // simple query: runs at once
    Prepare,    // Parse: the text is known, values are not, nothing runs yet
    Execute,    // Bind: text and values are known, runs next
    Http,       // an HTTP request, its body perhaps not yet seen
    Message,    // one of many in an open exchange: of a WebSocket, of a stream
};

struct Request {
    std::shared_ptr<const SessionFacts> session{};
    Stage stage = Stage::Connect;
    std::string_view statement{};               // valid during the call only
    std::shared_ptr<const sql::Facts> sql{};    // null but for SQL
    std::shared_ptr<const http::Facts> http{};  // null but for HTTP; may change after the call
    // Message: one of a WebSocket that `http` opened; null else.
    std::shared_ptr<const http::Message> message{};
    // A message that is not the body of `http`: what a server asks, a tool that may be listed (then
    // the stage is Prepare). Null: the body is it.
    std::shared_ptr<const http::McpMessage> mcp{};
    // Message: a tool call in a model's answer to `http`; null else.
    std::shared_ptr<const http::ToolCall> tool_call{};
    std::vector<Parameter> parameters{};          // Execute, Message
    std::shared_ptr<const DnsFacts> dns{};        // sessions of protocol "dns" only, else null
    std::shared_ptr<const shell::Facts> shell{};  // null but for a command over SSH
    // Not empty: the session refuses it whatever the answer is, for this reason (too large, not
    // supported). Asked so that it is recorded; nobody need be asked to approve it.
    std::string_view refused{};
    Time now{};
};

}  // namespace chaperone::policy

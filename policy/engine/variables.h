// SPDX-License-Identifier: Apache-2.0
// What conditions may name, and how the facts of a session and of a request look to them: native
// views, nothing is copied. policy/README.md's table is printed from the same declarations.
#pragma once

#include "policy/cel/environment.h"
#include "policy/cel/program.h"
#include "policy/request.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::engine {

// Slots of the environment.
enum Slot : std::size_t {
    kIdentity,
    kWorkload,
    kResource,
    kSession,
    kConn,
    kNow,
    kSql,
    kDns,
    kHttp,
    kMcp,
    kLlm,
    kGrpc,
    kWs,
    kSsh
};

const std::shared_ptr<const cel::Environment>& environment();

// What a condition looks at beyond what is constant in a session.
struct Uses {
    bool session = false;  // identity workload resource session conn
    bool now = false;
    bool request = false;      // sql.… dns.… http.…
    bool sql = false;          // sql.…
    bool http = false;         // http.…
    bool dns = false;          // dns.…: the rule is about names, and about nothing else
    bool changing = false;     // what differs between two runs of one analysed statement
    bool replication = false;  // names conn.replication
    bool fronted = false;      // names http.fronted
    bool body = false;         // http.body and what is made of it
    bool mcp = false;          // mcp.…
    bool message = false;      // ws.…: the rule is about messages of WebSockets, and nothing else
    bool tool_call = false;    // llm.tool_call…: the rule is about these calls, and nothing else
    bool ssh = false;          // ssh.…
    bool readings = false;     // what one reading of a request differs in from another

    static Uses of(const cel::Program& program);
};

struct VariableDoc {
    std::string path;  // "sql.effects[].kind"
    std::string type;
    std::string doc;
};
std::vector<VariableDoc> variable_docs();
std::string variables_markdown();  // the table of policy/README.md

// A variable of a session's, or one field of it.
struct SessionPart {
    std::size_t slot{};
    std::size_t field = cel::ObjectType::kNone;  // none: the whole
    auto operator<=>(const SessionPart&) const = default;
};
// What these attribute paths look at of a session. One field deep is fine enough: labels and
// destinations are compared as a whole.
std::vector<SessionPart> session_parts(std::span<const std::string> paths);

// The views of one session; made once, kept as long as values made from it.
class SessionView {
public:
    explicit SessionView(const SessionFacts& facts);
    ~SessionView();
    SessionView(const SessionView&) = delete;
    SessionView& operator=(const SessionView&) = delete;

    cel::Value variable(std::size_t slot) const;  // of the session's slots
    // A text that is equal for sessions in which the values of these parts are equal.
    std::string fingerprint(std::span<const SessionPart> parts) const;

private:
    struct Parts;
    std::unique_ptr<const Parts> parts_;
};

// The variables for one request of a session. Valid as long as what it was made of.
class RequestActivation final : public cel::Activation {
public:
    // `request` null: only the session is known, as when it opens.
    // `reading`: which of an HTTP request's. `message`: which of MCP, where its body has several;
    // null: what the request says.
    RequestActivation(const SessionView& session, const Request* request, std::size_t reading = 0,
                      const http::McpMessage* message = nullptr);
    ~RequestActivation() override;

    cel::Value variable(std::size_t slot) const override;
    std::span<const std::string> unknowns() const override;

private:
    struct Sql;
    struct Dns;
    struct Http;
    struct Mcp;
    struct Llm;
    struct Grpc;
    struct Ws;
    struct Ssh;
    const SessionView& session_;
    const Request* request_;
    std::size_t reading_;
    const http::McpMessage* message_;
    mutable std::unique_ptr<Sql> sql_;  // made when first asked for
    mutable std::unique_ptr<Dns> dns_;
    mutable std::unique_ptr<Http> http_;
    mutable std::unique_ptr<Mcp> mcp_;
    mutable std::unique_ptr<Llm> llm_;
    mutable std::unique_ptr<Grpc> grpc_;
    mutable std::unique_ptr<Ws> ws_;
    mutable std::unique_ptr<Ssh> ssh_;
};

}  // namespace chaperone::policy::engine

// SPDX-License-Identifier: Apache-2.0
// What of the facts each variable shows. The structs here group facts as policies name them; they
// point into SessionFacts and Request and live as long as the evaluation.
#pragma once

#include "policy/engine/view.h"
#include "policy/http/facts.h"
#include "policy/http/grpc.h"
#include "policy/http/mcp.h"
#include "policy/http/message.h"
#include "policy/http/model_api.h"
#include "policy/http/tool_call.h"
#include "policy/request.h"
#include "policy/shell/facts.h"
#include "policy/sql/facts.h"

#include <vector>

namespace chaperone::policy::engine {

struct WorkloadPart {
    const SessionFacts& facts;
};
struct ResourcePart {
    const SessionFacts& facts;
};
struct IdentityPart {
    const Identity& identity;
    const cel::Value& claims;  // parsed; an error if they are no JSON
};
struct ConnPart {
    const SessionFacts& facts;
};
struct SqlPart {
    const sql::Facts& facts;
    const Request& request;
};
struct HttpPart;
struct HttpBody {
    const HttpPart& part;
};
struct HttpPart {
    const http::Facts& facts;
    const http::Reading& reading;
    HttpBody body{*this};
    mutable std::optional<cel::Value> json{};  // of the body, once it is asked for

    HttpPart(const http::Facts& f, const http::Reading& r) : facts(f), reading(r) {}
    HttpPart(const HttpPart&) = delete;
    HttpPart& operator=(const HttpPart&) = delete;
};
struct GrpcPart {
    http::GrpcCall call;
};
struct MessagePart {
    const http::Message& message;
    mutable std::optional<cel::Value> json{};  // of its text, once it is asked for
};
struct SshPart {
    const shell::Facts& facts;
    const Request& request;
};

// The body as JSON; {} if there is none, an error value if that cannot be told.
cel::Value json_body(const http::Facts& facts);

// The messages of MCP that came in one body as a batch; empty where it is none.
std::vector<http::McpMessage> mcp_batch(const Request& request);

// `given`: a message that is not the request's body, such as one of the server's, or one of several
// in it.
struct McpPart {
    const http::Facts& facts;
    const http::McpMessage* given = nullptr;
    mutable std::optional<http::McpRead> read{};
};
struct ToolCallPart {
    const http::ToolCall* call = nullptr;  // null: there is none, what is asked is the request
};
struct ModelPart {
    const http::Facts& facts;
    ToolCallPart tool_call{};
    mutable std::optional<http::ModelRequest> read{};
};

template <>
const Declared<Destination>& declared<Destination>();
template <>
const Declared<WorkloadPart>& declared<WorkloadPart>();
template <>
const Declared<ResourcePart>& declared<ResourcePart>();
template <>
const Declared<IdentityPart>& declared<IdentityPart>();
template <>
const Declared<SessionFacts>& declared<SessionFacts>();
template <>
const Declared<ConnPart>& declared<ConnPart>();
template <>
const Declared<sql::Effect>& declared<sql::Effect>();
template <>
const Declared<sql::Flow>& declared<sql::Flow>();
template <>
const Declared<Parameter>& declared<Parameter>();
template <>
const Declared<SqlPart>& declared<SqlPart>();
template <>
const Declared<DnsFacts>& declared<DnsFacts>();
template <>
const Declared<HttpBody>& declared<HttpBody>();
template <>
const Declared<HttpPart>& declared<HttpPart>();
template <>
const Declared<McpPart>& declared<McpPart>();
template <>
const Declared<ToolCallPart>& declared<ToolCallPart>();
template <>
const Declared<ModelPart>& declared<ModelPart>();
template <>
const Declared<GrpcPart>& declared<GrpcPart>();
template <>
const Declared<MessagePart>& declared<MessagePart>();
template <>
const Declared<shell::Effect>& declared<shell::Effect>();
template <>
const Declared<shell::Command>& declared<shell::Command>();
template <>
const Declared<SshPart>& declared<SshPart>();

}  // namespace chaperone::policy::engine

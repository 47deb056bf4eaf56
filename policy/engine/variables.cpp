// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/variables.h"

#include "policy/engine/declarations.h"
#include "policy/engine/json_value.h"

#include <algorithm>
#include <array>
#include <set>

namespace chaperone::policy::engine {
namespace {

using cel::Value;

struct SlotDoc {
    std::string_view name;
    std::string_view doc;
};
constexpr std::array<SlotDoc, 14> kSlots{{
    {"identity", "Who asks. Constant in a session."},
    {"workload", "The workload that asks. Constant in a session."},
    {"resource", "What is asked. Constant in a session."},
    {"session", "The connection. Constant in a session."},
    {"conn", "What was said when the connection was opened. Constant in a session."},
    {"now", "The time of the request."},
    {"sql", "The statement; PostgreSQL and MySQL only."},
    {"dns", "The question to a resolver. A rule that names it is about names and nothing else."},
    {"http", "The request; HTTP only."},
    {"mcp", "The request as a message of the Model Context Protocol; HTTP only."},
    {"llm", "The request as one to a model API; HTTP only."},
    {"grpc", "The call that the request is; HTTP only."},
    {"ws",
     "A message of a WebSocket, with its handshake in `http`. A rule that names it is about "
     "messages and nothing else."},
    {"ssh", "The command; SSH only."},
}};

template <class T>
cel::Type view_type() {
    return cel::Type::object(declared<T>().type);
}

Value parse_claims(const std::string& claims) {
    if (claims.empty()) return Value::map_of({});
    Value parsed = json_value(claims);
    if (!parsed.is(cel::Kind::Map)) return Value::error("the token's claims are no JSON object");
    return parsed;
}

constexpr std::size_t kUsualFingerprint = 256;  // bytes

void put(std::string& to, std::string_view text) {
    to += std::to_string(text.size()) + ':';
    to += text;
}

void put(std::string& to, const Value& value) {
    switch (value.kind()) {
    case cel::Kind::String: put(to, value.as_text()); return;
    case cel::Kind::Bool: to += value.as_bool() ? 'T' : 'F'; return;
    case cel::Kind::List: {
        const cel::List& list = value.as_list();
        to += '[' + std::to_string(list.size());
        for (std::size_t i = 0; i != list.size(); ++i) put(to, list.at(i));
        return;
    }
    case cel::Kind::Map: {
        const cel::Map& map = value.as_map();
        to += '{' + std::to_string(map.size());
        for (std::size_t i = 0; i != map.size(); ++i) {
            put(to, map.key(i));
            put(to, map.at(i));
        }
        return;
    }
    case cel::Kind::Object: {
        const cel::Object& object = value.as_object();
        for (std::size_t i = 0; i != object.type().fields.size(); ++i) put(to, object.field(i));
        return;
    }
    case cel::Kind::Null:
    case cel::Kind::Int:
    case cel::Kind::Uint:
    case cel::Kind::Double:
    case cel::Kind::Bytes:
    case cel::Kind::Timestamp:
    case cel::Kind::Duration:
    case cel::Kind::Type:
    case cel::Kind::Optional:
    case cel::Kind::Error:
    case cel::Kind::Unknown: break;
    }
    put(to, std::to_string(static_cast<int>(value.kind())) + cel::describe(value));
}

template <class T>
void document(std::vector<VariableDoc>& docs, const std::string& prefix) {
    for (const FieldOf<T>& field : declared<T>().fields)
        docs.push_back({prefix + "." + field.name, field.type.text(), field.doc});
}

}  // namespace

const std::shared_ptr<const cel::Environment>& environment() {
    static const std::shared_ptr<const cel::Environment> made = [] {
        cel::Environment::Builder builder;
        builder.variable("identity", view_type<IdentityPart>())
            .variable("workload", view_type<WorkloadPart>())
            .variable("resource", view_type<ResourcePart>())
            .variable("session", view_type<SessionFacts>())
            .variable("conn", view_type<ConnPart>())
            .variable("now", cel::TypeKind::Timestamp)
            .variable("sql", view_type<SqlPart>())
            .variable("dns", view_type<DnsFacts>())
            .variable("http", view_type<HttpPart>())
            .variable("mcp", view_type<McpPart>())
            .variable("llm", view_type<ModelPart>())
            .variable("grpc", view_type<GrpcPart>())
            .variable("ws", view_type<MessagePart>())
            .variable("ssh", view_type<SshPart>());
        return builder.build();
    }();
    return made;
}

Uses Uses::of(const cel::Program& program) {
    Uses uses;
    for (const std::string& path : program.references()) {
        const std::string_view root = std::string_view{path}.substr(0, path.find_first_of(".["));
        if (root == "now") {
            uses.now = true;
        } else if (root == "dns") {
            uses.request = uses.dns = true;
        } else if (root == "sql") {
            uses.request = uses.sql = true;
            uses.changing = uses.changing || path == "sql" || path == "sql.text" ||
                            path.starts_with("sql.parameters");
        } else if (root == "ssh") {
            uses.request = uses.ssh = true;
        } else if (root == "grpc") {
            uses.request = uses.http = true;
        } else if (root == "ws") {
            uses.request = uses.http = uses.message = true;
        } else if (root == "http") {
            const auto is = [&](std::string_view field) {
                return path == "http" || path == field ||
                       (path.starts_with(field) &&
                        (path[field.size()] == '.' || path[field.size()] == '['));
            };
            uses.request = uses.http = true;
            uses.fronted = uses.fronted || path == "http.fronted";
            uses.body = uses.body || is("http.body");
            uses.readings =
                uses.readings || is("http.path") || is("http.segments") || is("http.method");
        } else if (root == "mcp" || root == "llm") {
            uses.request = true;
            uses.mcp = uses.mcp || root == "mcp";
            const bool call =
                path.starts_with("llm.tool_call") && path.substr(13).find_first_not_of(".[") != 0;
            uses.tool_call = uses.tool_call || call;
            uses.body = uses.body || !(call || path == "mcp.server" || path == "llm.api");
        } else {
            uses.session = true;
            uses.replication = uses.replication || path == "conn.replication";
        }
    }
    return uses;
}

std::vector<VariableDoc> variable_docs() {
    std::vector<VariableDoc> docs;
    const auto root = [&](Slot slot) {
        const SlotDoc& doc = kSlots[slot];
        const auto variables = environment()->variables();
        docs.push_back({std::string{doc.name}, variables[slot].type.text(), std::string{doc.doc}});
    };
    root(kIdentity);
    document<IdentityPart>(docs, "identity");
    root(kWorkload);
    document<WorkloadPart>(docs, "workload");
    root(kResource);
    document<ResourcePart>(docs, "resource");
    root(kSession);
    document<SessionFacts>(docs, "session");
    document<Destination>(docs, "session.destination");
    root(kConn);
    document<ConnPart>(docs, "conn");
    root(kNow);
    root(kSql);
    document<SqlPart>(docs, "sql");
    document<sql::Effect>(docs, "sql.effects[]");
    document<sql::Flow>(docs, "sql.flows[]");
    document<Parameter>(docs, "sql.parameters[]");
    root(kDns);
    document<DnsFacts>(docs, "dns");
    root(kHttp);
    document<HttpPart>(docs, "http");
    document<HttpBody>(docs, "http.body");
    root(kMcp);
    document<McpPart>(docs, "mcp");
    root(kLlm);
    document<ModelPart>(docs, "llm");
    document<ToolCallPart>(docs, "llm.tool_call");
    root(kGrpc);
    document<GrpcPart>(docs, "grpc");
    root(kWs);
    document<MessagePart>(docs, "ws");
    root(kSsh);
    document<SshPart>(docs, "ssh");
    document<shell::Effect>(docs, "ssh.effects[]");
    document<shell::Command>(docs, "ssh.commands[]");
    return docs;
}

std::string variables_markdown() {
    std::string text = "| variable | type | meaning |\n| --- | --- | --- |\n";
    for (const VariableDoc& doc : variable_docs())
        text += "| `" + doc.path + "` | `" + doc.type + "` | " + doc.doc + " |\n";
    return text;
}

struct SessionView::Parts {
    const SessionFacts& facts;
    Value claims;
    IdentityPart identity_part;
    WorkloadPart workload_part;
    ResourcePart resource_part;
    ConnPart conn_part;
    View<IdentityPart> identity;
    View<WorkloadPart> workload;
    View<ResourcePart> resource;
    View<SessionFacts> session;
    View<ConnPart> conn;

    explicit Parts(const SessionFacts& f)
        : facts(f),
          claims(parse_claims(f.identity.claims)),
          identity_part{f.identity, claims},
          workload_part{f},
          resource_part{f},
          conn_part{f},
          identity(identity_part),
          workload(workload_part),
          resource(resource_part),
          session(f),
          conn(conn_part) {}
};

SessionView::SessionView(const SessionFacts& facts) : parts_(std::make_unique<Parts>(facts)) {}
SessionView::~SessionView() = default;

Value SessionView::variable(std::size_t slot) const {
    switch (slot) {
    case kIdentity: return Value::object(parts_->identity);
    case kWorkload: return Value::object(parts_->workload);
    case kResource: return Value::object(parts_->resource);
    case kSession: return Value::object(parts_->session);
    case kConn: return Value::object(parts_->conn);
    default: return Value::unknown();
    }
}

std::vector<SessionPart> session_parts(std::span<const std::string> paths) {
    std::set<SessionPart> parts;
    for (const std::string& path : paths) {
        const std::size_t dot = std::min(path.find_first_of(".["), path.size());
        SessionPart part{.slot = environment()->slot(std::string_view{path}.substr(0, dot))};
        if (part.slot == cel::Environment::kNone || part.slot >= kNow) continue;
        const std::string_view rest = std::string_view{path}.substr(std::min(dot + 1, path.size()));
        const cel::ObjectType* const type =
            environment()->variables()[part.slot].type.object_type();
        if (type != nullptr) part.field = type->index_of(rest.substr(0, rest.find_first_of(".[")));
        parts.insert(part);
    }
    return {parts.begin(), parts.end()};
}

std::string SessionView::fingerprint(std::span<const SessionPart> parts) const {
    std::string made;
    made.reserve(kUsualFingerprint);
    for (const SessionPart& part : parts) {
        const Value whole = variable(part.slot);
        put(made,
            part.field == cel::ObjectType::kNone ? whole : whole.as_object().field(part.field));
    }
    return made;
}

struct RequestActivation::Sql {
    SqlPart part;
    View<SqlPart> view;

    Sql(const sql::Facts& facts, const Request& request) : part{facts, request}, view(part) {}
};

struct RequestActivation::Dns {
    View<DnsFacts> view;

    explicit Dns(const DnsFacts& facts) : view(facts) {}
};

struct RequestActivation::Http {
    HttpPart part;
    View<HttpPart> view;

    Http(const http::Facts& facts, const http::Reading& reading)
        : part{facts, reading}, view(part) {}
};

struct RequestActivation::Mcp {
    McpPart part;
    View<McpPart> view{part};
};

struct RequestActivation::Llm {
    ModelPart part;
    View<ModelPart> view{part};
};

struct RequestActivation::Grpc {
    GrpcPart part;
    View<GrpcPart> view;

    explicit Grpc(const http::Facts& facts) : part{http::grpc_call(facts)}, view(part) {}
};

struct RequestActivation::Ws {
    MessagePart part;
    View<MessagePart> view;

    explicit Ws(const http::Message& message) : part{message}, view(part) {}
};

struct RequestActivation::Ssh {
    SshPart part;
    View<SshPart> view{part};
};

RequestActivation::RequestActivation(const SessionView& session, const Request* request,
                                     std::size_t reading, const http::McpMessage* message)
    : session_(session), request_(request), reading_(reading), message_(message) {}
RequestActivation::~RequestActivation() = default;

Value RequestActivation::variable(std::size_t slot) const {
    if (slot < kNow) return session_.variable(slot);
    if (request_ == nullptr) return Value::unknown();
    if (slot == kNow) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(request_->now);
        return Value::timestamp(seconds.time_since_epoch().count(),
                                static_cast<std::int32_t>((request_->now - seconds).count()));
    }
    if (slot == kDns && request_->dns != nullptr) {
        if (!dns_) dns_ = std::make_unique<Dns>(*request_->dns);
        return Value::object(dns_->view);
    }
    if (slot == kHttp && request_->http != nullptr) {
        if (!http_)
            http_ = std::make_unique<Http>(*request_->http, request_->http->readings()[reading_]);
        return Value::object(http_->view);
    }
    if (slot == kMcp && request_->http != nullptr) {
        const http::McpMessage* given = request_->mcp != nullptr ? request_->mcp.get() : message_;
        if (!mcp_) mcp_ = std::make_unique<Mcp>(McpPart{*request_->http, given});
        return Value::object(mcp_->view);
    }
    if (slot == kLlm && request_->http != nullptr) {
        if (!llm_)
            llm_ = std::make_unique<Llm>(
                ModelPart{*request_->http, ToolCallPart{request_->tool_call.get()}});
        return Value::object(llm_->view);
    }
    if (slot == kGrpc && request_->http != nullptr) {
        if (!grpc_) grpc_ = std::make_unique<Grpc>(*request_->http);
        return Value::object(grpc_->view);
    }
    if (slot == kWs && request_->message != nullptr) {
        if (!ws_) ws_ = std::make_unique<Ws>(*request_->message);
        return Value::object(ws_->view);
    }
    if (slot == kSsh && request_->shell != nullptr) {
        if (!ssh_) ssh_ = std::make_unique<Ssh>(SshPart{*request_->shell, *request_});
        return Value::object(ssh_->view);
    }
    if (slot != kSql || request_->sql == nullptr) return Value::unknown();
    if (!sql_) sql_ = std::make_unique<Sql>(*request_->sql, *request_);
    return Value::object(sql_->view);
}

std::span<const std::string> RequestActivation::unknowns() const {
    static const std::array<std::string, 1> kNotYetBound{"sql.parameters"};
    // Which of mcp's and llm's parts are in the body, they know themselves.
    static const std::array<std::string, 1> kBodyNotSeen{"http.body"};
    if (request_ == nullptr) return {};
    if (request_->stage == Stage::Prepare && request_->http == nullptr) return kNotYetBound;
    if (request_->mcp != nullptr) return kBodyNotSeen;
    if (request_->http != nullptr && request_->http->body.state == http::Body::State::NotSeen)
        return kBodyNotSeen;
    return {};
}

}  // namespace chaperone::policy::engine

// SPDX-License-Identifier: Apache-2.0
#include "policy/engine/declarations.h"

namespace chaperone::policy::engine {
namespace {

using cel::Type;
using cel::TypeKind;
using cel::Value;

Value instant(Time time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    return Value::timestamp(seconds.time_since_epoch().count(),
                            static_cast<std::int32_t>((time - seconds).count()));
}

std::string path_of(const sql::ColumnRef& column) {
    std::string path;
    if (!column.schema.empty()) path += column.schema + ".";
    if (!column.relation.empty()) path += column.relation + ".";
    return path + column.column;
}

Value column_paths(const std::vector<sql::ColumnRef>& columns) {
    std::vector<Value> all;
    all.reserve(columns.size());
    for (const sql::ColumnRef& column : columns) {
        const std::string path = path_of(column);
        all.push_back(yaml::is_utf8(path) ? Value::own_text(path) : text_value(path));
    }
    return Value::list_of(std::move(all));
}

Value commands(const sql::Facts& facts) {
    std::vector<Value> all;
    for (const sql::Statement& statement : facts.statements)
        all.push_back(text_value(statement.command));
    return Value::list_of(std::move(all));
}

// The object's part before or after its first dot; names of roles and settings have no schema.
std::string_view schema_of(const sql::Effect& effect) {
    const std::size_t dot = effect.object.find('.');
    return dot == std::string::npos ? std::string_view{}
                                    : std::string_view{effect.object}.substr(0, dot);
}

std::string kinds() {
    std::string list;
    for (int i = 0; i <= static_cast<int>(sql::EffectKind::Unknown); ++i)
        list += (i == 0 ? "" : ", ") + std::string{sql::to_text(static_cast<sql::EffectKind>(i))};
    return list + ".";
}

Value parameter_text(const Parameter& parameter) {
    if (parameter.null) return Value::null();
    if (parameter.truncated) return Value::error("the value is too long to be examined");
    return text_value(parameter.text);
}

Value stage_text(Stage stage) {
    switch (stage) {
    case Stage::Connect: return Value::text("connect");
    case Stage::Statement: return Value::text("statement");
    case Stage::Prepare: return Value::text("prepare");
    case Stage::Execute: return Value::text("execute");
    case Stage::Http:
    case Stage::Message: break;
    }
    return Value::error("no stage");
}

}  // namespace

// clang-format off
template <>
const Declared<Destination>& declared<Destination>() {
    static const Declared<Destination> made{"Destination", {
        {"address", TypeKind::String, [](const Destination& d) { return text_value(d.address); }, "What the agent dialled."},
        {"port", TypeKind::Int, [](const Destination& d) { return Value::integer(d.port); }, "The port it dialled."},
        {"name", TypeKind::String, [](const Destination& d) { return text_value(d.name); }, "The name it asked for (SNI or DNS); empty: not known."},
    }};
    return made;
}

template <>
const Declared<WorkloadPart>& declared<WorkloadPart>() {
    static const Declared<WorkloadPart> made{"Workload", {
        {"name", TypeKind::String, [](const WorkloadPart& w) { return text_value(w.facts.workload); }, "The workload, as the kernel knows it by its cgroup."},
        {"labels", Type::map(TypeKind::String, TypeKind::String), [](const WorkloadPart& w) { return labels(w.facts.workload_labels); }, "Its labels in the bundle."},
    }};
    return made;
}

template <>
const Declared<ResourcePart>& declared<ResourcePart>() {
    static const Declared<ResourcePart> made{"Resource", {
        {"name", TypeKind::String, [](const ResourcePart& r) { return text_value(r.facts.resource); }, "The resource that claims the destination."},
        {"protocol", TypeKind::String, [](const ResourcePart& r) { return text_value(r.facts.protocol); }, "postgresql, mysql, ssh, kubernetes, http, tcp, udp or unix."},
        {"labels", Type::map(TypeKind::String, TypeKind::String), [](const ResourcePart& r) { return labels(r.facts.resource_labels); }, "Its labels in the bundle."},
    }};
    return made;
}

template <>
const Declared<IdentityPart>& declared<IdentityPart>() {
    static const Declared<IdentityPart> made{"Identity", {
        {"subject", TypeKind::String, [](const IdentityPart& i) { return text_value(i.identity.subject); }, "Who the workload is: from the bundle or from a verified token."},
        {"groups", strings(), [](const IdentityPart& i) { return texts(i.identity.groups); }, "The subject's groups."},
        {"issuer", TypeKind::String, [](const IdentityPart& i) { return text_value(i.identity.issuer); }, "Who issued the token; empty: the bundle names the subject."},
        {"actors", strings(), [](const IdentityPart& i) { return texts(i.identity.actors); }, "Those it acts for, nearest first (RFC 8693)."},
        {"claims", Type::map(TypeKind::String, TypeKind::Dyn), [](const IdentityPart& i) { return i.claims; }, "The token's claims; empty without a token."},
    }};
    return made;
}

template <>
const Declared<SessionFacts>& declared<SessionFacts>() {
    static const Declared<SessionFacts> made{"Session", {
        {"id", TypeKind::String, [](const SessionFacts& s) { return text_value(s.id); }, "The session's id."},
        {"start", TypeKind::Timestamp, [](const SessionFacts& s) { return instant(s.start); }, "When it began."},
        {"destination", object_type<Destination>(), [](const SessionFacts& s) { return Value::own_object(new View<Destination>{s.destination}); }, "Where the agent meant to go."},
        {"pid", TypeKind::Int, [](const SessionFacts& s) { return Value::integer(s.pid); }, "The process that connected."},
        {"uid", TypeKind::Int, [](const SessionFacts& s) { return Value::integer(s.uid); }, "Its user."},
        {"comm", TypeKind::String, [](const SessionFacts& s) { return text_value(s.comm); }, "Its command name, which a process can choose."},
        {"peer", TypeKind::String, [](const SessionFacts& s) { return text_value(s.peer); }, "The governed workload of this host that listens there; empty: none does."},
    }};
    return made;
}

template <>
const Declared<ConnPart>& declared<ConnPart>() {
    static const Declared<ConnPart> made{"Conn", {
        {"tls", TypeKind::Bool, [](const ConnPart& c) { return Value::boolean(c.facts.tls); }, "Whether the agent uses TLS."},
        {"replication", TypeKind::Bool, [](const ConnPart& c) { return Value::boolean(c.facts.replication); }, "A replication connection. It opens only if an allow rule names this."},
        {"database", TypeKind::String, [](const ConnPart& c) { return text_value(c.facts.database); }, "The database that the agent names."},
        {"user", TypeKind::String, [](const ConnPart& c) { return text_value(c.facts.user); }, "The user that the agent names: a claim, not an identity."},
        {"application", TypeKind::String, [](const ConnPart& c) { return text_value(c.facts.application); }, "The application name that the agent names: a claim."},
    }};
    return made;
}

template <>
const Declared<sql::Effect>& declared<sql::Effect>() {
    static const Declared<sql::Effect> made{"SqlEffect", {
        {"kind", TypeKind::String, [](const sql::Effect& e) { return Value::text(sql::to_text(e.kind)); }, kinds()},
        {"object", TypeKind::String, [](const sql::Effect& e) { return text_value(e.object); }, "On what: \"schema.name\", or the bare name of what has no schema; empty: nothing that can be named."},
        {"schema", TypeKind::String, [](const sql::Effect& e) { return text_value(schema_of(e)); }, "The schema of object; empty: none."},
        {"columns", strings(), [](const sql::Effect& e) { return texts(e.columns); }, "The columns that play a part; \"*\": all, or not known which."},
    }};
    return made;
}

template <>
const Declared<sql::Flow>& declared<sql::Flow>() {
    static const Declared<sql::Flow> made{"SqlFlow", {
        {"source", TypeKind::String, [](const sql::Flow& f) {
            const std::string path = f.source.relation.empty() ? std::string{} : path_of(f.source);
            return yaml::is_utf8(path) ? Value::own_text(path) : text_value(path); }, "The stored column that is copied: \"schema.table.column\"; empty: not known which."},
        {"target", TypeKind::String, [](const sql::Flow& f) { return text_value(f.target); }, "The relation it is written to."},
        {"column", TypeKind::String, [](const sql::Flow& f) { return text_value(f.column); }, "The column it is written to; empty: not known which."},
    }};
    return made;
}

template <>
const Declared<Parameter>& declared<Parameter>() {
    static const Declared<Parameter> made{"SqlParameter", {
        {"text", Type::wrapper(TypeKind::String), parameter_text, "Its value as text; null: SQL NULL. A value too long to be examined cannot be evaluated."},
        {"is_null", TypeKind::Bool, [](const Parameter& p) { return Value::boolean(p.null); }, "SQL NULL."},
        {"type", TypeKind::Int, [](const Parameter& p) { return Value::integer(p.type); }, "The type's OID in PostgreSQL; 0: not known."},
    }};
    return made;
}

template <>
const Declared<SqlPart>& declared<SqlPart>() {
    static const Declared<SqlPart> made{"Sql", {
        {"text", TypeKind::String, [](const SqlPart& s) { return text_value(s.request.statement); }, "The text as sent. Ask for effects instead: text can be written in many ways."},
        {"stage", TypeKind::String, [](const SqlPart& s) { return stage_text(s.request.stage); }, "statement (simple query), prepare (nothing runs yet) or execute."},
        {"parsed", TypeKind::Bool, [](const SqlPart& s) { return Value::boolean(s.facts.parsed); }, "False: the text could not be analysed, effects is one unknown."},
        {"statements", strings(), [](const SqlPart& s) { return commands(s.facts); }, "The command of each statement: \"SELECT\", \"CREATE TABLE\" …"},
        {"effects", Type::list(object_type<sql::Effect>()), [](const SqlPart& s) { return objects(s.facts.effects); }, "What the text does, one for each kind and object."},
        {"reads", strings(), [](const SqlPart& s) { return texts(s.facts.reads); }, "Objects that are read."},
        {"writes", strings(), [](const SqlPart& s) { return texts(s.facts.writes); }, "Objects that are written, made, changed or removed."},
        {"functions", strings(), [](const SqlPart& s) { return texts(s.facts.functions); }, "Functions that are called, \"schema.name\"."},
        {"filters", strings(), [](const SqlPart& s) { return column_paths(s.facts.filters); }, "Columns that decide which rows come or in what order, \"schema.table.column\"."},
        {"flows", Type::list(object_type<sql::Flow>()), [](const SqlPart& s) { return objects(s.facts.flows); }, "Stored values that are copied into tables."},
        {"runs", TypeKind::Bool, [](const SqlPart& s) { return Value::boolean(s.facts.executes); }, "False: a plain EXPLAIN, nothing runs."},
        {"parameters", Type::list(object_type<Parameter>()), [](const SqlPart& s) { return objects(s.request.parameters); }, "Values of $1, $2 …; not known when a statement is prepared."},
    }};
    return made;
}

template <>
const Declared<DnsFacts>& declared<DnsFacts>() {
    static const Declared<DnsFacts> made{"Dns", {
        {"name", TypeKind::String, [](const DnsFacts& d) { return text_value(d.name); }, "The name in lower case, without the dot at the end; bytes that no host name has are \\DDD."},
        {"type", TypeKind::String, [](const DnsFacts& d) { return text_value(d.type); }, "The record type: A, AAAA, HTTPS, TXT, TYPE65534 …"},
        {"class", TypeKind::String, [](const DnsFacts& d) { return text_value(d.class_); }, "IN, but for curiosities."},
        {"server", TypeKind::String, [](const DnsFacts& d) { return text_value(d.server); }, "The address of the resolver that the agent asked."},
        {"resources", strings(), [](const DnsFacts& d) { return texts(d.resources); }, "The resources that claim the name and that the workload may open. If there is one and no rule says otherwise, the name resolves."},
    }};
    return made;
}
// clang-format on

}  // namespace chaperone::policy::engine

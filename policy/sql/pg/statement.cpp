// SPDX-License-Identifier: Apache-2.0
// One statement: queries and changes of rows, EXPLAIN, prepared statements and cursors, settings,
// transactions, channels. What is neither here nor in copy.cpp, schema.cpp or procedure.cpp is
// Unknown.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

using Kind = SessionChange::Kind;

std::string lower(std::string_view text) {
    std::string result{text};
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return result;
}

constexpr int kCursorHold = 0x20;  // CURSOR_OPT_HOLD, src/include/nodes/parsenodes.h

// EXPLAIN (ANALYZE x): false only where x clearly says so.
bool is_off(const Object& option) {
    const Node arg = node(option, "arg");
    if (arg.type == "String") {
        const std::string value = lower(text(*arg.fields, "sval"));
        return value == "false" || value == "off" || value == "0";
    }
    return arg.type == "Integer" && number(*arg.fields, "ival") == 0;
}

bool constant_argument(const Value& value, std::string& out) {
    const Node n = node(value);
    if (n.type != "A_Const") return constant_text(value, out);
    if (constant_text(value, out)) return true;
    if (const Object* ival = child(*n.fields, "ival")) {
        out = std::to_string(number(*ival, "ival"));
    } else if (const Object* fval = child(*n.fields, "fval")) {
        out = text(*fval, "fval");
    } else if (const Object* boolval = child(*n.fields, "boolval")) {
        out = flag(*boolval, "boolval") ? "true" : "false";
    } else {
        return false;
    }
    return true;
}

SessionChange change(Kind kind, std::string_view name = {}) {
    SessionChange result;
    result.kind = kind;
    result.name = name;
    return result;
}

}  // namespace

void Analysis::statement(Node n, Statement& out) {
    const Deeper deeper{*this};
    std::vector<SessionChange> outer = std::exchange(settings_, {});
    if (!data_statement(n, out) && !session_statement(n, out) && !channel_statement(n, out) &&
        !schema_statement(n, out)) {
        unknown();
        out.command = "UNKNOWN";
        out.returns_rows = true;
        out.outputs_known = false;
    }
    out.changes.insert(out.changes.end(), settings_.begin(), settings_.end());
    settings_ = std::move(outer);
}

void Analysis::give(const Result& result, Statement& out) {
    out.outputs_known = out.outputs_known && result.known;
    for (const RangeColumn& column : result.columns)
        out.outputs.push_back({column.name, refs(column.lineage), column.lineage.unknown,
                               column.lineage.direct && !column.lineage.unknown,
                               column.lineage.own && column.lineage.direct});
}

bool Analysis::data_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "SelectStmt") {
        const Result result = query(n, nullptr);
        const Object* first = &f;
        while (const Object* left = child(*first, "larg")) first = left;
        out.command = "SELECT";
        out.returns_rows = child(*first, "intoClause") == nullptr;
        if (out.returns_rows)
            give(result, out);
        else
            out.command = "SELECT INTO";
        return true;
    }
    if (n.type == "InsertStmt" || n.type == "UpdateStmt" || n.type == "DeleteStmt" ||
        n.type == "MergeStmt") {
        out.command = n.type == "InsertStmt"   ? "INSERT"
                      : n.type == "UpdateStmt" ? "UPDATE"
                      : n.type == "DeleteStmt" ? "DELETE"
                                               : "MERGE";
        const Result result = query(n, nullptr);
        out.returns_rows = !list(f, "returningList").empty();
        if (out.returns_rows) give(result, out);
        return true;
    }
    if (n.type == "CreateTableAsStmt") {
        const Object* clause = child(f, "into");
        const bool view = text(f, "objtype") == "OBJECT_MATVIEW";
        out.command = view ? "CREATE MATERIALIZED VIEW" : "CREATE TABLE AS";
        if (clause == nullptr) return false;
        const Node body = node(f, "query");
        Result result;
        if (body.type == "ExecuteStmt") {
            Statement run;
            execute(*body.fields, run);
            result.known = run.outputs_known;
            for (const OutputColumn& column : run.outputs) {
                Lineage lineage;
                for (const ColumnRef& ref : column.sources)
                    lineage.sources.push_back(intern(ref.schema, ref.relation, ref.column));
                std::ranges::sort(lineage.sources);
                lineage.unknown = column.unknown;
                result.columns.push_back({column.name, std::move(lineage)});
            }
        } else {
            result = query(body, nullptr);
        }
        into(*clause, result, true);
        return true;
    }
    if (n.type == "CopyStmt") return copy(f, out), true;
    if (n.type == "ExplainStmt") return explain(f, out), true;
    if (n.type == "DoStmt") return procedure(f, out), true;
    if (n.type == "CallStmt") {
        out.command = "CALL";
        Scope scope;
        if (const Object* function = child(f, "funccall")) {
            const Lineage result = call(*function, scope);
            effect(EffectKind::Call, object_of(list(*function, "funcname")));
            out.outputs.push_back({"*", refs(result), true, false});
        }
        out.returns_rows = true;  // its OUT parameters, if any
        out.outputs_known = false;
        return true;
    }
    return false;
}

// Plain EXPLAIN shows how it would be done: the relations are read for their statistics, functions
// may run while planning, nothing else happens.
void Analysis::explain(const Object& f, Statement& out) {
    bool runs = false;
    for (const Value& option : list(f, "options")) {
        const Object& o = *node(option).fields;
        if (lower(text(o, "defname")) == "analyze" && !is_off(o)) runs = true;
    }
    out.command = "EXPLAIN";
    Collector inner;
    Collector* const outer = std::exchange(found_, &inner);
    Statement body;
    statement(node(f, "query"), body);
    found_ = outer;
    bool calls = false;
    for (const auto& [key, columns] : inner.effects)
        calls = calls || key.first == EffectKind::Call || key.first == EffectKind::Unknown;
    if (runs) {
        found_->add(inner);
    } else {
        for (const auto& [key, columns] : inner.effects) {
            const EffectKind kind = key.first;
            if (kind == EffectKind::Call || kind == EffectKind::Unknown)
                effect(kind, key.second);
            else if (kind == EffectKind::Read || kind == EffectKind::Insert ||
                     kind == EffectKind::Update || kind == EffectKind::Delete)
                effect(EffectKind::Read, key.second);
        }
        found_->functions.insert(inner.functions.begin(), inner.functions.end());
        found_->uses_session |= inner.uses_session;
        found_->stale |= inner.stale;
        body.changes.clear();
    }
    out.returns_rows = true;
    out.changes = std::move(body.changes);
    // A function run while planning may show what it read as a constant of the plan.
    out.outputs.push_back({"QUERY PLAN", {}, calls, false});
}

bool Analysis::session_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "TransactionStmt") return transaction(f, out), true;
    if (n.type == "VariableSetStmt") return set_parameter(f, out), true;
    if (n.type == "PrepareStmt") return prepare(f, out), true;
    if (n.type == "ExecuteStmt") return execute(f, out), true;
    if (n.type == "DeclareCursorStmt") return declare_cursor(f, out), true;
    if (n.type == "FetchStmt") return fetch(f, out), true;
    if (n.type == "DeallocateStmt") {
        out.command = "DEALLOCATE";
        out.changes.push_back(change(Kind::Deallocate, text(f, "name")));
        return true;
    }
    if (n.type == "ClosePortalStmt") {
        out.command = "CLOSE CURSOR";
        out.changes.push_back(change(Kind::CloseCursor, text(f, "portalname")));
        return true;
    }
    if (n.type == "DiscardStmt") {
        out.command = "DISCARD";
        std::string_view target = text(f, "target");
        if (target.starts_with("DISCARD_")) target.remove_prefix(8);
        if (target.empty()) target = "ALL";
        SessionChange discard = change(Kind::Discard);
        discard.value = lower(target);
        effect(EffectKind::Session, discard.value);
        out.changes.push_back(std::move(discard));
        return true;
    }
    if (n.type == "VariableShowStmt") {
        out.command = "SHOW";
        out.returns_rows = true;
        const std::string name = lower(text(f, "name"));
        effect(EffectKind::Read, "pg_catalog.pg_settings");
        // SHOW ALL does not list settings of the session's own making; SHOW of one may hold
        // whatever was put there.
        if (name == "all")
            for (const char* column : {"name", "setting", "description"})
                out.outputs.push_back({column, {}, false, false});
        else
            out.outputs.push_back({name, {}, setting_is_free(name), false});
        return true;
    }
    if (n.type == "ConstraintsSetStmt") {
        out.command = "SET CONSTRAINTS";
        effect(EffectKind::Transaction);
        return true;
    }
    return false;
}

bool Analysis::channel_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    const std::string channel{text(f, "conditionname")};
    if (n.type == "ListenStmt") {
        out.command = "LISTEN";
        effect(EffectKind::Listen, channel);
    } else if (n.type == "UnlistenStmt") {
        out.command = "UNLISTEN";
        effect(EffectKind::Listen, channel.empty() ? "*" : channel);
    } else if (n.type == "NotifyStmt") {
        out.command = "NOTIFY";
        effect(EffectKind::Notify, channel);
    } else if (n.type == "LoadStmt") {
        out.command = "LOAD";
        effect(EffectKind::Program, std::string{text(f, "filename")});
    } else if (n.type == "LockStmt") {
        out.command = "LOCK TABLE";
        for (const Value& relation : list(f, "relations"))
            effect(EffectKind::Lock, resolve(*node(relation).fields));
    } else {
        return false;
    }
    return true;
}

void Analysis::transaction(const Object& f, Statement& out) {
    static constexpr struct {
        std::string_view node, command;
        Kind kind;
    } kKinds[] = {
        {"TRANS_STMT_BEGIN", "BEGIN", Kind::Begin},
        {"TRANS_STMT_START", "START TRANSACTION", Kind::Begin},
        {"TRANS_STMT_COMMIT", "COMMIT", Kind::Commit},
        {"TRANS_STMT_ROLLBACK", "ROLLBACK", Kind::Rollback},
        {"TRANS_STMT_SAVEPOINT", "SAVEPOINT", Kind::Savepoint},
        {"TRANS_STMT_RELEASE", "RELEASE", Kind::ReleaseSavepoint},
        {"TRANS_STMT_ROLLBACK_TO", "ROLLBACK", Kind::RollbackToSavepoint},
        {"TRANS_STMT_PREPARE", "PREPARE TRANSACTION", Kind::PrepareTransaction},
        {"TRANS_STMT_COMMIT_PREPARED", "COMMIT PREPARED", Kind::Commit},
        {"TRANS_STMT_ROLLBACK_PREPARED", "ROLLBACK PREPARED", Kind::Rollback},
    };
    effect(EffectKind::Transaction);
    const std::string_view kind = text(f, "kind");
    for (const auto& known : kKinds) {
        if (known.node != kind) continue;
        out.command = known.command;
        const std::string_view name =
            text(f, "savepoint_name").empty() ? text(f, "gid") : text(f, "savepoint_name");
        // COMMIT PREPARED ends another transaction, not the session's.
        if (!kind.ends_with("_PREPARED")) out.changes.push_back(change(known.kind, name));
        return;
    }
    unknown();
}

void Analysis::set_parameter(const Object& f, Statement& out) {
    const std::string_view kind = text(f, "kind");
    std::string name = lower(text(f, "name"));
    out.command = kind.starts_with("VAR_RESET") ? "RESET" : "SET";
    if (kind == "VAR_SET_MULTI") {
        if (name == "session characteristics")
            effect(EffectKind::Session, "session_characteristics");
        else
            effect(EffectKind::Transaction);
        return;
    }
    if (kind == "VAR_RESET_ALL") name = "";
    effect(EffectKind::Session, name.empty() ? "all" : name);
    Kind what = Kind::SetParameter;
    if (kind == "VAR_SET_DEFAULT" || kind == "VAR_RESET" || kind == "VAR_RESET_ALL")
        what = Kind::ResetParameter;
    else if (name == "role")
        what = Kind::SetRole;
    else if (name == "session_authorization")
        what = Kind::SetSessionAuthorization;
    SessionChange set = change(what, name);
    set.local = flag(f, "is_local");
    bool first = true;
    for (const Value& argument : list(f, "args")) {
        std::string value;
        if (!constant_argument(argument, value)) set.certain = false;
        if (!first) set.value += ", ";
        first = false;
        // As a list in one text: each name quoted as an identifier where it needs that.
        if (name == "search_path") {
            set.value += '"';
            for (const char c : value) {
                if (c == '"') set.value += '"';
                set.value += c;
            }
            set.value += '"';
        } else {
            set.value += value;
        }
    }
    if (kind == "VAR_SET_CURRENT") set.certain = false;
    out.changes.push_back(std::move(set));
}

std::shared_ptr<Facts> Analysis::body_facts(Node body, const Statement& shape) {
    Collector inner;
    Collector* const outer = std::exchange(found_, &inner);
    Statement done = shape;
    statement(body, done);
    found_ = outer;
    found_->add(inner);
    auto facts = finish(std::move(inner));
    facts->statements.push_back(std::move(done));
    return facts;
}

void Analysis::prepare(const Object& f, Statement& out) {
    out.command = "PREPARE";
    SessionChange made = change(Kind::Prepare, text(f, "name"));
    made.body = body_facts(node(f, "query"), {});
    local_.prepared[made.name].push_back(made.body);
    out.changes.push_back(std::move(made));
}

void Analysis::declare_cursor(const Object& f, Statement& out) {
    out.command = "DECLARE CURSOR";
    SessionChange made = change(Kind::DeclareCursor, text(f, "portalname"));
    made.hold = (number(f, "options") & kCursorHold) != 0;
    made.body = body_facts(node(f, "query"), {});
    local_.portals[made.name].push_back(made.body);
    out.changes.push_back(std::move(made));
}

SessionNames::Candidates Analysis::named(bool portal, std::string_view name) {
    SessionNames::Candidates result;
    const auto add = [&](const SessionNames& names) {
        const auto& map = portal ? names.portals : names.prepared;
        if (const auto found = map.find(name); found != map.end())
            result.insert(result.end(), found->second.begin(), found->second.end());
    };
    add(local_);
    if (context_.session != nullptr) add(*context_.session);
    return result;
}

// What a name stands for: all that its candidates do, and columns of which each may be any's.
void Analysis::candidates(const SessionNames::Candidates& found, bool rows, Statement& out) {
    if (found.empty()) {
        out.returns_rows = rows;
        out.outputs_known = false;
        return;
    }
    bool first = true;
    for (const auto& facts : found) {
        found_->add(*facts);
        if (facts->statements.size() != 1) {
            out.returns_rows = rows;
            out.outputs_known = false;
            continue;
        }
        const Statement& body = facts->statements[0];
        out.returns_rows = out.returns_rows || (rows && body.returns_rows);
        out.outputs_known = out.outputs_known && body.outputs_known;
        if (body.copy_out || body.copy_in) out.outputs_known = false;
        if (first) {
            out.outputs = body.outputs;
        } else if (body.outputs.size() != out.outputs.size()) {
            out.outputs_known = false;
        } else {
            for (std::size_t i = 0; i < body.outputs.size(); ++i) {
                OutputColumn& column = out.outputs[i];
                const OutputColumn& other = body.outputs[i];
                column.direct = column.direct && other.direct && column.sources == other.sources;
                column.own = column.own && other.own;
                column.unknown = column.unknown || other.unknown;
                std::vector<ColumnRef> both;
                std::ranges::set_union(column.sources, other.sources, std::back_inserter(both));
                column.sources = std::move(both);
            }
        }
        first = false;
    }
}

void Analysis::execute(const Object& f, Statement& out) {
    const std::string_view name = text(f, "name");
    out.command = "EXECUTE";
    found_->uses_session = true;
    const auto found = named(false, name);
    if (found.empty()) unknown(std::string{name});
    candidates(found, true, out);
    Scope scope;
    const Lineage values = all(list(f, "params"), scope);
    if (!values.empty())  // parameters may come back in any column
        for (OutputColumn& column : out.outputs) column.unknown = true;
    out.changes.push_back(change(Kind::Execute, name));
}

void Analysis::fetch(const Object& f, Statement& out) {
    const std::string_view name = text(f, "portalname");
    const bool move = flag(f, "ismove");
    out.command = move ? "MOVE" : "FETCH";
    found_->uses_session = true;
    const auto found = named(true, name);
    if (found.empty()) unknown(std::string{name});
    candidates(found, !move, out);
    if (move) out.outputs.clear();
    out.changes.push_back(change(Kind::Fetch, name));
}

}  // namespace chaperone::policy::sql::pg

// SPDX-License-Identifier: Apache-2.0
// Parsing, the walk over all statements of a text, and what becomes of what was found.
#include "policy/sql/analyzer.h"

#include "policy/sql/pg/analysis.h"
#include "policy/sql/pg/guard.h"

#include <pg_query.h>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define CHAPERONE_ALLOW_LEAKS const __lsan::ScopedDisabler allow_leaks
#endif
#endif
#ifndef CHAPERONE_ALLOW_LEAKS
#define CHAPERONE_ALLOW_LEAKS static_cast<void>(0)
#endif

namespace chaperone::policy::sql {
namespace pg {
namespace {

constexpr std::size_t kJsonDepth = 6'000;  // several levels of JSON a level of the tree
constexpr std::size_t kBudget = 500'000;   // nodes walked

struct Memory {
    std::array<unsigned char, 16 * 1024> first;
    boost::json::monotonic_resource resource{first.data(), first.size()};
    std::optional<Value> value;
};

Parsed read(const char* tree) {
    Parsed result;
    if (tree == nullptr) return result;
    const auto memory = std::make_shared<Memory>();
    boost::json::parse_options options;
    options.max_depth = kJsonDepth;
    std::array<unsigned char, 2048> scratch;
    boost::json::parser parser{{}, options, scratch.data(), scratch.size()};
    parser.reset(&memory->resource);
    boost::system::error_code error;
    parser.write(tree, std::strlen(tree), error);
    if (error) {
        result.error = "nests too deep to inspect";
        return result;
    }
    memory->value.emplace(parser.release());
    result.tree = &*memory->value;
    result.memory = memory;
    return result;
}

bool is_write(EffectKind kind) {
    switch (kind) {
    case EffectKind::Insert:
    case EffectKind::Update:
    case EffectKind::Delete:
    case EffectKind::Truncate:
    case EffectKind::CopyIn:
    case EffectKind::Create:
    case EffectKind::Alter:
    case EffectKind::Drop: return true;
    case EffectKind::Read:
    case EffectKind::Grant:
    case EffectKind::Session:
    case EffectKind::Transaction:
    case EffectKind::CopyOut:
    case EffectKind::File:
    case EffectKind::Program:
    case EffectKind::Call:
    case EffectKind::Lock:
    case EffectKind::Listen:
    case EffectKind::Notify:
    case EffectKind::Maintain:
    case EffectKind::Unknown: return false;
    }
    return true;
}

// Names after which the catalog may mislead: those of what was made, changed or removed.
void note_change(SessionNames& names, EffectKind kind, const std::string& object) {
    if (kind == EffectKind::Unknown) {
        names.all_changed = true;
        names.made.clear();
    }
    if (kind != EffectKind::Create && kind != EffectKind::Alter && kind != EffectKind::Drop) return;
    const std::size_t dot = object.rfind('.');
    if (dot == std::string::npos) {
        names.all_changed = true;  // a schema, a cast …
        names.made.clear();
        return;
    }
    const std::string name = object.substr(dot + 1);
    names.changed.insert(name);
    names.made.erase(name);
    if (kind == EffectKind::Drop) return;  // it makes a name stand for nothing new
    const std::string_view schema = std::string_view{object}.substr(0, dot);
    const auto [at, first] = names.changed_in.try_emplace(name, schema);
    if (!first && at->second != schema) at->second.clear();
}

}  // namespace

Parsed parse(std::string_view text) {
    const std::string terminated{text};
    PgQueryParseResult raw = pg_query_parse(terminated.c_str());
    Parsed result;
    if (raw.error != nullptr)
        result.error = "is not SQL that PostgreSQL 15 understands";
    else
        result = read(raw.parse_tree);
    if (result.tree != nullptr && !result.tree->is_object()) result.tree = nullptr;
    pg_query_free_parse_result(raw);
    return result;
}

Parsed parse_procedure(std::string_view statement) {
    const std::string terminated{statement};
    // libpg_query 15-4.0.0 forgets an empty string of every text that it parses on the way.
    CHAPERONE_ALLOW_LEAKS;
    PgQueryPlpgsqlParseResult raw = pg_query_parse_plpgsql(terminated.c_str());
    Parsed result;
    if (raw.error != nullptr)
        result.error = "is not PL/pgSQL that PostgreSQL 15 understands";
    else
        result = read(raw.plpgsql_funcs);
    pg_query_free_plpgsql_parse_result(raw);
    return result;
}

void Collector::add(const Collector& other) {
    for (const auto& [key, columns] : other.effects)
        effects[key].insert(columns.begin(), columns.end());
    functions.insert(other.functions.begin(), other.functions.end());
    through.insert(other.through.begin(), other.through.end());
    filters.insert(other.filters.begin(), other.filters.end());
    flows.insert(other.flows.begin(), other.flows.end());
    uses_session |= other.uses_session;
    changes_schema |= other.changes_schema;
    changes_names |= other.changes_names;
    stale |= other.stale;
}

void Collector::add(const Facts& facts) {
    for (const Effect& effect : facts.effects)
        effects[{effect.kind, effect.object}].insert(effect.columns.begin(), effect.columns.end());
    functions.insert(facts.functions.begin(), facts.functions.end());
    through.insert(facts.through.begin(), facts.through.end());
    filters.insert(facts.filters.begin(), facts.filters.end());
    flows.insert(facts.flows.begin(), facts.flows.end());
    uses_session |= facts.uses_session;
    changes_schema |= facts.changes_schema;
    changes_names |= facts.changes_names;
    stale |= facts.stale;
}

Analysis::Analysis(std::string_view text, const Context& context, ViewLookup views)
    : text_(text),
      context_(context),
      views_(std::move(views)),
      names_(context.names),
      budget_(kBudget) {}

std::shared_ptr<Facts> Analysis::finish(Collector&& from) {
    auto facts = std::make_shared<Facts>();
    facts->parsed = true;
    for (auto& [key, columns] : from.effects) {
        const auto& [kind, object] = key;
        if (!object.empty() && (kind == EffectKind::Read || kind == EffectKind::CopyOut))
            facts->reads.push_back(object);
        if (!object.empty() && is_write(kind)) facts->writes.push_back(object);
        facts->effects.push_back({kind, object, {columns.begin(), columns.end()}});
    }
    for (std::vector<std::string>* objects : {&facts->reads, &facts->writes}) {
        std::ranges::sort(*objects);
        objects->erase(std::unique(objects->begin(), objects->end()), objects->end());
    }
    facts->functions.assign(from.functions.begin(), from.functions.end());
    facts->through.assign(from.through.begin(), from.through.end());
    facts->filters.assign(from.filters.begin(), from.filters.end());
    facts->flows.assign(from.flows.begin(), from.flows.end());
    facts->uses_session = from.uses_session;
    facts->stale = from.stale;
    const bool unknown = facts->does(EffectKind::Unknown);
    facts->changes_schema = from.changes_schema || unknown;
    facts->changes_names = from.changes_names || unknown;
    return facts;
}

// Whether the session has made or changed something of that name in another schema.
bool Analysis::elsewhere(const MadeTable& table) const {
    if (context_.session == nullptr) return false;
    const auto in = context_.session->changed_in.find(table.name);
    return context_.session->all_changed ||
           (in != context_.session->changed_in.end() && in->second != table.schema);
}

// What a statement leaves to those after it in the same text.
void Analysis::after(const Statement& done, const Collector& found) {
    for (const auto& [key, columns] : found.effects)
        if (found.changes_names || key.first == EffectKind::Unknown)
            note_change(local_, key.first, key.second);
    if (found.changes_schema && !found.changes_names) local_.added = true;
    for (const auto& [key, columns] : found.effects) unsure_ |= key.first == EffectKind::Call;
    // What follows in the text runs only if this has succeeded.
    if (done.makes && !elsewhere(*done.makes)) {
        local_.keep(*done.makes);
        const auto at = local_.made.find(done.makes->name);
        if (at != local_.made.end()) relations_.push_back(at->second.relation);
    }
    if (done.relates) local_.all_changed = true;
    using Kind = SessionChange::Kind;
    for (const SessionChange& change : done.changes) {
        if (change.kind == Kind::Commit || change.kind == Kind::Rollback ||
            change.kind == Kind::RollbackToSavepoint || change.kind == Kind::PrepareTransaction) {
            ended_ = true;
            local_.made.clear();
        }
        const bool setting =
            change.kind == Kind::SetParameter || change.kind == Kind::ResetParameter;
        if ((setting && (change.name == "search_path" || change.name.empty())) ||
            change.kind == Kind::SetRole || change.kind == Kind::SetSessionAuthorization ||
            change.kind == Kind::Discard)
            names_.certain = false;
    }
    if (found.effects.contains({EffectKind::Unknown, ""})) names_.certain = false;
}

std::shared_ptr<Facts> Analysis::run(const Value& tree) {
    Collector all;
    std::vector<Statement> statements;
    bool executes = false;
    for (const Value& raw : list(tree.as_object(), "stmts")) {
        const Object* fields = raw.if_object();
        if (fields == nullptr) throw TooComplex{};
        Collector found;
        found_ = &found;
        Statement& out = statements.emplace_back();
        out.offset = static_cast<std::size_t>(number(*fields, "stmt_location"));
        out.length = static_cast<std::size_t>(number(*fields, "stmt_len"));
        if (out.offset > text_.size()) throw TooComplex{};
        if (out.length == 0) out.length = text_.size() - out.offset;
        const Node n = node(*fields, "stmt");
        statement(n, out);
        after(out, found);
        if (all.effects.empty() && statements.size() == 1)
            all = std::move(found);
        else
            all.add(found);
        bool runs = n.type != "ExplainStmt";
        if (!runs)
            for (const Value& option : list(*n.fields, "options"))
                runs = runs || pg::text(*node(option).fields, "defname") == "analyze";
        executes = executes || runs;
    }
    found_ = nullptr;
    auto facts = finish(std::move(all));
    facts->statements = std::move(statements);
    facts->executes = executes || facts->statements.empty();
    return facts;
}

Catalog::ViewLineage Analysis::view_lineage(const Value& tree, const Relation& view) {
    Catalog::ViewLineage lineage;
    Collector found;
    found_ = &found;
    const Array& statements = list(tree.as_object(), "stmts");
    if (statements.size() != 1 || statements[0].if_object() == nullptr) return lineage;
    const Result result = query(node(*statements[0].if_object(), "stmt"), nullptr);
    lineage.known = result.known && result.columns.size() == view.columns.size();
    for (std::size_t i = 0; lineage.known && i < result.columns.size(); ++i) {
        const Lineage& from = result.columns[i].lineage;
        lineage.columns.push_back(
            {view.columns[i].name, refs(from), from.unknown, from.direct && !from.unknown});
    }
    lineage.filters.assign(found.filters.begin(), found.filters.end());
    std::set<std::string> relations = found.through;
    for (const auto& [key, columns] : found.effects)
        if (key.first == EffectKind::Read) relations.insert(key.second);
    lineage.relations.assign(relations.begin(), relations.end());
    lineage.functions.assign(found.functions.begin(), found.functions.end());
    return lineage;
}

namespace {

class PostgresAnalyzer final : public Analyzer {
public:
    std::string_view dialect() const noexcept override { return "postgresql"; }

    std::shared_ptr<const Facts> analyze(std::string_view text,
                                         const Context& context) const override {
        // With it off, a backslash in a plain string escapes the quote: other tokens than ours.
        // Where there is none the text is the same either way.
        if (!context.standard_conforming_strings && text.contains('\\'))
            return unparsed("standard_conforming_strings is off, which the parser cannot follow");
        if (const std::string_view why = refuse(text, context.limits.text, context.limits.chain);
            !why.empty())
            return unparsed(std::string{why});
        const Parsed parsed = parse(text);
        if (parsed.tree == nullptr) return unparsed(parsed.error);
        try {
            Analysis analysis{text, context,
                              [&](const Relation& view) { return context.catalog->lineage(view); }};
            return analysis.run(*parsed.tree);
        } catch (const Analysis::TooComplex&) {
            return unparsed("is too complex to inspect");
        }
    }
};

}  // namespace
}  // namespace pg

void SessionNames::note(const Facts& facts, std::size_t limit) {
    added = added || (facts.changes_schema && !facts.changes_names);
    if (facts.changes_names)
        for (const Effect& effect : facts.effects)
            pg::note_change(*this, effect.kind, effect.object);
    for (const Statement& statement : facts.statements)
        if (statement.relates) made.clear();
    const auto keep = [&](auto& names, const SessionChange& change) {
        if (names.size() >= limit && !names.contains(change.name)) return;
        auto& candidates = names[change.name];
        if (candidates.size() < 16) {
            candidates.push_back(change.body);
            return;
        }
        // Too many to tell which one it is: any of them, and anything else.
        candidates.assign(1, unparsed("was prepared too often to inspect"));
    };
    for (const Statement& statement : facts.statements)
        for (const SessionChange& change : statement.changes) {
            if (change.body == nullptr) continue;
            if (change.kind == SessionChange::Kind::Prepare) keep(prepared, change);
            if (change.kind == SessionChange::Kind::DeclareCursor) keep(portals, change);
        }
    if (changed.size() > limit) {
        changed.clear();
        changed_in.clear();
        made.clear();
        all_changed = true;
    }
}

void SessionNames::keep(const MadeTable& table) {
    const auto in = changed_in.find(table.name);
    if (all_changed || in == changed_in.end() || in->second != table.schema) return;
    auto relation = std::make_shared<Relation>();
    relation->schema = table.schema;
    relation->name = table.name;
    for (const std::string& column : table.columns)
        relation->columns.push_back(
            {column, static_cast<std::int16_t>(relation->columns.size() + 1), 0});
    made[table.name] = {.relation = std::move(relation), .until_commit = table.until_commit};
}

std::map<std::string, SessionNames::Table, std::less<>> SessionNames::ending() {
    std::map<std::string, Table, std::less<>> open;
    for (auto at = made.begin(); at != made.end();) {
        const auto entry = at++;
        if (!entry->second.committed) open.insert(made.extract(entry));
    }
    return open;
}

void SessionNames::again(std::map<std::string, Table, std::less<>> tables) {
    std::erase_if(tables, [](const auto& entry) { return entry.second.until_commit; });
    made.merge(tables);
}

void SessionNames::seen(const Catalog& catalog) {
    for (auto at = made.begin(); at != made.end();) {
        const auto entry = at++;
        const auto& [name, table] = *entry;
        if (!table.committed || catalog.relation(table.relation->schema, name) == nullptr) continue;
        // Nothing else of that name was made or changed, or it would not be known.
        changed.erase(name);
        changed_in.erase(name);
        made.erase(entry);
    }
}

void SessionNames::committed() {
    std::erase_if(made, [](const auto& entry) { return entry.second.until_commit; });
    for (auto& [name, table] : made) table.committed = true;
}

const Analyzer& postgresql() noexcept {
    static const pg::PostgresAnalyzer analyzer;
    return analyzer;
}

std::shared_ptr<const Facts> analyze(std::string_view text, const Context& context) {
    return postgresql().analyze(text, context);
}

}  // namespace chaperone::policy::sql

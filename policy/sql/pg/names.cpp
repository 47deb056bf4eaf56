// SPDX-License-Identifier: Apache-2.0
// From names to relations and columns, and the marks they leave.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::sql::pg {
namespace {

constexpr std::size_t kMaxRelatives = 256;  // partitions of one table; beyond: lineage unknown

constexpr std::array<std::string_view, 7> kSystemColumns = {"tableoid", "ctid", "xmin", "xmax",
                                                            "cmin",     "cmax", "oid"};

// Every ancestor and descendant: a value is stored once and shows under each of their names.
bool relatives(const Catalog& catalog, const Relation& of, std::vector<const Relation*>& out) {
    std::set<Oid> seen{of.oid};
    std::vector<std::pair<const Relation*, bool>> open{{&of, true}, {&of, false}};
    while (!open.empty()) {
        const auto [relation, up] = open.back();
        open.pop_back();
        for (const Oid oid : up ? relation->parents : relation->children) {
            const Relation* next = catalog.relation(oid);
            if (next == nullptr || !seen.insert(oid).second) continue;
            if (out.size() >= kMaxRelatives) return false;
            out.push_back(next);
            open.emplace_back(next, up);
        }
    }
    return true;
}

}  // namespace

void Lineage::add(const Lineage& other) {
    unknown |= other.unknown;
    if (other.sources.empty()) return;
    if (sources.empty()) {
        sources = other.sources;
        return;
    }
    std::vector<SourceId> both;
    both.reserve(sources.size() + other.sources.size());
    std::ranges::set_union(sources, other.sources, std::back_inserter(both));
    sources = std::move(both);
}

std::string_view Analysis::keep(std::string text) {
    return kept_.emplace_back(std::move(text));
}

SourceId Analysis::intern(std::string_view schema, std::string_view relation,
                          std::string_view column) {
    ColumnRef ref{std::string{schema}, std::string{relation}, std::string{column}};
    const auto [at, added] =
        ref_ids_.try_emplace(std::move(ref), static_cast<SourceId>(refs_.size()));
    if (added) {
        if (refs_.size() >= context_.limits.sources) throw TooComplex{};
        refs_.push_back(at->first);
    }
    return at->second;
}

std::vector<ColumnRef> Analysis::refs(const Lineage& lineage) const {
    std::vector<ColumnRef> result;
    result.reserve(lineage.sources.size());
    for (const SourceId id : lineage.sources) result.push_back(refs_[id]);
    std::ranges::sort(result);
    return result;
}

bool Analysis::changed(std::string_view name) {
    return named_changed(name, true);
}

bool Analysis::named_changed(std::string_view name, bool or_all) {
    const auto in = [&](const SessionNames& names) {
        return (or_all && names.all_changed) || names.changed.contains(name);
    };
    const bool earlier = context_.session != nullptr && in(*context_.session);
    if (earlier && found_ != nullptr) found_->stale = true;
    return earlier || in(local_);
}

// Settings of the session's own making hold anything; so do those of the server that take any text,
// once code that we did not see may have set them.
bool Analysis::setting_is_free(std::string_view setting) {
    if (setting.contains('.')) return true;
    std::string name{setting};
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    constexpr std::string_view kTexts[] = {"application_name", "search_path",
                                           "default_text_search_config", "timezone"};
    if (std::ranges::find(kTexts, name) == std::end(kTexts)) return false;
    found_->uses_session = true;
    return context_.session != nullptr && context_.session->settings_unsure;
}

std::vector<Target> Analysis::resolve(const Object& range_var) {
    return resolve(text(range_var, "schemaname"), text(range_var, "relname"));
}

const Relation* Analysis::made(std::string_view name) const {
    if (context_.catalog == nullptr || creating_ || unsure_ || !names_.certain ||
        local_.all_changed ||
        std::ranges::find(names_.search_path, "pg_temp") != names_.search_path.end())
        return nullptr;
    if (const auto at = local_.made.find(name); at != local_.made.end())
        return at->second.relation.get();
    const SessionNames* session = context_.session;
    if (session == nullptr || session->all_changed || local_.changed.contains(name)) return nullptr;
    const auto at = session->made.find(name);
    if (at == session->made.end() || (ended_ && !at->second.committed)) return nullptr;
    return at->second.relation.get();
}

std::vector<Target> Analysis::resolve(std::string_view schema, std::string_view name) {
    const Catalog* catalog = context_.catalog;
    const Relation* own = made(name);
    const bool temporary = own != nullptr && own->schema == "pg_temp";
    if (temporary && (schema.empty() || schema == own->schema)) {
        changed(name);
        const std::string also = resolve_known(name, nullptr).front().schema;
        return {{own->schema, std::string{name}, own, false, also}};
    }
    if (schema.empty()) return resolve_known(name, own);
    if (own != nullptr && own->schema == schema) {
        changed(name);
        return {{own->schema, std::string{name}, own, false, {}}};
    }
    Target result{std::string{schema}, std::string{name}, nullptr, false, {}};
    if (catalog != nullptr) result.relation = catalog->relation(schema, name);
    // What the server's own schemas hold no agent's code changes; only without the schema may
    // another relation, a temporary one, be meant.
    const bool builtin = schema == "pg_catalog" && is_builtin_relation(name);
    const bool server = (schema == "pg_catalog" || schema == "information_schema") &&
                        (result.relation != nullptr || builtin);
    result.doubt = server ? named_changed(name) : changed(name);
    if (schema == "pg_temp") result.relation = nullptr;
    if (catalog != nullptr && result.relation == nullptr && !builtin) result.doubt = true;
    return {result};
}

// Where an unqualified name may lead. `own`: what the session has made under it, not temporary.
std::vector<Target> Analysis::resolve_known(std::string_view name, const Relation* own) {
    const Catalog* catalog = context_.catalog;
    const auto is_own = [&](std::string_view in) { return own != nullptr && own->schema == in; };
    const auto target = [&](std::string_view in) {
        Target result{std::string{in}, std::string{name}, nullptr, changed(name), {}};
        if (catalog == nullptr) return result;
        if (is_own(in)) {
            result.relation = own;
            result.doubt = false;
            return result;
        }
        result.relation = catalog->relation(in, name);
        if (in == "pg_temp") result.relation = nullptr;
        if (result.relation == nullptr && !(in == "pg_catalog" && is_builtin_relation(name)))
            result.doubt = true;
        return result;
    };
    const bool system = is_builtin_relation(name) ||
                        (catalog != nullptr && catalog->relation("pg_catalog", name) != nullptr);
    std::vector<Target> result;
    const auto& path = names_.search_path;
    if (!names_.certain) {
        if (system) result.push_back(target("pg_catalog"));
        if (catalog != nullptr)
            for (const Relation* relation : catalog->relations_named(name))
                if (relation->schema != "pg_catalog") result.push_back(target(relation->schema));
        if (result.empty()) result.push_back(target("public"));
        return result;
    }
    if (system && std::ranges::find(path, "pg_catalog") == path.end())
        return {target("pg_catalog")};
    for (const std::string& in : path) {
        if (in == "pg_catalog"
                ? system
                : is_own(in) || (catalog != nullptr && catalog->relation(in, name) != nullptr))
            return {target(in)};
    }
    for (const std::string& in : path)
        if (in != "pg_catalog" && in != "$user" && in != "pg_temp" &&
            (catalog == nullptr || catalog->has_schema(in)))
            return {target(in)};
    return {target("public")};
}

std::vector<Target> Analysis::resolve_text(std::string_view text) {
    std::vector<std::string> parts{{}};
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"')
            parts.back() += text[++i];
        else if (c == '"')
            quoted = !quoted;
        else if (c == '.' && !quoted)
            parts.emplace_back();
        else if (!quoted && (c == ' ' || c == '\t' || c == '\n'))
            continue;
        else
            parts.back() += !quoted && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    }
    const std::string_view schema =
        parts.size() > 1 ? keep(parts[parts.size() - 2]) : std::string_view{};
    return resolve(schema, keep(parts.back()));
}

std::string Analysis::object_of(const Array& name) {
    const auto parts = strings(name);
    if (parts.empty()) return {};
    if (parts.size() > 1)
        return std::string{parts[parts.size() - 2]} + "." + std::string{parts.back()};
    return resolve({}, parts.back()).front().object();
}

std::string Analysis::object_of_range(const Object& range_var) {
    return resolve(range_var).front().object();
}

Lineage Analysis::column_of(const Target& target, std::string_view column) {
    Lineage result;
    result.sources.push_back(intern(target.schema, target.name, column));
    result.direct = column != "*";
    result.unknown = target.doubt || leaks(target.schema, target.name, column);
    const Relation* relation = target.relation;
    if (relation == nullptr) return result;
    Lineage more;
    // What was written to it before it was known went to that name, under the masks of that name.
    if (!target.also.empty()) more.sources.push_back(intern(target.also, target.name, column));
    result.own = relation == made(target.name);
    if (!relation->parents.empty() || !relation->children.empty()) {
        std::vector<const Relation*> others;
        if (!relatives(*context_.catalog, *relation, others)) result.unknown = true;
        for (const Relation* other : others) {
            result.unknown = changed(other->name) || result.unknown;
            more.sources.push_back(intern(other->schema, other->name, column));
        }
    }
    const bool system =
        relation->schema == "pg_catalog" || relation->schema == "information_schema";
    if (relation->is_view() && !system) {
        const Catalog::ViewLineage* view = views_ ? views_(*relation) : nullptr;
        const bool stale =
            view != nullptr && std::ranges::any_of(view->relations, [&](const std::string& object) {
                return changed(std::string_view{object}.substr(object.find('.') + 1));
            });
        if (view == nullptr || !view->known || stale) {
            result.unknown = true;
        } else {
            found_->through.insert(view->relations.begin(), view->relations.end());
            found_->functions.insert(view->functions.begin(), view->functions.end());
            for (std::size_t i = 0; i < view->columns.size(); ++i) {
                if (column != "*" && view->columns[i].name != column) continue;
                result.unknown |= view->columns[i].unknown;
                result.direct &= view->columns[i].direct;
                for (const ColumnRef& ref : view->columns[i].sources)
                    more.sources.push_back(intern(ref.schema, ref.relation, ref.column));
            }
        }
    }
    std::ranges::sort(more.sources);
    more.sources.erase(std::unique(more.sources.begin(), more.sources.end()), more.sources.end());
    result.add(more);
    return result;
}

std::optional<Lineage> Analysis::lookup(const Range& range, std::string_view column,
                                        bool& definite) {
    definite = true;
    if (!range.is_base()) {
        std::optional<Lineage> result;
        for (const RangeColumn& c : range.columns) {
            if (c.name != column) continue;
            if (result) {
                result->add(c.lineage);
                result->direct = false;
            } else {
                result = c.lineage;
            }
        }
        if (result) return result;
        definite = false;
        if (range.open) return range.rest;
        return std::nullopt;
    }
    std::optional<Lineage> result;
    const auto merge = [&](Lineage lineage) {
        if (!result) {
            result = std::move(lineage);
            return;
        }
        result->add(lineage);
        result->direct = false;
    };
    definite = range.targets.size() == 1;
    const auto alias = std::ranges::find(range.column_aliases, column);
    const auto position = static_cast<std::size_t>(alias - range.column_aliases.begin());
    for (const Target& target : range.targets) {
        const Relation* relation = target.doubt ? nullptr : target.relation;
        std::string_view name = column;
        if (relation == nullptr) {
            definite = definite && alias != range.column_aliases.end();
            if (alias != range.column_aliases.end()) name = "*";
        } else if (alias != range.column_aliases.end()) {
            if (position >= relation->columns.size()) continue;
            name = relation->columns[position].name;
        } else {
            const Column* known = relation->column(column);
            const bool renamed =
                known != nullptr && static_cast<std::size_t>(known - relation->columns.data()) <
                                        range.column_aliases.size();
            if (known == nullptr || renamed) {
                if (std::ranges::find(kSystemColumns, column) != kSystemColumns.end())
                    merge(Lineage{});
                continue;
            }
        }
        mark(target, name);
        Lineage lineage = column_of(target, name);
        if (relation == nullptr && is_builtin_function(column)) {
            // t.to_json, where t is unknown, may be the function to_json of the whole row.
            lineage.add(column_of(target, "*"));
            lineage.direct = false;
        }
        merge(std::move(lineage));
    }
    if (!result) definite = false;
    return result;
}

Lineage Analysis::whole(const Range& range) {
    Lineage result;
    bool known = true;
    for (const RangeColumn& column : expand(range, known)) result.add(column.lineage);
    if (!range.is_base() && range.open) result.add(range.rest);
    result.direct = false;
    result.row = &range;
    return result;
}

std::vector<RangeColumn> Analysis::expand(const Range& range, bool& known) {
    if (!range.is_base()) {
        std::vector<RangeColumn> result = range.columns;
        if (range.open) {
            known = false;
            result.push_back({"*", range.rest});
        }
        return result;
    }
    std::vector<RangeColumn> result;
    if (range.targets.size() > 1) known = false;
    for (const Target& target : range.targets) {
        mark(target, "*");
        if (target.relation == nullptr || target.doubt) {
            known = false;
            Lineage lineage = column_of(target, "*");
            lineage.direct = false;
            result.push_back({"*", std::move(lineage)});
            continue;
        }
        for (std::size_t i = 0; i < target.relation->columns.size(); ++i) {
            const std::string& name = target.relation->columns[i].name;
            result.push_back({i < range.column_aliases.size() ? range.column_aliases[i] : name,
                              column_of(target, name)});
        }
    }
    return result;
}

void Analysis::mark(const Target& target, std::string_view column, EffectKind kind) {
    auto& columns = found_->effects[{kind, target.object()}];
    if (column.empty()) return;
    if (column == "*" && target.relation != nullptr && !target.doubt &&
        !target.relation->columns.empty())
        for (const Column& known : target.relation->columns) columns.insert(known.name);
    else
        columns.emplace(column);
}

void Analysis::effect(EffectKind kind, std::string object, std::string_view column) {
    auto& columns = found_->effects[{kind, std::move(object)}];
    if (!column.empty()) columns.emplace(column);
}

void Analysis::effect(EffectKind kind, const std::vector<Target>& targets,
                      std::string_view column) {
    for (const Target& target : targets) mark(target, column, kind);
}

void Analysis::filter(const Lineage& lineage) {
    for (const SourceId id : lineage.sources) found_->filters.insert(refs_[id]);
}

void Analysis::flow(const Lineage& lineage, const std::string& target, std::string_view column) {
    for (const SourceId id : lineage.sources)
        found_->flows.insert({refs_[id], target, std::string{column}});
    if (lineage.unknown) found_->flows.insert({{}, target, std::string{column}});
}

}  // namespace chaperone::policy::sql::pg

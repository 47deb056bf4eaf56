// SPDX-License-Identifier: Apache-2.0
// Function calls: what they give back, and what they do besides.
#include "policy/sql/pg/analysis.h"
#include "policy/sql/pg/guard.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

constexpr int kMaxEmbedded = 4;  // texts within texts within …

}  // namespace

// Aggregates and window functions, whose result counts or ranks rows and holds no value of them.
static bool carries_no_value(std::string_view name) {
    return name == "count" || name == "row_number" || name == "rank" || name == "dense_rank" ||
           name == "percent_rank" || name == "cume_dist" || name == "ntile";
}

// The bare name; builtin: it is pg_catalog's, and nothing of the same name can be meant.
std::string_view Analysis::resolve_function(const Array& name, bool& builtin, Lineage& result) {
    const auto parts = strings(name);
    builtin = false;
    if (parts.empty()) return {};
    const std::string_view bare = parts.back();
    const Catalog* catalog = context_.catalog;
    const bool local_change = changed("function " + std::string{bare}) || changed(bare);
    const auto foreign = [&](std::string_view schema) {
        std::string object = std::string{schema} + "." + std::string{bare};
        found_->functions.insert(object);
        effect(EffectKind::Call, std::move(object));
        result.unknown = true;
    };
    if (parts.size() > 1) {
        const std::string_view schema = parts[parts.size() - 2];
        const bool known = is_builtin_function(bare);
        if (schema == "pg_catalog" && known) {
            builtin = true;
            found_->functions.insert("pg_catalog." + std::string{bare});
        } else {
            foreign(schema);
        }
        return bare;
    }
    bool others = false;
    if (catalog != nullptr)
        for (const Function& function : catalog->functions_named(bare))
            if (function.schema != "pg_catalog") {
                // A better match of argument types wins over pg_catalog's place in the path.
                const auto& path = names_.search_path;
                if (names_.certain && std::ranges::find(path, function.schema) == path.end())
                    continue;
                others = true;
                foreign(function.schema);
            }
    if (is_builtin_function(bare)) {
        found_->functions.insert("pg_catalog." + std::string{bare});
        builtin = !others && !local_change;
        if (local_change) foreign("public");
    } else if (!others) {
        const auto& path = names_.search_path;
        foreign(path.empty() || path.front() == "$user" || path.front() == "pg_catalog"
                    ? std::string_view{"public"}
                    : std::string_view{path.front()});
    }
    return bare;
}

Lineage Analysis::call(const Object& call, Scope& scope) {
    Lineage result;
    bool builtin = false;
    const Array& args = list(call, "args");
    const auto parts = strings(list(call, "funcname"));
    const std::string_view bare = parts.empty() ? std::string_view{} : parts.back();
    if (parts.size() == 1 && args.size() == 1 && !is_builtin_function(bare) &&
        node(args[0]).type == "ColumnRef") {
        // column(t) is t.column, unless a function has that name.
        const Lineage row = expression(args[0], scope);
        const bool none = context_.catalog != nullptr &&
                          context_.catalog->functions_named(bare).empty() && !changed(bare);
        if (none && row.row != nullptr) {
            Lineage value = qualified(*row.row, bare);
            if (filtering_) filter(value);
            return value;
        }
    }
    resolve_function(list(call, "funcname"), builtin, result);
    if (args.size() == 1 && parts.size() == 1 && cast_is_foreign(bare)) result.unknown = true;
    const bool valueless = builtin && carries_no_value(bare);
    if (valueless)
        filtered(args, scope);
    else
        result.add(all(args, scope));
    filtered(list(call, "agg_order"), scope);
    filtered(call, "agg_filter", scope);
    if (flag(call, "agg_within_group"))
        result.add(all(list(call, "agg_order"), scope));  // percentile_disc gives it back
    if (const Object* over = child(call, "over")) window(*over, scope);
    // A name that pg_catalog has does what pg_catalog's does, whatever else it may do.
    const bool may_be_builtin =
        is_builtin_function(bare) && (parts.size() == 1 || parts[parts.size() - 2] == "pg_catalog");
    if (const Behaviour* does = may_be_builtin ? behaviour(bare) : nullptr)
        apply(*does, bare, args, result);
    if (may_be_builtin && bare == "current_setting") {
        std::string name;
        // A setting of the session's own making may hold any value it has put there.
        if (args.empty() || !constant_text(args[0], name) || setting_is_free(name))
            result.unknown = true;
    }
    if (!builtin && bare.starts_with("dblink")) unknown();  // it runs a text somewhere else
    if (!builtin && !result.sources.empty() && bare != "")
        for (const auto& [key, columns] : found_->effects)
            if (key.first == EffectKind::Call && key.second.ends_with("." + std::string{bare}))
                flow({result.sources}, key.second, {});
    if (filtering_) filter(result);
    result.direct = false;
    result.row = nullptr;
    return result;
}

void Analysis::apply(const Behaviour& does, std::string_view name, const Array& args,
                     Lineage& result) {
    const Lineage input = result;
    const std::size_t at = does.of == ObjectOf::Second ? 1 : 0;
    std::string argument;
    const bool constant = args.size() > at && constant_text(args[at], argument);
    const std::string own = "pg_catalog." + std::string{name};
    std::string object;
    switch (does.of) {
    case ObjectOf::Name: object = own; break;
    case ObjectOf::First:
    case ObjectOf::Second: object = constant ? argument : "*"; break;
    case ObjectOf::Fixed: object = does.object; break;
    case ObjectOf::Relation:
        if (constant)
            for (const Target& target : resolve_text(argument)) effect(does.kind, target.object());
        else
            effect(does.kind, "*");
        break;
    }
    if (name == "set_config") {
        changes_setting(args, input);
    } else if (does.of != ObjectOf::Relation) {
        effect(does.kind, object);
        if (does.kind != EffectKind::Read && does.kind != EffectKind::Lock) flow(input, object, {});
    }
    if (does.opaque) result.unknown = true;
    switch (does.runs) {
    case Runs::Nothing: break;
    case Runs::Query:
        if (name == "ts_rewrite" && args.size() != 2) {
            found_->effects.erase({EffectKind::Call, own});
            result.unknown = input.unknown;  // three arguments: it only rewrites
        } else if (const std::size_t query = name == "ts_rewrite" ? 1 : 0;
                   args.size() > query && constant_text(args[query], argument)) {
            run_text(argument);
        } else {
            unknown(own);
        }
        break;
    case Runs::Table:
        if (constant)
            effect(EffectKind::Read, resolve_text(argument), "*");
        else
            unknown(own);
        break;
    case Runs::Other: unknown(own); break;
    }
}

// set_config(name, value, is_local)
void Analysis::changes_setting(const Array& args, const Lineage& value) {
    std::string name;
    if (args.empty() || !constant_text(args[0], name)) name = "*";
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    effect(EffectKind::Session, name);
    flow(value, name, {});
    settings_.emplace_back();
    SessionChange& change = settings_.back();
    change.kind = SessionChange::Kind::SetParameter;
    const bool known = args.size() > 1 && constant_text(args[1], change.value);
    change.certain = known && name != "*";
    change.name = name == "*" ? "" : name;
    if (args.size() > 2) {
        const Node local = node(args[2]);
        const Object* boolean = child(*local.fields, "boolval");
        change.local = boolean != nullptr && flag(*boolean, "boolval");
    }
}

// A constant text that a function runs: its effects are ours.
void Analysis::run_text(std::string_view embedded) {
    const Limits& limits = context_.limits;
    if (embedded_ >= kMaxEmbedded || !refuse(embedded, limits.text, limits.chain).empty())
        return unknown();
    Parsed parsed = parse(embedded);
    if (parsed.tree == nullptr) return unknown();
    trees_.push_back(parsed.memory);
    ++embedded_;
    const std::string_view outer = std::exchange(text_, keep(std::string{embedded}));
    for (const Value& raw : list(parsed.tree->as_object(), "stmts")) {
        Statement ignored;
        statement(node(*raw.if_object(), "stmt"), ignored);
        settings_.insert(settings_.end(), ignored.changes.begin(), ignored.changes.end());
    }
    text_ = outer;
    --embedded_;
}

}  // namespace chaperone::policy::sql::pg

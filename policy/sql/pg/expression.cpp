// SPDX-License-Identifier: Apache-2.0
// Expressions: from which stored columns a value derives. Every node type of PostgreSQL 15's
// expressions is named here; any other makes the value and the effect unknown.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::sql::pg {

Lineage Analysis::expression(const Value& value, Scope& scope) {
    return expression(node(value), scope);
}

Lineage Analysis::field(const Object& in, std::string_view name, Scope& scope) {
    const Value* value = find(in, name);
    if (value == nullptr) return {};
    if (const Array* items = value->if_array()) return all(*items, scope);
    return expression(*value, scope);
}

Lineage Analysis::all(const Array& values, Scope& scope) {
    Lineage result;
    for (const Value& value : values)
        if (node(value)) result.add(expression(value, scope));
    return result;
}

void Analysis::filtered(const Object& in, std::string_view name, Scope& scope) {
    if (find(in, name) == nullptr) return;
    const bool before = std::exchange(filtering_, true);
    field(in, name, scope);
    filtering_ = before;
}

void Analysis::filtered(const Array& values, Scope& scope) {
    const bool before = std::exchange(filtering_, true);
    all(values, scope);
    filtering_ = before;
}

Lineage Analysis::expression(Node n, Scope& scope) {
    const Deeper deeper{*this};
    if (n.type == "ColumnRef") return column_ref(list(*n.fields, "fields"), scope);
    if (n.type == "A_Const" || n.type == "ParamRef" || n.type == "SetToDefault") return {};
    if (n.type == "A_Expr") return operation(*n.fields, scope);
    if (n.type == "FuncCall") return call(*n.fields, scope);
    if (n.type == "SubLink") return sublink(*n.fields, scope);
    if (n.type == "A_Indirection") return indirection(*n.fields, scope);
    Lineage result = other_expression(n, scope);
    result.direct = false;
    if (n.type != "RowExpr" && n.type != "CollateClause") result.row = nullptr;
    return result;
}

Lineage Analysis::other_expression(Node n, Scope& scope) {
    const Object& f = *n.fields;
    const std::string_view type = n.type;
    if (type == "BoolExpr" || type == "CoalesceExpr" || type == "MinMaxExpr" || type == "RowExpr")
        return all(list(f, "args"), scope);
    if (type == "TypeCast") return cast(f, scope);
    if (type == "CollateClause" || type == "BooleanTest" || type == "NamedArgExpr")
        return field(f, "arg", scope);
    if (type == "NullTest") {  // whether there is a value, not which
        filtered(f, "arg", scope);
        return {};
    }
    if (type == "CaseExpr") {
        Lineage result = field(f, "arg", scope);
        for (const Value& when : list(f, "args")) {
            result.add(field(*node(when).fields, "expr", scope));
            result.add(field(*node(when).fields, "result", scope));
        }
        result.add(field(f, "defresult", scope));
        return result;
    }
    if (type == "A_ArrayExpr") return all(list(f, "elements"), scope);
    if (type == "List") return all(list(f, "items"), scope);
    if (type == "MultiAssignRef") return multi_assign(f, scope);
    if (type == "XmlExpr") {
        Lineage result = all(list(f, "named_args"), scope);
        result.add(all(list(f, "args"), scope));
        return result;
    }
    if (type == "XmlSerialize") return field(f, "expr", scope);
    if (type == "ResTarget") return field(f, "val", scope);
    if (type == "A_Indices") {  // of what is assigned to: a[1] = …
        Lineage result = field(f, "lidx", scope);
        result.add(field(f, "uidx", scope));
        return result;
    }
    if (type == "GroupingFunc") {
        filtered(list(f, "args"), scope);
        return {};
    }
    if (type == "SortBy") return field(f, "node", scope);
    if (type == "WindowDef") return window(f, scope);
    if (type == "GroupingSet") return all(list(f, "content"), scope);
    if (type == "SQLValueFunction" || type == "CurrentOfExpr" || type == "String" ||
        type == "Integer" || type == "Float" || type == "A_Star")
        return {};
    unknown();
    Lineage result;
    for (const auto& member : f) result.add(anything(member.value(), scope));
    result.unknown = true;
    return result;
}

Lineage Analysis::anything(const Value& value, Scope& scope) {
    const Deeper deeper{*this};
    Lineage result;
    if (const Array* items = value.if_array()) {
        for (const Value& item : *items) result.add(anything(item, scope));
    } else if (const Object* fields = value.if_object()) {
        const Node n = node(value);
        if (n.type == "ColumnRef" || n.type == "FuncCall" || n.type == "SubLink" ||
            n.type == "A_Expr" || n.type == "A_Indirection")
            return expression(n, scope);
        if (n.type == "SelectStmt") {
            for (const RangeColumn& column : query(n, &scope).columns) result.add(column.lineage);
            return result;
        }
        for (const auto& member : *fields) result.add(anything(member.value(), scope));
    }
    return result;
}

Lineage Analysis::window(const Object& f, Scope& scope) {
    filtered(list(f, "partitionClause"), scope);
    filtered(list(f, "orderClause"), scope);
    filtered(f, "startOffset", scope);
    filtered(f, "endOffset", scope);
    return {};
}

Lineage Analysis::column_ref(const Array& fields, Scope& scope) {
    Lineage result;
    if (fields.empty()) return result;
    if (node(fields.back()).type == "A_Star") {  // f(t.*), ROW(t.*)
        Result columns;
        star(fields, scope, columns);
        for (const RangeColumn& column : columns.columns) result.add(column.lineage);
        return result;
    }
    const auto names = strings(fields);
    if (names.size() == 1) {
        result = unqualified(names[0], scope);
    } else {
        // a.b is a column of a; s.a.b and db.s.a.b one of s.a; or a whole row in a schema.
        const std::string_view schema =
            names.size() > 2 ? names[names.size() - 3] : std::string_view{};
        const Range* range = find_range(schema, names[names.size() - 2], scope);
        if (range != nullptr)
            result = qualified(*range, names.back());
        else if (const Range* row = find_range(names[names.size() - 2], names.back(), scope))
            result = whole(*row);
        else
            result.unknown = true;
    }
    if (filtering_) filter(result);
    return result;
}

Lineage Analysis::unqualified(std::string_view name, Scope& from) {
    Lineage result;
    bool maybe = false;
    for (Scope* scope = &from; scope != nullptr; scope = scope->parent) {
        if (scope->items_hidden && scope != &from) continue;
        bool found = false, found_open = false;
        Lineage certain, open;
        for (const Item& item : scope->items) {
            for (const Part& part : item.parts) {
                if (std::ranges::find(part.hidden, name) != part.hidden.end()) continue;
                bool definite = false;
                const auto lineage = lookup(*part.range, name, definite);
                if (!lineage) continue;
                if (definite && !found && !item.natural_open) {
                    certain = *lineage;
                    found = true;
                } else if (definite && !item.natural_open) {
                    certain.add(*lineage);
                    certain.direct = false;
                } else {
                    const bool first = !found_open;
                    if (first)
                        open = *lineage;
                    else
                        open.add(*lineage);
                    if (!first) open.direct = false;
                    found_open = true;
                }
            }
        }
        if (found && !maybe) return certain;
        if (found) {
            result.add(certain);
            result.direct = false;
            return result;
        }
        if (found_open) {
            if (!maybe)
                result = open;
            else
                result.add(open), result.direct = false;
            maybe = true;
            continue;
        }
        // A bare name may also be a whole row.
        for (const Item& item : scope->items)
            for (const Range* range : item.named)
                if (range->alias == name) {
                    Lineage row = whole(*range);
                    if (!maybe) return row;
                    result.add(row);
                    return result;
                }
    }
    if (!maybe) {
        result.unknown = true;
        return result;
    }
    // The name may be the alias of an open range itself: its whole row.
    for (Scope* scope = &from; scope != nullptr; scope = scope->parent)
        for (const Item& item : scope->items)
            for (const Range* range : item.named)
                if (range->alias == name && !(scope->items_hidden && scope != &from)) {
                    result.add(whole(*range));
                    result.direct = false;
                    result.row = range;
                }
    return result;
}

const Range* Analysis::find_range(std::string_view schema, std::string_view name, Scope& from) {
    for (Scope* scope = &from; scope != nullptr; scope = scope->parent) {
        if (scope->items_hidden && scope != &from) continue;
        for (const Item& item : scope->items)
            for (const Range* range : item.named) {
                if (range->alias != name) continue;
                const bool matches = schema.empty() || range->schema == schema ||
                                     std::ranges::any_of(range->targets, [&](const Target& target) {
                                         return !range->schema.empty() && target.schema == schema;
                                     });
                if (matches) return range;
            }
    }
    return nullptr;
}

Lineage Analysis::qualified(const Range& range, std::string_view name) {
    bool definite = false;
    if (auto lineage = lookup(range, name, definite)) return *lineage;
    // t.f is f(t) where t has no column f.
    Lineage result = whole(range);
    result.row = nullptr;
    if (!is_builtin_function(name)) {
        result.unknown = true;
        effect(EffectKind::Call, resolve({}, name).front().object());
    }
    return result;
}

Lineage Analysis::sublink(const Object& link, Scope& scope) {
    const std::string_view kind = text(link, "subLinkType");
    const Node body = node(link, "subselect");
    if (kind == "EXISTS_SUBLINK") {
        const bool before = std::exchange(filtering_, true);
        skip_star_ = true;
        query(body, &scope);
        skip_star_ = false;
        filtering_ = before;
        return {};
    }
    Lineage result = field(link, "testexpr", scope);
    result.direct = false;
    result.row = nullptr;
    if (!list(link, "operName").empty()) operator_name(list(link, "operName"), result);
    const Result columns = query(body, &scope);
    if (kind == "EXPR_SUBLINK" && columns.known && columns.columns.size() == 1)
        return columns.columns[0].lineage;
    for (const RangeColumn& column : columns.columns) result.add(column.lineage);
    return result;
}

Lineage Analysis::indirection(const Object& in, Scope& scope) {
    Lineage value = field(in, "arg", scope);
    for (const Value& step : list(in, "indirection")) {
        const Node n = node(step);
        if (n.type == "A_Indices") {
            value.add(field(*n.fields, "lidx", scope));
            value.add(field(*n.fields, "uidx", scope));
            value.row = nullptr;
        } else if (n.type == "String" && value.row != nullptr) {
            const Range& row = *value.row;
            value = qualified(row, string_of(step));
            if (filtering_) filter(value);
            continue;
        } else {
            value.row = nullptr;
        }
        value.direct = false;
    }
    return value;
}

void Analysis::operator_name(const Array& name, Lineage& result) {
    const auto parts = strings(name);
    if (parts.empty()) return;
    const std::string_view op = parts.back();
    const Catalog* catalog = context_.catalog;
    bool ours =
        parts.size() > 1 ? parts[parts.size() - 2] == "pg_catalog" : is_builtin_operator(op);
    if (parts.size() == 1 && catalog != nullptr && catalog->operator_is_foreign(op)) ours = false;
    if (changed(op)) ours = false;
    if (ours) return;
    result.unknown = true;
    const std::string schema =
        parts.size() > 1 ? std::string{parts[parts.size() - 2]} : std::string{"public"};
    effect(EffectKind::Call, schema + "." + std::string{op});
}

// What a cast gives is its argument's, unless somebody's own function makes it. A constant is read
// by its type's input function.
Lineage Analysis::cast(const Object& cast, Scope& scope) {
    Lineage result = field(cast, "arg", scope);
    const Object* type = child(cast, "typeName");
    if (type == nullptr || node(cast, "arg").type == "A_Const") return result;
    const auto names = strings(list(*type, "names"));
    if (names.empty() || !cast_is_foreign(names.back())) return result;
    result.unknown = true;
    result.direct = false;
    return result;
}

bool Analysis::cast_is_foreign(std::string_view type) {
    if (context_.catalog != nullptr && context_.catalog->cast_is_foreign(type)) return true;
    return context_.catalog != nullptr && changed("cast to " + std::string{type});
}

Lineage Analysis::operation(const Object& expr, Scope& scope) {
    Lineage result = field(expr, "lexpr", scope);
    result.direct = false;
    result.row = nullptr;
    result.add(field(expr, "rexpr", scope));
    const std::string_view kind = text(expr, "kind");
    if (kind == "AEXPR_OP" || kind == "AEXPR_OP_ANY" || kind == "AEXPR_OP_ALL" ||
        kind == "AEXPR_IN" || kind == "AEXPR_DISTINCT" || kind == "AEXPR_NOT_DISTINCT" ||
        kind == "AEXPR_NULLIF" || kind == "AEXPR_LIKE" || kind == "AEXPR_ILIKE") {
        operator_name(list(expr, "name"), result);
    } else if (!kind.starts_with("AEXPR_BETWEEN") && !kind.starts_with("AEXPR_NOT_BETWEEN") &&
               kind != "AEXPR_SIMILAR") {
        unknown();
        result.unknown = true;
    }
    return result;
}

Lineage Analysis::multi_assign(const Object& ref, Scope& scope) {
    const Node source = node(ref, "source");
    const auto at = static_cast<std::size_t>(std::max<std::int64_t>(number(ref, "colno"), 1) - 1);
    if (source.type == "RowExpr") {
        const Array& args = list(*source.fields, "args");
        if (at < args.size()) return expression(args[at], scope);
    }
    if (source.type == "SubLink") {
        const Result columns = query(node(*source.fields, "subselect"), &scope);
        if (columns.known && at < columns.columns.size()) return columns.columns[at].lineage;
        Lineage result;
        for (const RangeColumn& column : columns.columns) result.add(column.lineage);
        return result;
    }
    return expression(source, scope);
}

}  // namespace chaperone::policy::sql::pg

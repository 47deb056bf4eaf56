// SPDX-License-Identifier: Apache-2.0
// SELECT, VALUES, set operations and WITH: which columns come out, and where each comes from.
#include "policy/sql/pg/analysis.h"
#include "policy/sql/pg/column_name.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

constexpr int kMaxRounds = 16;  // of a recursive CTE, until its lineage no longer grows

const Object* leftmost(const Object& select) {
    const Object* at = &select;
    while (const Object* left = child(*at, "larg")) at = left;
    return at;
}

bool is_set_operation(const Object& select) {
    const std::string_view op = text(select, "op");
    return !op.empty() && op != "SETOP_NONE";
}

}  // namespace

Result Analysis::query(Node n, Scope* parent) {
    const Deeper deeper{*this};
    if (n.type == "SelectStmt") return select(*n.fields, parent);
    if (n.type == "InsertStmt") return insert(*n.fields, parent);
    if (n.type == "UpdateStmt") return update(*n.fields, parent);
    if (n.type == "DeleteStmt") return remove(*n.fields, parent);
    if (n.type == "MergeStmt") return merge_into(*n.fields, parent);
    unknown();
    return {{{"*", Lineage{{}, true}}}, false};
}

Result Analysis::select(const Object& select, Scope* parent) {
    const Deeper deeper{*this};
    Scope scope{parent};
    with(select, scope);
    return select_in(select, scope);
}

Result Analysis::select_in(const Object& select, Scope& scope) {
    if (is_set_operation(select)) return set_operation(select, scope);
    if (!list(select, "valuesLists").empty()) return values(select, scope);
    const bool skip_star = std::exchange(skip_star_, false);
    for (const Value& item : list(select, "fromClause")) {
        Item made = from(item, scope);
        scope.items.push_back(std::move(made));
    }
    filtered(select, "whereClause", scope);
    Result result;
    const Array& wanted = list(select, "targetList");
    if (!skip_star || wanted.size() != 1 || text(*node(wanted[0]).fields, "name") != "")
        result = targets(wanted, scope);
    else if (const Node n = node(*node(wanted[0]).fields, "val");
             n.type != "ColumnRef" || node(list(*n.fields, "fields").back()).type != "A_Star")
        result = targets(wanted, scope);
    group_keys(list(select, "groupClause"), result, scope);
    filtered(select, "havingClause", scope);
    filtered(list(select, "windowClause"), scope);
    for (const Value& key : list(select, "distinctClause"))
        if (node(key)) sort_keys({key}, result, scope);
    sort_keys(list(select, "sortClause"), result, scope);
    filtered(select, "limitCount", scope);
    filtered(select, "limitOffset", scope);
    locking(select, scope);
    if (const Object* clause = child(select, "intoClause")) into(*clause, result, true);
    return result;
}

Result Analysis::values(const Object& select, Scope& scope) {
    Result result;
    for (const Value& row : list(select, "valuesLists")) {
        const Array& items = list(*node(row).fields, "items");
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i == result.columns.size())
                result.columns.push_back({"column" + std::to_string(i + 1), {}});
            Lineage value = expression(items[i], scope);
            value.direct = false;
            result.columns[i].lineage.add(value);
        }
    }
    sort_keys(list(select, "sortClause"), result, scope);
    filtered(select, "limitCount", scope);
    filtered(select, "limitOffset", scope);
    return result;
}

Result Analysis::set_operation(const Object& select, Scope& scope) {
    const Object *left = child(select, "larg"), *right = child(select, "rarg");
    if (left == nullptr || right == nullptr) throw TooComplex{};
    Result result = this->select(*left, &scope);
    merge(result, this->select(*right, &scope));
    sort_keys(list(select, "sortClause"), result, scope);
    filtered(select, "limitCount", scope);
    filtered(select, "limitOffset", scope);
    locking(select, scope);
    const Object* first = leftmost(select);
    if (const Object* clause = child(*first, "intoClause")) into(*clause, result, true);
    return result;
}

void Analysis::merge(Result& into, const Result& other) {
    if (!into.known || !other.known || into.columns.size() != other.columns.size()) {
        // Positions cannot be told: everything may be anywhere.
        Lineage all;
        for (const RangeColumn& column : into.columns) all.add(column.lineage);
        for (const RangeColumn& column : other.columns) all.add(column.lineage);
        for (RangeColumn& column : into.columns) column.lineage = all;
        into.columns.push_back({"*", all});
        into.known = false;
        return;
    }
    for (std::size_t i = 0; i < into.columns.size(); ++i) {
        Lineage& lineage = into.columns[i].lineage;
        lineage.add(other.columns[i].lineage);
        lineage.direct = false;
        lineage.row = nullptr;
    }
}

Result Analysis::renamed(Result result, const std::vector<std::string_view>& names) {
    if (names.empty()) return result;
    if (!result.known) {
        Lineage all;
        for (const RangeColumn& column : result.columns) all.add(column.lineage);
        for (const std::string_view name : names)
            result.columns.push_back({std::string{name}, all});
        return result;
    }
    for (std::size_t i = 0; i < names.size() && i < result.columns.size(); ++i)
        result.columns[i].name = names[i];
    return result;
}

void Analysis::fill(Range& range, Result result) {
    range.open = !result.known;
    if (range.open)
        for (const RangeColumn& column : result.columns) range.rest.add(column.lineage);
    std::erase_if(result.columns, [](const RangeColumn& c) { return c.name == "*"; });
    range.columns = std::move(result.columns);
}

void Analysis::sort_keys(const Array& keys, const Result& result, Scope& scope) {
    for (const Value& key : keys) {
        Node n = node(key);
        if (n.type == "SortBy") {
            if (!list(*n.fields, "useOp").empty()) {
                Lineage ignored;
                operator_name(list(*n.fields, "useOp"), ignored);
            }
            n = node(*n.fields, "node");
        }
        if (n.type == "A_Const") {
            const Object* ival = child(*n.fields, "ival");
            const std::int64_t at = ival == nullptr ? 0 : number(*ival, "ival");
            if (at > 0 && at <= static_cast<std::int64_t>(result.columns.size()))
                filter(result.columns[static_cast<std::size_t>(at - 1)].lineage);
            continue;
        }
        if (n.type == "ColumnRef" && list(*n.fields, "fields").size() == 1) {
            const std::string_view name = string_of(list(*n.fields, "fields")[0]);
            bool output = false;
            for (const RangeColumn& column : result.columns)
                if (column.name == name) filter(column.lineage), output = true;
            if (output) continue;
        }
        const bool before = std::exchange(filtering_, true);
        expression(n, scope);
        filtering_ = before;
    }
}

void Analysis::group_keys(const Array& keys, const Result& result, Scope& scope) {
    for (const Value& key : keys) {
        const Deeper deeper{*this};
        const Node n = node(key);
        if (n.type == "GroupingSet") {
            group_keys(list(*n.fields, "content"), result, scope);
        } else if (n.type == "RowExpr") {
            group_keys(list(*n.fields, "args"), result, scope);
        } else {
            sort_keys({key}, result, scope);
            // GROUP BY prefers the input column where ORDER BY prefers the output's name.
            if (n.type == "ColumnRef") filtered(Array{key}, scope);
        }
    }
}

void Analysis::locking(const Object& select, Scope& scope) {
    for (const Value& clause : list(select, "lockingClause")) {
        const Array& names = list(*node(clause).fields, "lockedRels");
        for (const Item& item : scope.items)
            for (const Range* range : item.named) {
                const bool wanted =
                    names.empty() || std::ranges::any_of(names, [&](const Value& name) {
                        return text(*node(name).fields, "relname") == range->alias;
                    });
                if (!wanted) continue;
                if (range->is_base())
                    effect(EffectKind::Lock, range->targets);
                else
                    effect(EffectKind::Lock);
            }
        if (scope.items.empty()) effect(EffectKind::Lock);
    }
}

Result Analysis::targets(const Array& wanted, Scope& scope) {
    Result result;
    result.columns.reserve(wanted.size());
    for (const Value& value : wanted) {
        const Object& target = *node(value).fields;
        const Node n = node(target, "val");
        if (n.type == "ColumnRef") {
            const Array& fields = list(*n.fields, "fields");
            if (!fields.empty() && node(fields.back()).type == "A_Star") {
                star(fields, scope, result);
                continue;
            }
        } else if (n.type == "A_Indirection") {
            const Array& steps = list(*n.fields, "indirection");
            if (!steps.empty() && node(steps.back()).type == "A_Star") {
                fields_of(*n.fields, scope, result);
                continue;
            }
        }
        std::string name{text(target, "name")};
        if (name.empty()) name = column_name(n);
        result.columns.push_back({std::move(name), expression(n, scope)});
        if (result.columns.size() > context_.limits.outputs) throw TooComplex{};
    }
    return result;
}

void Analysis::star(const Array& fields, Scope& scope, Result& result) {
    const auto add = [&](const Range& range, const std::vector<std::string>& hidden) {
        for (RangeColumn& column : expand(range, result.known)) {
            if (std::ranges::find(hidden, column.name) != hidden.end()) continue;
            if (filtering_) filter(column.lineage);
            result.columns.push_back(std::move(column));
        }
        if (result.columns.size() > context_.limits.outputs) throw TooComplex{};
    };
    if (fields.size() > 1) {
        const std::string_view name = string_of(fields[fields.size() - 2]);
        const std::string_view schema =
            fields.size() > 2 ? string_of(fields[fields.size() - 3]) : std::string_view{};
        if (const Range* range = find_range(schema, name, scope)) return add(*range, {});
        result.known = false;
        result.columns.push_back({"*", Lineage{{}, true}});
        return;
    }
    for (const Item& item : scope.items) {
        if (item.natural_open) result.known = false;
        for (const Part& part : item.parts) add(*part.range, part.hidden);
    }
}

void Analysis::fields_of(const Object& in, Scope& scope, Result& result) {
    const Lineage value = field(in, "arg", scope);
    const bool whole_row = value.row != nullptr && list(in, "indirection").size() == 1;
    if (whole_row) {
        for (RangeColumn& column : expand(*value.row, result.known)) {
            if (filtering_) filter(column.lineage);
            result.columns.push_back(std::move(column));
        }
        return;
    }
    Lineage each = value;
    each.direct = false;
    each.row = nullptr;
    result.known = false;
    result.columns.push_back({"*", std::move(each)});
}

Cte* Analysis::find_cte(std::string_view name, Scope* scope) {
    for (; scope != nullptr; scope = scope->parent)
        for (auto cte = scope->ctes.rbegin(); cte != scope->ctes.rend(); ++cte)
            if (cte->name == name) return &*cte;
    return nullptr;
}

void Analysis::with(const Object& statement, Scope& scope) {
    const Object* clause = child(statement, "withClause");
    if (clause == nullptr) return;
    const bool is_recursive = flag(*clause, "recursive");
    // Without RECURSIVE a name is visible only to those after it.
    for (const Value& value : list(*clause, "ctes")) {
        const Object& cte = *node(value).fields;
        Cte made{std::string{text(cte, "ctename")}, &cte, &scope, nullptr, is_recursive};
        if (!is_recursive) {
            cte_range(made);
            scope.ctes.push_back(std::move(made));
        } else {
            scope.ctes.push_back(std::move(made));
        }
    }
    if (is_recursive)
        for (std::size_t i = 0; i < scope.ctes.size(); ++i) cte_range(scope.ctes[i]);
}

const Range* Analysis::cte_range(Cte& cte) {
    if (cte.range != nullptr) return cte.range;
    Range& range = ranges_.emplace_back();
    range.alias = cte.name;
    if (cte.in_progress) {  // only an erroneous query refers to itself here
        range.open = true;
        range.rest.unknown = true;
        return &range;
    }
    cte.in_progress = true;
    const Node body = node(*cte.node, "ctequery");
    const bool again = cte.recursive && body.type == "SelectStmt" && is_set_operation(*body.fields);
    if (again) {
        recursive(cte, body, range);
    } else {
        const auto names = strings(list(*cte.node, "aliascolnames"));
        fill(range, renamed(query(body, cte.scope), names));
    }
    search_and_cycle(*cte.node, range);
    cte.in_progress = false;
    cte.range = &range;
    return &range;
}

Result Analysis::recursive(Cte& cte, Node body, Range& range) {
    const auto names = strings(list(*cte.node, "aliascolnames"));
    const Object *left = child(*body.fields, "larg"), *right = child(*body.fields, "rarg");
    if (left == nullptr || right == nullptr) throw TooComplex{};
    Scope scope{cte.scope};
    with(*body.fields, scope);
    Result result = renamed(select(*left, &scope), names);
    for (int round = 0; round < kMaxRounds; ++round) {
        // Those who refer to it keep a copy of what it held, so every round has a range of its own.
        Range& seen = ranges_.emplace_back();
        seen.alias = cte.name;
        fill(seen, result);
        search_and_cycle(*cte.node, seen);
        cte.range = &seen;
        const Result before = result;
        merge(result, select(*right, &scope));
        if (!result.known)
            result.columns.resize(std::min(result.columns.size(), before.columns.size() + 1));
        const bool grew =
            before.known != result.known ||
            (result.known &&
             !std::ranges::equal(before.columns, result.columns, [](const auto& a, const auto& b) {
                 return a.lineage.sources == b.lineage.sources &&
                        a.lineage.unknown == b.lineage.unknown;
             }));
        if (!grew) break;
        if (!result.known || round + 1 == kMaxRounds) {
            for (RangeColumn& column : result.columns) column.lineage.unknown = true;
            break;
        }
    }
    sort_keys(list(*body.fields, "sortClause"), result, scope);
    fill(range, result);
    return result;
}

void Analysis::search_and_cycle(const Object& cte, Range& range) {
    Lineage all = range.rest;
    for (const RangeColumn& column : range.columns) all.add(column.lineage);
    if (const Object* search = child(cte, "search_clause"))
        range.columns.push_back({std::string{text(*search, "search_seq_column")}, all});
    if (const Object* cycle = child(cte, "cycle_clause")) {
        range.columns.push_back({std::string{text(*cycle, "cycle_mark_column")}, {}});
        range.columns.push_back({std::string{text(*cycle, "cycle_path_column")}, all});
    }
}

}  // namespace chaperone::policy::sql::pg

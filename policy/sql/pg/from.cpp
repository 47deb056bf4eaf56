// SPDX-License-Identifier: Apache-2.0
// The entries of FROM: relations, sub-queries, functions, joins.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <utility>

namespace chaperone::policy::sql::pg {

Item Analysis::item_of(const Range& range) {
    return {{&range}, {{&range, {}}}, false};
}

Range& Analysis::new_range(const Object* alias, std::string_view default_name) {
    Range& range = ranges_.emplace_back();
    range.alias = alias == nullptr ? default_name : text(*alias, "aliasname");
    if (alias != nullptr)
        for (const std::string_view name : strings(list(*alias, "colnames")))
            range.column_aliases.emplace_back(name);
    return range;
}

Range& Analysis::base_range(std::vector<Target> targets, const Object* alias,
                            std::string_view name) {
    Range& range = new_range(alias, name);
    if (alias == nullptr) range.schema = targets.front().schema;
    range.targets = std::move(targets);
    return range;
}

Item Analysis::from(const Value& value, Scope& scope) {
    const Deeper deeper{*this};
    const Node n = node(value);
    if (n.type == "RangeVar") return from_relation(*n.fields, scope);
    if (n.type == "RangeSubselect") return from_query(*n.fields, scope);
    if (n.type == "RangeFunction") return from_function(*n.fields, scope);
    if (n.type == "RangeTableFunc") return from_table_function(*n.fields, scope);
    if (n.type == "JoinExpr") return from_join(*n.fields, scope);
    if (n.type == "RangeTableSample") {
        const Value* relation = find(*n.fields, "relation");
        if (relation == nullptr) throw TooComplex{};
        const auto method = strings(list(*n.fields, "method"));
        if (method.empty() || (method.back() != "system" && method.back() != "bernoulli"))
            effect(EffectKind::Call, object_of(list(*n.fields, "method")));
        Item item = from(*relation, scope);
        filtered(list(*n.fields, "args"), scope);
        filtered(*n.fields, "repeatable", scope);
        return item;
    }
    unknown();
    Range& range = new_range(nullptr, {});
    range.open = true;
    range.rest.unknown = true;
    return item_of(range);
}

Item Analysis::from_relation(const Object& range_var, Scope& scope) {
    const std::string_view name = text(range_var, "relname");
    const Object* alias = child(range_var, "alias");
    if (text(range_var, "schemaname").empty()) {
        if (Cte* cte = find_cte(name, &scope)) {
            const Range* body = cte_range(*cte);
            Range& range = new_range(alias, name);
            range.columns = body->columns;
            range.open = body->open;
            range.rest = body->rest;
            for (std::size_t i = 0; i < range.column_aliases.size() && i < range.columns.size();
                 ++i)
                range.columns[i].name = range.column_aliases[i];
            return item_of(range);
        }
    }
    std::vector<Target> targets = resolve(range_var);
    effect(EffectKind::Read, targets);
    return item_of(base_range(std::move(targets), alias, name));
}

Item Analysis::from_query(const Object& subselect, Scope& scope) {
    const bool hidden = scope.items_hidden;
    if (!flag(subselect, "lateral")) scope.items_hidden = true;
    Result result = query(node(subselect, "subquery"), &scope);
    scope.items_hidden = hidden;
    Range& range = new_range(child(subselect, "alias"), {});
    const std::vector<std::string_view> names(range.column_aliases.begin(),
                                              range.column_aliases.end());
    fill(range, renamed(std::move(result), names));
    return item_of(range);
}

// Names the columns of a function that stands in FROM without a column definition list.
Range& Analysis::function_columns(Range& range, const Object& call, Scope&, const Lineage& value) {
    const auto names = strings(list(call, "funcname"));
    const std::string_view name = names.empty() ? std::string_view{} : names.back();
    bool builtin = false;
    Lineage ignored;
    resolve_function(list(call, "funcname"), builtin, ignored);
    const auto single = [&] { range.columns.push_back({std::string{name}, value}); };
    if (builtin) {
        std::string_view columns = row_columns(name);
        if (columns.empty()) {
            if (gives_open_rows(name) && !value.empty()) {
                range.open = true;
                range.rest.add(value);
            } else {
                single();
            }
            return range;
        }
        while (!columns.empty()) {
            const std::size_t comma = std::min(columns.find(','), columns.size());
            range.columns.push_back({std::string{columns.substr(0, comma)}, value});
            columns.remove_prefix(std::min(comma + 1, columns.size()));
        }
        return range;
    }
    bool scalar = context_.catalog != nullptr && !context_.catalog->functions_named(name).empty();
    if (context_.catalog != nullptr)
        for (const Function& function : context_.catalog->functions_named(name)) {
            const Type* type = context_.catalog->type(function.returns);
            scalar = scalar && type != nullptr && type->kind != 'c' && type->kind != 'p';
        }
    if (scalar) {
        single();
    } else {
        range.open = true;
        range.rest.add(value);
    }
    return range;
}

Item Analysis::from_function(const Object& function, Scope& scope) {
    const Object* alias = child(function, "alias");
    Range& range = new_range(alias, {});
    const Array& functions = list(function, "functions");
    bool definitions = false;
    const auto define = [&](const Array& columns, const Lineage& value) {
        for (const Value& column : columns) {
            definitions = true;
            range.columns.push_back({std::string{text(*node(column).fields, "colname")}, value});
        }
    };
    for (const Value& entry : functions) {
        const Array& items = list(*node(entry).fields, "items");
        if (items.empty()) continue;
        const Node n = node(items[0]);
        Lineage value = expression(n, scope);  // implicitly LATERAL
        if (filtering_) filter(value);
        value.direct = false;
        value.row = nullptr;
        const std::size_t before = range.columns.size();
        define(list(function, "coldeflist"), value);
        if (items.size() > 1) define(list(*node(items[1]).fields, "items"), value);
        if (range.columns.size() != before) continue;
        if (n.type == "FuncCall")
            function_columns(range, *n.fields, scope, value);
        else
            range.columns.push_back({"?column?", value});
        if (alias == nullptr && range.alias.empty() && n.type == "FuncCall") {
            const auto names = strings(list(*n.fields, "funcname"));
            if (!names.empty()) range.alias = names.back();
        }
    }
    // Which of them begins where is not known behind one whose columns are not.
    if (functions.size() > 1 && range.open) {
        for (const RangeColumn& column : range.columns) range.rest.add(column.lineage);
        for (RangeColumn& column : range.columns) column.lineage = range.rest;
    }
    // A single column is named like the alias of its function.
    if (!definitions && functions.size() == 1 && range.columns.size() == 1 && !range.open &&
        !range.alias.empty())
        range.columns[0].name = range.alias;
    for (std::size_t i = 0; i < range.column_aliases.size(); ++i) {
        if (i < range.columns.size())
            range.columns[i].name = range.column_aliases[i];
        else if (range.open)
            range.columns.push_back({range.column_aliases[i], range.rest});
    }
    if (flag(function, "ordinality")) {
        const std::size_t at = range.columns.size();
        range.columns.push_back(
            {at < range.column_aliases.size() ? range.column_aliases[at] : "ordinality", {}});
    }
    return item_of(range);
}

Item Analysis::from_table_function(const Object& function, Scope& scope) {
    Lineage input = field(function, "docexpr", scope);
    input.add(field(function, "rowexpr", scope));
    input.add(all(list(function, "namespaces"), scope));
    Range& range = new_range(child(function, "alias"), "xmltable");
    for (const Value& value : list(function, "columns")) {
        const Object& column = *node(value).fields;
        Lineage lineage = flag(column, "for_ordinality") ? Lineage{} : input;
        lineage.add(field(column, "colexpr", scope));
        lineage.add(field(column, "coldefexpr", scope));
        range.columns.push_back({std::string{text(column, "colname")}, std::move(lineage)});
    }
    for (std::size_t i = 0; i < range.column_aliases.size() && i < range.columns.size(); ++i)
        range.columns[i].name = range.column_aliases[i];
    return item_of(range);
}

Item Analysis::from_join(const Object& join, Scope& scope) {
    const Value *left_value = find(join, "larg"), *right_value = find(join, "rarg");
    if (left_value == nullptr || right_value == nullptr) throw TooComplex{};
    Item left = from(*left_value, scope);
    scope.items.push_back(left);  // for a LATERAL right side
    Item right = from(*right_value, scope);
    scope.items.pop_back();

    std::vector<std::string> shared;
    for (const std::string_view name : strings(list(join, "usingClause")))
        shared.emplace_back(name);
    bool natural_open = left.natural_open || right.natural_open;
    const auto columns_of = [&](const Item& item, bool& known) {
        // What may be merged is read by the join, so that marking it is right.
        std::set<std::string> names;
        for (const Part& part : item.parts) {
            const Range& range = *part.range;
            if (!range.is_base()) {
                known = known && !range.open;
                for (const RangeColumn& column : range.columns) names.insert(column.name);
                continue;
            }
            for (const Target& target : range.targets) {
                known = known && target.relation != nullptr && !target.doubt;
                if (target.relation == nullptr) continue;
                for (std::size_t i = 0; i < target.relation->columns.size(); ++i)
                    names.insert(i < range.column_aliases.size()
                                     ? range.column_aliases[i]
                                     : target.relation->columns[i].name);
            }
        }
        return names;
    };
    if (flag(join, "isNatural")) {
        bool known = true;
        const auto names = columns_of(left, known), others = columns_of(right, known);
        std::ranges::set_intersection(names, others, std::back_inserter(shared));
        natural_open |= !known;
    }

    Item result;
    result.natural_open = natural_open;
    if (!shared.empty()) {
        Range& merged = ranges_.emplace_back();
        for (const std::string& name : shared) {
            Scope sides{nullptr, {left}};
            Lineage lineage = unqualified(name, sides);
            sides.items = {right};
            lineage.add(unqualified(name, sides));
            filter(lineage);
            lineage.direct = false;
            lineage.row = nullptr;
            merged.columns.push_back({name, std::move(lineage)});
        }
        if (const Object* alias = child(join, "join_using_alias")) {
            Range& named = new_range(alias, {});
            named.columns = merged.columns;
            result.named.push_back(&named);
        }
        result.parts.push_back({&merged, {}});
    }
    for (Item* side : {&left, &right}) {
        result.named.insert(result.named.end(), side->named.begin(), side->named.end());
        for (Part& part : side->parts) {
            part.hidden.insert(part.hidden.end(), shared.begin(), shared.end());
            result.parts.push_back(std::move(part));
        }
    }
    scope.items.push_back(result);
    filtered(join, "quals", scope);
    scope.items.pop_back();

    const Object* alias = child(join, "alias");
    if (alias == nullptr) return result;
    Range& range = new_range(alias, {});
    Result columns;
    if (result.natural_open) columns.known = false;
    for (const Part& part : result.parts)
        for (RangeColumn& column : expand(*part.range, columns.known))
            if (std::ranges::find(part.hidden, column.name) == part.hidden.end())
                columns.columns.push_back(std::move(column));
    const std::vector<std::string_view> names(range.column_aliases.begin(),
                                              range.column_aliases.end());
    fill(range, renamed(std::move(columns), names));
    return item_of(range);
}

}  // namespace chaperone::policy::sql::pg

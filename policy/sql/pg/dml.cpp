// SPDX-License-Identifier: Apache-2.0
// Statements that change rows, and the values they carry from column to column.
#include "policy/sql/pg/analysis.h"

#include <utility>

namespace chaperone::policy::sql::pg {

Range& Analysis::target_range(const Object& relation, std::vector<Target>& targets) {
    targets = resolve(relation);
    return base_range(targets, child(relation, "alias"), text(relation, "relname"));
}

// Of the one relation that is meant; empty where that cannot be known.
std::vector<std::string_view> Analysis::column_names(const std::vector<Target>& targets) {
    std::vector<std::string_view> names;
    if (targets.size() == 1 && targets[0].relation != nullptr && !targets[0].doubt)
        for (const Column& column : targets[0].relation->columns) names.push_back(column.name);
    return names;
}

void Analysis::store(const Result& result, const std::vector<Target>& targets,
                     const std::vector<std::string_view>& columns) {
    for (const Target& target : targets)
        for (std::size_t i = 0; i < result.columns.size(); ++i)
            flow(result.columns[i].lineage, target.object(),
                 result.known && i < columns.size() ? columns[i] : std::string_view{});
}

void Analysis::into(const Object& clause, const Result& result, bool with_data) {
    const Object* relation = child(clause, "rel");
    if (relation == nullptr) return unknown();
    const std::string object = object_to_make(*relation);
    const auto names = strings(list(clause, "colNames"));
    effect(EffectKind::Create, object);
    for (std::size_t i = 0; with_data && i < result.columns.size(); ++i)
        flow(result.columns[i].lineage, object,
             !result.known      ? std::string_view{}
             : i < names.size() ? names[i]
                                : std::string_view{result.columns[i].name});
    found_->changes_schema = found_->changes_names = true;
}

Result Analysis::insert(const Object& statement, Scope* parent) {
    const Object* relation = child(statement, "relation");
    if (relation == nullptr) throw TooComplex{};
    Scope scope{parent};
    with(statement, scope);
    std::vector<Target> targets;
    Range& target = target_range(*relation, targets);

    std::vector<std::string_view> columns;
    for (const Value& column : list(statement, "cols"))
        columns.push_back(text(*node(column).fields, "name"));
    const bool listed = !columns.empty();
    if (!listed) columns = column_names(targets);
    effect(EffectKind::Insert, targets, listed ? std::string_view{} : "*");
    for (const std::string_view column : columns) effect(EffectKind::Insert, targets, column);

    Range& excluded = ranges_.emplace_back();
    if (find(statement, "selectStmt") != nullptr) {
        const Result rows = query(node(statement, "selectStmt"), &scope);
        for (const RangeColumn& column : rows.columns) excluded.rest.add(column.lineage);
        store(rows, targets, columns);
    }
    scope.items = {item_of(target)};
    if (const Object* clause = child(statement, "onConflictClause"))
        on_conflict(*clause, targets, scope, target, excluded);
    return this->targets(list(statement, "returningList"), scope);
}

void Analysis::on_conflict(const Object& clause, const std::vector<Target>& targets, Scope& scope,
                           const Range& target, Range& excluded) {
    // Whether the row is there already decides; excluded is the row that was to be inserted, so
    // any of its columns may hold what the insert brings.
    excluded.alias = "excluded";
    excluded.open = true;
    if (const Object* infer = child(clause, "infer")) {
        for (const Value& element : list(*infer, "indexElems")) {
            const Object& f = *node(element).fields;
            filtered(f, "expr", scope);
            if (const std::string_view name = text(f, "name"); !name.empty()) {
                bool definite = false;
                if (const auto lineage = lookup(target, name, definite)) filter(*lineage);
            }
        }
        filtered(*infer, "whereClause", scope);
    }
    if (text(clause, "action") != "ONCONFLICT_UPDATE") return;
    scope.items.push_back({{&excluded}, {}, false});  // only as excluded.column
    effect(EffectKind::Update, targets);
    assign(list(clause, "targetList"), targets, scope);
    filtered(clause, "whereClause", scope);
    scope.items.pop_back();
}

void Analysis::assign(const Array& assignments, const std::vector<Target>& targets, Scope& scope) {
    for (const Value& value : assignments) {
        const Object& f = *node(value).fields;
        const std::string_view column = text(f, "name");
        effect(EffectKind::Update, targets, column);
        all(list(f, "indirection"), scope);
        const Lineage lineage = field(f, "val", scope);
        for (const Target& target : targets) flow(lineage, target.object(), column);
    }
}

Result Analysis::update(const Object& statement, Scope* parent) {
    const Object* relation = child(statement, "relation");
    if (relation == nullptr) throw TooComplex{};
    Scope scope{parent};
    with(statement, scope);
    std::vector<Target> targets;
    scope.items.push_back(item_of(target_range(*relation, targets)));
    effect(EffectKind::Update, targets);
    for (const Value& item : list(statement, "fromClause")) {
        Item made = from(item, scope);
        scope.items.push_back(std::move(made));
    }
    assign(list(statement, "targetList"), targets, scope);
    filtered(statement, "whereClause", scope);
    return this->targets(list(statement, "returningList"), scope);
}

Result Analysis::remove(const Object& statement, Scope* parent) {
    const Object* relation = child(statement, "relation");
    if (relation == nullptr) throw TooComplex{};
    Scope scope{parent};
    with(statement, scope);
    std::vector<Target> targets;
    scope.items.push_back(item_of(target_range(*relation, targets)));
    effect(EffectKind::Delete, targets);
    for (const Value& item : list(statement, "usingClause")) {
        Item made = from(item, scope);
        scope.items.push_back(std::move(made));
    }
    filtered(statement, "whereClause", scope);
    return this->targets(list(statement, "returningList"), scope);
}

Result Analysis::merge_into(const Object& statement, Scope* parent) {
    const Object* relation = child(statement, "relation");
    const Value* source = find(statement, "sourceRelation");
    if (relation == nullptr || source == nullptr) throw TooComplex{};
    Scope scope{parent};
    with(statement, scope);
    std::vector<Target> targets;
    scope.items.push_back(item_of(target_range(*relation, targets)));
    Item made = from(*source, scope);
    scope.items.push_back(std::move(made));
    filtered(statement, "joinCondition", scope);
    for (const Value& value : list(statement, "mergeWhenClauses")) {
        const Object& when = *node(value).fields;
        filtered(when, "condition", scope);
        const std::string_view command = text(when, "commandType");
        if (command == "CMD_UPDATE") {
            effect(EffectKind::Update, targets);
            assign(list(when, "targetList"), targets, scope);
        } else if (command == "CMD_DELETE") {
            effect(EffectKind::Delete, targets);
        } else if (command == "CMD_INSERT") {
            std::vector<std::string_view> columns;
            for (const Value& column : list(when, "targetList"))
                columns.push_back(text(*node(column).fields, "name"));
            effect(EffectKind::Insert, targets, columns.empty() ? "*" : std::string_view{});
            for (const std::string_view column : columns)
                effect(EffectKind::Insert, targets, column);
            if (columns.empty()) columns = column_names(targets);
            const Array& values = list(when, "values");
            for (std::size_t i = 0; i < values.size(); ++i) {
                const Lineage lineage = expression(values[i], scope);
                for (const Target& target : targets)
                    flow(lineage, target.object(),
                         i < columns.size() ? columns[i] : std::string_view{});
            }
        } else if (command != "CMD_NOTHING") {
            unknown();
        }
    }
    return {};
}

}  // namespace chaperone::policy::sql::pg

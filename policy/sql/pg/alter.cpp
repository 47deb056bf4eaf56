// SPDX-License-Identifier: Apache-2.0
// Stored values that DDL carries elsewhere: into a column computed from others, or, as they are,
// under another name. Masks go by names, so a value that is renamed is a value that is copied.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <iterator>

namespace chaperone::policy::sql::pg {

// Into a column, from those of its table that the expression names. `columns`: what a table that is
// being made will have.
void Analysis::flow_within(const Value& expression, const std::vector<Target>& targets,
                           std::string_view column, const std::vector<std::string_view>& columns) {
    Scope scope;
    Range& own = new_range(nullptr, targets.empty() ? std::string_view{} : targets.front().name);
    for (const Target& target : targets) {
        if (target.relation != nullptr && !target.doubt && columns.empty()) {
            for (const Column& known : target.relation->columns)
                own.columns.push_back({known.name, column_of(target, known.name)});
            continue;
        }
        for (const std::string_view name : columns)
            own.columns.push_back(
                {std::string{name}, {{intern(target.schema, target.name, name)}}});
        if (!columns.empty()) continue;
        own.open = true;
        own.rest.add(column_of(target, "*"));
    }
    scope.items.push_back(item_of(own));
    const Lineage lineage = this->expression(expression, scope);
    for (const Target& target : targets) flow(lineage, target.object(), column);
}

void Analysis::generated(const Object& column_def, const std::vector<Target>& targets,
                         const std::vector<std::string_view>& columns) {
    for (const Value& value : list(column_def, "constraints")) {
        const Object& constraint = *node(value).fields;
        if (text(constraint, "contype") != "CONSTR_GENERATED") continue;
        if (const Value* expression = find(constraint, "raw_expr"))
            flow_within(*expression, targets, text(column_def, "colname"), columns);
    }
}

// Every column of a relation, under the name that the relation will have.
void Analysis::moved(const std::vector<Target>& targets, const std::string& to) {
    for (const Target& target : targets) {
        if (target.relation == nullptr || target.doubt) {
            flow(column_of(target, "*"), to, "*");
            continue;
        }
        for (const Column& column : target.relation->columns)
            flow(column_of(target, column.name), to, column.name);
    }
}

void Analysis::create_flows(const Object& create_table) {
    const Object* relation = child(create_table, "relation");
    if (relation == nullptr) return;
    std::vector<const Object*> definitions;
    std::vector<std::string_view> columns;
    for (const Value& element : list(create_table, "tableElts")) {
        const Node column = node(element);
        if (column.type != "ColumnDef") continue;
        definitions.push_back(column.fields);
        columns.push_back(text(*column.fields, "colname"));
    }
    for (const Object* definition : definitions)
        generated(*definition, resolve(*relation), columns);
}

void Analysis::alter_flows(const Object& alter_table) {
    const Object* relation = child(alter_table, "relation");
    if (relation == nullptr) return;
    const std::vector<Target> targets = resolve(*relation);
    for (const Value& value : list(alter_table, "cmds")) {
        const Node command = node(value);
        if (command.fields == nullptr) continue;
        const std::string_view what = text(*command.fields, "subtype");
        const Node def = node(*command.fields, "def");
        if (what == "AT_AddColumn" && def.type == "ColumnDef") generated(*def.fields, targets, {});
        if (what == "AT_AlterColumnType" && def.type == "ColumnDef")
            if (const Value* expression = find(*def.fields, "raw_default"))
                flow_within(*expression, targets, text(*command.fields, "name"), {});
        // A table that leaves its parent keeps rows which masks of the parent cover.
        if (what == "AT_DetachPartition" && def.type == "PartitionCmd")
            if (const Object* name = child(*def.fields, "name"))
                for (const Target& child : resolve(*name)) moved(targets, child.object());
        if (what == "AT_DropInherit" && def.type == "RangeVar")
            for (const Target& target : targets) moved(resolve(*def.fields), target.object());
    }
}

void Analysis::rename_flows(const Object& f, std::string_view type) {
    const std::string_view schema = text(f, "newschema");
    const std::string_view name = schema.empty() ? text(f, "newname") : schema;
    if (type == "OBJECT_SCHEMA") {
        const SourceId all = intern(text(f, "subname"), "*", "*");
        return flow({{all}}, std::string{name} + ".*", "*");
    }
    const Object* relation = child(f, "relation");
    if (relation == nullptr) return;
    const std::vector<Target> targets = resolve(*relation);
    if (type == "OBJECT_COLUMN") {
        for (const Target& target : targets)
            flow(column_of(target, text(f, "subname")), target.object(), name);
        return;
    }
    constexpr std::string_view kRelations[] = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW",
                                               "OBJECT_FOREIGN_TABLE", "OBJECT_INDEX"};
    if (std::ranges::find(kRelations, type) == std::end(kRelations)) return;
    for (const Target& target : targets)
        moved({target}, schema.empty() ? target.schema + "." + std::string{name}
                                       : std::string{schema} + "." + target.name);
}

}  // namespace chaperone::policy::sql::pg

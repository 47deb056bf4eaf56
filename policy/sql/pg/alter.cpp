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

// "schema.name" of a relation that is to be made.
std::string Analysis::object_to_make(const Object& range_var) {
    if (text(range_var, "relpersistence") == "t")
        return "pg_temp." + std::string{text(range_var, "relname")};
    creating_ = true;
    std::string object = object_of_range(range_var);
    creating_ = false;
    return object;
}

// What the name stands for from now on, if that is certain: columns that are written out, in a
// schema that is known. Of what is not temporary an unqualified name may come to lie in front of a
// relation that the catalog has.
void Analysis::makes_table(const Object& create_table, Statement& out) {
    out.relates = !list(create_table, "inhRelations").empty();
    const Object* relation = child(create_table, "relation");
    if (relation == nullptr || out.relates || child(create_table, "ofTypename") != nullptr ||
        flag(create_table, "if_not_exists") || context_.catalog == nullptr || !names_.certain)
        return;
    MadeTable made{.name = std::string{text(*relation, "relname")},
                   .until_commit = text(create_table, "oncommit") == "ONCOMMIT_DROP"};
    const std::string_view schema = text(*relation, "schemaname");
    if (text(*relation, "relpersistence") == "t") {
        made.schema = "pg_temp";
    } else if (!schema.empty()) {
        made.schema = schema;
    } else {
        if (local_.added || (context_.session != nullptr && context_.session->added) ||
            !context_.catalog->relations_named(made.name).empty())
            return;
        made.schema = resolve(*relation).front().schema;
    }
    for (const Value& element : list(create_table, "tableElts")) {
        const Node part = node(element);
        if (part.type == "ColumnDef")
            made.columns.emplace_back(text(*part.fields, "colname"));
        else if (part.type != "Constraint")
            return;  // LIKE
    }
    out.makes = std::move(made);
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

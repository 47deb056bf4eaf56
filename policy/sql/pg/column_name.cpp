// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/pg/column_name.h"

namespace chaperone::policy::sql::pg {
namespace {

constexpr int kMaxSteps = 64;

// strength 2: a name of its own; 1: the name of a type or of CASE, which an inner name replaces.
int figure(Node n, std::string& name, int steps);

int last_string(const Array& values, std::string& name) {
    for (auto value = values.rbegin(); value != values.rend(); ++value)
        if (node(*value).type == "String") {
            name = string_of(*value);
            return 2;
        }
    return 0;
}

int named(std::string& name, std::string_view text, int strength) {
    name = text;
    return strength;
}

int sublink(const Object& link, std::string& name) {
    const std::string_view kind = text(link, "subLinkType");
    if (kind == "EXISTS_SUBLINK") return named(name, "exists", 2);
    if (kind == "ARRAY_SUBLINK") return named(name, "array", 2);
    if (kind != "EXPR_SUBLINK") return 0;
    const Node query = node(link, "subselect");
    const Array& targets = list(*query.fields, "targetList");
    if (targets.empty()) return 0;
    const Object& first = *node(targets[0]).fields;
    if (const std::string_view alias = text(first, "name"); !alias.empty())
        return named(name, alias, 2);
    return figure(node(first, "val"), name, kMaxSteps - 8);
}

int value_function(std::string_view op, std::string& name) {
    if (op.starts_with("SVFOP_")) op.remove_prefix(6);
    if (op.ends_with("_N")) op.remove_suffix(2);
    name.clear();
    for (const char c : op) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return 2;
}

int xml(std::string_view op, std::string& name) {
    if (op.starts_with("IS_")) op.remove_prefix(3);
    if (op == "DOCUMENT") return 0;
    return value_function(op, name);
}

int figure(Node n, std::string& name, int steps) {
    if (steps > kMaxSteps) return 0;
    const Object& f = *n.fields;
    if (n.type == "ColumnRef") return last_string(list(f, "fields"), name);
    if (n.type == "A_Indirection") {
        if (const int strength = last_string(list(f, "indirection"), name)) return strength;
        return figure(node(f, "arg"), name, steps + 1);
    }
    if (n.type == "FuncCall") return last_string(list(f, "funcname"), name);
    if (n.type == "A_Expr") return text(f, "kind") == "AEXPR_NULLIF" ? named(name, "nullif", 2) : 0;
    if (n.type == "TypeCast") {
        if (const int strength = figure(node(f, "arg"), name, steps + 1)) return strength;
        const Object* type = child(f, "typeName");
        return type != nullptr && last_string(list(*type, "names"), name) ? 1 : 0;
    }
    if (n.type == "CollateClause") return figure(node(f, "arg"), name, steps + 1);
    if (n.type == "GroupingFunc") return named(name, "grouping", 2);
    if (n.type == "SubLink") return sublink(f, name);
    if (n.type == "CaseExpr") {
        const int strength = figure(node(f, "defresult"), name, steps + 1);
        return strength <= 1 ? named(name, "case", 1) : strength;
    }
    if (n.type == "A_ArrayExpr") return named(name, "array", 2);
    if (n.type == "RowExpr") return named(name, "row", 2);
    if (n.type == "CoalesceExpr") return named(name, "coalesce", 2);
    if (n.type == "MinMaxExpr")
        return named(name, text(f, "op") == "IS_LEAST" ? "least" : "greatest", 2);
    if (n.type == "SQLValueFunction") return value_function(text(f, "op"), name);
    if (n.type == "XmlExpr") return xml(text(f, "op"), name);
    if (n.type == "XmlSerialize") return named(name, "xmlserialize", 2);
    return 0;
}

}  // namespace

std::string column_name(Node expression) {
    std::string name;
    if (figure(expression, name, 0) == 0) return "?column?";
    return name;
}

}  // namespace chaperone::policy::sql::pg

// SPDX-License-Identifier: Apache-2.0
// Statements that change the schema, rights and roles, and maintenance. Most differ only in where
// their object's name stands, so a table says it.
#include "policy/sql/pg/analysis.h"

#include <algorithm>
#include <array>
#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

using enum EffectKind;

enum class Where : unsigned char { Range, Names, Text, Objects, Nowhere };

struct Ddl {
    std::string_view node, command;
    EffectKind kind;
    Where where;
    std::string_view field;
};

// clang-format off
constexpr Ddl kDdl[] = {
    {"AlterCollationStmt", "ALTER COLLATION", Alter, Where::Names, "collname"},
    {"AlterDatabaseRefreshCollStmt", "ALTER DATABASE", Alter, Where::Text, "dbname"},
    {"AlterDatabaseSetStmt", "ALTER DATABASE", Alter, Where::Text, "dbname"},
    {"AlterDatabaseStmt", "ALTER DATABASE", Alter, Where::Text, "dbname"},
    {"AlterDefaultPrivilegesStmt", "ALTER DEFAULT PRIVILEGES", Grant, Where::Nowhere, ""},
    {"AlterDomainStmt", "ALTER DOMAIN", Alter, Where::Names, "typeName"},
    {"AlterEnumStmt", "ALTER TYPE", Alter, Where::Names, "typeName"},
    {"AlterEventTrigStmt", "ALTER EVENT TRIGGER", Alter, Where::Text, "trigname"},
    {"AlterExtensionContentsStmt", "ALTER EXTENSION", Alter, Where::Text, "extname"},
    {"AlterExtensionStmt", "ALTER EXTENSION", Alter, Where::Text, "extname"},
    {"AlterFdwStmt", "ALTER FOREIGN DATA WRAPPER", Alter, Where::Text, "fdwname"},
    {"AlterForeignServerStmt", "ALTER SERVER", Alter, Where::Text, "servername"},
    {"AlterOpFamilyStmt", "ALTER OPERATOR FAMILY", Alter, Where::Names, "opfamilyname"},
    {"AlterPolicyStmt", "ALTER POLICY", Alter, Where::Range, "table"},
    {"AlterPublicationStmt", "ALTER PUBLICATION", Alter, Where::Text, "pubname"},
    {"AlterSeqStmt", "ALTER SEQUENCE", Alter, Where::Range, "sequence"},
    {"AlterStatsStmt", "ALTER STATISTICS", Alter, Where::Names, "defnames"},
    {"AlterSubscriptionStmt", "ALTER SUBSCRIPTION", Alter, Where::Text, "subname"},
    {"AlterTSConfigurationStmt", "ALTER TEXT SEARCH CONFIGURATION", Alter, Where::Names, "cfgname"},
    {"AlterTSDictionaryStmt", "ALTER TEXT SEARCH DICTIONARY", Alter, Where::Names, "dictname"},
    {"AlterTableMoveAllStmt", "ALTER TABLE", Alter, Where::Text, "orig_tablespacename"},
    {"AlterTableSpaceOptionsStmt", "ALTER TABLESPACE", Alter, Where::Text, "tablespacename"},
    {"AlterTableStmt", "ALTER TABLE", Alter, Where::Range, "relation"},
    {"AlterTypeStmt", "ALTER TYPE", Alter, Where::Names, "typeName"},
    {"AlterUserMappingStmt", "ALTER USER MAPPING", Alter, Where::Text, "servername"},
    {"CompositeTypeStmt", "CREATE TYPE", Create, Where::Range, "typevar"},
    {"CreateAmStmt", "CREATE ACCESS METHOD", Create, Where::Text, "amname"},
    {"CreateCastStmt", "CREATE CAST", Create, Where::Nowhere, ""},
    {"CreateConversionStmt", "CREATE CONVERSION", Create, Where::Names, "conversion_name"},
    {"CreateDomainStmt", "CREATE DOMAIN", Create, Where::Names, "domainname"},
    {"CreateEnumStmt", "CREATE TYPE", Create, Where::Names, "typeName"},
    {"CreateEventTrigStmt", "CREATE EVENT TRIGGER", Create, Where::Text, "trigname"},
    {"CreateExtensionStmt", "CREATE EXTENSION", Create, Where::Text, "extname"},
    {"CreateFdwStmt", "CREATE FOREIGN DATA WRAPPER", Create, Where::Text, "fdwname"},
    {"CreateForeignServerStmt", "CREATE SERVER", Create, Where::Text, "servername"},
    {"CreateFunctionStmt", "CREATE FUNCTION", Create, Where::Names, "funcname"},
    {"CreateOpClassStmt", "CREATE OPERATOR CLASS", Create, Where::Names, "opclassname"},
    {"CreateOpFamilyStmt", "CREATE OPERATOR FAMILY", Create, Where::Names, "opfamilyname"},
    {"CreatePLangStmt", "CREATE LANGUAGE", Create, Where::Text, "plname"},
    {"CreatePolicyStmt", "CREATE POLICY", Create, Where::Range, "table"},
    {"CreatePublicationStmt", "CREATE PUBLICATION", Create, Where::Text, "pubname"},
    {"CreateRangeStmt", "CREATE TYPE", Create, Where::Names, "typeName"},
    {"CreateRoleStmt", "CREATE ROLE", Create, Where::Text, "role"},
    {"CreateSeqStmt", "CREATE SEQUENCE", Create, Where::Range, "sequence"},
    {"CreateStatsStmt", "CREATE STATISTICS", Create, Where::Names, "defnames"},
    {"CreateStmt", "CREATE TABLE", Create, Where::Range, "relation"},
    {"CreateSubscriptionStmt", "CREATE SUBSCRIPTION", Create, Where::Text, "subname"},
    {"CreateTableSpaceStmt", "CREATE TABLESPACE", Create, Where::Text, "tablespacename"},
    {"CreateTransformStmt", "CREATE TRANSFORM", Create, Where::Nowhere, ""},
    {"CreateTrigStmt", "CREATE TRIGGER", Create, Where::Range, "relation"},
    {"CreateUserMappingStmt", "CREATE USER MAPPING", Create, Where::Text, "servername"},
    {"CreatedbStmt", "CREATE DATABASE", Create, Where::Text, "dbname"},
    {"DefineStmt", "CREATE", Create, Where::Names, "defnames"},
    {"DropSubscriptionStmt", "DROP SUBSCRIPTION", Drop, Where::Text, "subname"},
    {"DropTableSpaceStmt", "DROP TABLESPACE", Drop, Where::Text, "tablespacename"},
    {"DropUserMappingStmt", "DROP USER MAPPING", Drop, Where::Text, "servername"},
    {"DropdbStmt", "DROP DATABASE", Drop, Where::Text, "dbname"},
    {"ImportForeignSchemaStmt", "IMPORT FOREIGN SCHEMA", Create, Where::Text, "local_schema"},
    {"IndexStmt", "CREATE INDEX", Create, Where::Range, "relation"},
    {"ReplicaIdentityStmt", "ALTER TABLE", Alter, Where::Nowhere, ""},
};
// clang-format on

// Objects that live in a schema and are named by a list; the others have one name.
bool in_schema(std::string_view type) {
    static constexpr std::array kBare = {
        "OBJECT_ACCESS_METHOD", "OBJECT_DATABASE",      "OBJECT_EVENT_TRIGGER",
        "OBJECT_EXTENSION",     "OBJECT_FDW",           "OBJECT_FOREIGN_SERVER",
        "OBJECT_LANGUAGE",      "OBJECT_LARGEOBJECT",   "OBJECT_PUBLICATION",
        "OBJECT_ROLE",          "OBJECT_SCHEMA",        "OBJECT_SUBSCRIPTION",
        "OBJECT_TABLESPACE",    "OBJECT_PARAMETER_ACL", "OBJECT_TRANSFORM"};
    return std::ranges::find(kBare, type) == kBare.end();
}

// DROP TRIGGER t ON s.r: the list names the relation and then its part.
bool part_of_relation(std::string_view type) {
    return type == "OBJECT_TRIGGER" || type == "OBJECT_RULE" || type == "OBJECT_POLICY" ||
           type == "OBJECT_TABCONSTRAINT" || type == "OBJECT_COLUMN";
}

std::string command_of(std::string_view verb, std::string_view type) {
    if (type.starts_with("OBJECT_")) type.remove_prefix(7);
    std::string result{verb};
    result += ' ';
    for (const char c : type) result += c == '_' ? ' ' : c;
    return result;
}

}  // namespace

void Analysis::object_effect(EffectKind kind, std::string_view type, const Value* object) {
    if (object == nullptr) return effect(kind);
    const Node n = node(*object);
    const auto by_names = [&](const Array& names) {
        const auto parts = strings(names);
        if (parts.empty()) return effect(kind);
        if (!in_schema(type)) return effect(kind, std::string{parts.back()});
        if (part_of_relation(type) && parts.size() > 1) {
            const std::string_view schema =
                parts.size() > 2 ? parts[parts.size() - 3] : std::string_view{};
            for (const Target& target : resolve(schema, parts[parts.size() - 2]))
                effect(kind, target.object());
            return;
        }
        effect_on(kind, names);
    };
    if (n.type == "String")
        effect(kind, in_schema(type) ? resolve({}, string_of(*object)).front().object()
                                     : std::string{string_of(*object)});
    else if (n.type == "List")
        by_names(list(*n.fields, "items"));
    else if (n.type == "RangeVar")
        effect_on(kind, *n.fields);
    else if (n.type == "ObjectWithArgs")
        by_names(list(*n.fields, "objname"));
    else if (n.type == "TypeName")
        by_names(list(*n.fields, "names"));
    else if (n.type == "RoleSpec")
        effect(kind, std::string{text(*n.fields, "rolename")});
    else if (n.type == "AccessPriv")
        effect(kind, std::string{text(*n.fields, "priv_name")});
    else
        effect(kind);
}

// Every relation that an uncertain name may stand for.
void Analysis::effect_on(EffectKind kind, const Array& name) {
    const auto parts = strings(name);
    if (parts.size() != 1) return effect(kind, object_of(name));
    for (const Target& target : resolve({}, parts[0])) effect(kind, target.object());
}

void Analysis::effect_on(EffectKind kind, const Object& range_var) {
    for (const Target& target : resolve(range_var)) effect(kind, target.object());
}

// Defaults, index expressions, USING …: the functions they name will run.
void Analysis::expressions_below(const Object& fields) {
    Scope scope;
    const bool before = std::exchange(filtering_, true);
    for (const auto& member : fields) {
        const std::string_view key{member.key().data(), member.key().size()};
        if (key == "sql_body" || key == "typeName" || key == "returnType") continue;
        anything(member.value(), scope);
    }
    filtering_ = before;
}

// "CREATE INDEX" and the like: nothing that a Catalog holds, or that a name in a query could mean.
bool Analysis::outside_catalogs(std::string_view command) {
    static constexpr std::string_view kOutside[] = {"ACCESS METHOD",
                                                    "DATABASE",
                                                    "DEFAULT PRIVILEGES",
                                                    "EVENT TRIGGER",
                                                    "FOREIGN DATA WRAPPER",
                                                    "POLICY",
                                                    "PUBLICATION",
                                                    "ROLE",
                                                    "SERVER",
                                                    "STATISTICS",
                                                    "SUBSCRIPTION",
                                                    "SYSTEM",
                                                    "TABLESPACE",
                                                    "TEXT SEARCH CONFIGURATION",
                                                    "TEXT SEARCH DICTIONARY",
                                                    "TEXT SEARCH PARSER",
                                                    "TEXT SEARCH TEMPLATE",
                                                    "TRIGGER",
                                                    "USER MAPPING"};
    if (command.starts_with("COMMENT ON") || command == "TRUNCATE TABLE") return true;
    if (command == "CREATE INDEX") return true;  // ALTER INDEX renames tables, too
    for (const std::string_view verb : {"CREATE ", "ALTER ", "DROP "})
        if (command.starts_with(verb))
            return std::ranges::find(kOutside, command.substr(verb.size())) != std::end(kOutside);
    return false;
}

bool Analysis::schema_statement(Node n, Statement& out) {
    if (maintain_statement(n, out) || grant_statement(n, out)) return true;
    if (!drop_statement(n, out) && !alter_statement(n, out) && !create_statement(n, out))
        return false;
    if (outside_catalogs(out.command)) return true;
    found_->changes_schema = true;
    if (out.command != "CREATE EXTENSION" && out.command != "CREATE SCHEMA")
        found_->changes_names = true;
    return true;
}

// INHERIT and ATTACH PARTITION: from now on the rows of one are seen under the other's name, too.
void Analysis::relatives_changed(const Object& alter_table) {
    for (const Value& value : list(alter_table, "cmds")) {
        const Node command = node(value);
        if (command.fields == nullptr) continue;
        const Node def = node(*command.fields, "def");
        if (def.type == "RangeVar") effect_on(EffectKind::Alter, *def.fields);
        if (def.type != "PartitionCmd") continue;
        if (const Object* name = child(*def.fields, "name")) effect_on(EffectKind::Alter, *name);
    }
}

bool Analysis::create_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "ViewStmt") {
        out.command = "CREATE VIEW";
        const Object* view = child(f, "view");
        if (view == nullptr) return false;
        const std::string object = object_to_make(*view);
        effect(EffectKind::Create, object);
        const Result result =
            renamed(query(node(f, "query"), nullptr), strings(list(f, "aliases")));
        for (const RangeColumn& column : result.columns) flow(column.lineage, object, column.name);
        return true;
    }
    if (n.type == "RuleStmt") {
        out.command = "CREATE RULE";
        if (const Object* relation = child(f, "relation"))
            effect(EffectKind::Create, object_of_range(*relation));
        for (const Value& action : list(f, "actions")) {
            Statement ignored;
            statement(node(action), ignored);
        }
        return true;
    }
    if (n.type == "CreateSchemaStmt") {
        out.command = "CREATE SCHEMA";
        std::string name{text(f, "schemaname")};
        if (const Object* role = child(f, "authrole"); name.empty() && role != nullptr)
            name = text(*role, "rolename");
        effect(EffectKind::Create, std::move(name));
        for (const Value& element : list(f, "schemaElts")) {
            Statement ignored;
            statement(node(element), ignored);
        }
        return true;
    }
    if (n.type == "CreateForeignTableStmt") {
        out.command = "CREATE FOREIGN TABLE";
        const Object* base = child(f, "base");
        const Object* relation = base == nullptr ? nullptr : child(*base, "relation");
        effect(EffectKind::Create, relation == nullptr ? "" : object_to_make(*relation));
        out.relates = base != nullptr && !list(*base, "inhRelations").empty();
        expressions_below(f);
        return true;
    }
    for (const Ddl& known : kDdl) {
        if (known.node != n.type) continue;
        out.command = known.command;
        creating_ =
            n.type == "CreateStmt" || n.type == "CreateSeqStmt" || n.type == "CompositeTypeStmt";
        switch (known.where) {
        case Where::Range:
            if (const Object* relation = child(f, known.field)) {
                const bool temporary =
                    text(*relation, "relpersistence") == "t" && known.kind == EffectKind::Create;
                if (temporary)
                    effect(known.kind, "pg_temp." + std::string{text(*relation, "relname")});
                else
                    effect_on(known.kind, *relation);
            } else {
                effect(known.kind);
            }
            break;
        case Where::Names: effect_on(known.kind, list(f, known.field)); break;
        case Where::Text: effect(known.kind, std::string{text(f, known.field)}); break;
        case Where::Objects:
        case Where::Nowhere: effect(known.kind); break;
        }
        if (n.type == "AlterTableStmt") {
            relatives_changed(f);
            alter_flows(f);
        }
        if (n.type == "CreateStmt") {
            create_flows(f);
            makes_table(f, out);
        }
        creating_ = false;
        if (n.type == "CreateSubscriptionStmt" || n.type == "CreateForeignServerStmt")
            effect(EffectKind::Program, std::string{text(f, known.field)});  // it dials out
        if (n.type == "CreateTableSpaceStmt")
            effect(EffectKind::File, std::string{text(f, "location")});
        if (n.type == "CreateRoleStmt") effect(EffectKind::Grant, std::string{text(f, "role")});
        expressions_below(f);
        return true;
    }
    return false;
}

bool Analysis::drop_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "DropStmt") {
        const std::string_view type = text(f, "removeType");
        out.command = command_of("DROP", type);
        for (const Value& object : list(f, "objects"))
            object_effect(EffectKind::Drop, type, &object);
        return true;
    }
    if (n.type == "DropRoleStmt") {
        out.command = "DROP ROLE";
        for (const Value& role : list(f, "roles"))
            object_effect(EffectKind::Drop, "OBJECT_ROLE", &role);
        return true;
    }
    if (n.type == "DropOwnedStmt") {
        out.command = "DROP OWNED";
        for (const Value& role : list(f, "roles"))
            object_effect(EffectKind::Drop, "OBJECT_ROLE", &role);
        return true;
    }
    if (n.type == "TruncateStmt") {
        out.command = "TRUNCATE TABLE";
        for (const Value& relation : list(f, "relations"))
            effect(EffectKind::Truncate, resolve(*node(relation).fields));
        return true;
    }
    return false;
}

bool Analysis::alter_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "RenameStmt" || n.type == "AlterObjectSchemaStmt" || n.type == "AlterOwnerStmt" ||
        n.type == "AlterObjectDependsStmt" || n.type == "CommentStmt" || n.type == "SecLabelStmt" ||
        n.type == "AlterOperatorStmt") {
        std::string_view type = text(f, n.type == "RenameStmt" ? "renameType" : "objectType");
        if (type.empty()) type = text(f, "objtype");
        if (n.type == "AlterOperatorStmt") type = "OBJECT_OPERATOR";
        out.command = command_of(n.type == "CommentStmt"    ? "COMMENT ON"
                                 : n.type == "SecLabelStmt" ? "SECURITY LABEL ON"
                                                            : "ALTER",
                                 type);
        const Object* relation = child(f, "relation");
        if (relation != nullptr)
            effect_on(EffectKind::Alter, *relation);
        else if (find(f, "object") != nullptr)
            object_effect(EffectKind::Alter, type, find(f, "object"));
        else if (find(f, "opername") != nullptr)
            effect_on(EffectKind::Alter, list(*child(f, "opername"), "objname"));
        else
            effect(EffectKind::Alter, std::string{text(f, "subname")});
        if (n.type == "RenameStmt" || n.type == "AlterObjectSchemaStmt") rename_flows(f, type);
        // What is renamed may from now on stand for, or hide, something else.
        if (const std::string_view name = text(f, "newname");
            n.type == "RenameStmt" && relation != nullptr && text(f, "subname").empty())
            effect(EffectKind::Alter,
                   resolve(text(*relation, "schemaname"), name).front().object());
        return true;
    }
    if (n.type == "AlterFunctionStmt") {
        out.command = "ALTER FUNCTION";
        if (const Object* function = child(f, "func"))
            effect_on(EffectKind::Alter, list(*function, "objname"));
        else
            effect(EffectKind::Alter);
        return true;
    }
    if (n.type == "AlterSystemStmt") {
        out.command = "ALTER SYSTEM";
        const Object* set = child(f, "setstmt");
        std::string name{set == nullptr ? std::string_view{} : text(*set, "name")};
        effect(EffectKind::Alter, name.empty() ? "all" : name);
        return true;
    }
    if (n.type == "AlterRoleStmt" || n.type == "AlterRoleSetStmt") {
        out.command = "ALTER ROLE";
        const Object* role = child(f, "role");
        const std::string name{role == nullptr ? std::string_view{} : text(*role, "rolename")};
        effect(EffectKind::Alter, name.empty() ? "all" : name);
        if (n.type == "AlterRoleStmt") effect(EffectKind::Grant, name);
        return true;
    }
    if (n.type == "ReassignOwnedStmt") {
        out.command = "REASSIGN OWNED";
        for (const Value& role : list(f, "roles"))
            object_effect(EffectKind::Alter, "OBJECT_ROLE", &role);
        return true;
    }
    return false;
}

bool Analysis::grant_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "GrantStmt") {
        out.command = flag(f, "is_grant") ? "GRANT" : "REVOKE";
        std::string_view type = text(f, "objtype");
        // GRANT … ON ALL TABLES IN SCHEMA names schemas.
        if (text(f, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA") type = "OBJECT_SCHEMA";
        for (const Value& object : list(f, "objects"))
            object_effect(EffectKind::Grant, type, &object);
        if (list(f, "objects").empty()) effect(EffectKind::Grant);
        return true;
    }
    if (n.type == "GrantRoleStmt") {
        out.command = flag(f, "is_grant") ? "GRANT ROLE" : "REVOKE ROLE";
        for (const Value& role : list(f, "granted_roles"))
            object_effect(EffectKind::Grant, "OBJECT_ROLE", &role);
        return true;
    }
    return false;
}

bool Analysis::maintain_statement(Node n, Statement& out) {
    const Object& f = *n.fields;
    if (n.type == "VacuumStmt") {
        out.command = flag(f, "is_vacuumcmd") ? "VACUUM" : "ANALYZE";
        for (const Value& entry : list(f, "rels"))
            if (const Object* relation = child(*node(entry).fields, "relation"))
                effect(EffectKind::Maintain, resolve(*relation));
        if (list(f, "rels").empty()) effect(EffectKind::Maintain);
        return true;
    }
    if (n.type == "ClusterStmt" || n.type == "ReindexStmt" || n.type == "RefreshMatViewStmt") {
        out.command = n.type == "ClusterStmt"   ? "CLUSTER"
                      : n.type == "ReindexStmt" ? "REINDEX"
                                                : "REFRESH MATERIALIZED VIEW";
        if (const Object* relation = child(f, "relation"))
            effect(EffectKind::Maintain, resolve(*relation));
        else
            effect(EffectKind::Maintain, std::string{text(f, "name")});
        return true;
    }
    if (n.type == "CheckPointStmt") {
        out.command = "CHECKPOINT";
        effect(EffectKind::Maintain);
        return true;
    }
    return false;
}

}  // namespace chaperone::policy::sql::pg

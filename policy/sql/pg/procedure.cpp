// SPDX-License-Identifier: Apache-2.0
// DO blocks: PL/pgSQL is taken apart by libpg_query, and every SQL text in it counts as if it ran.
// Texts that are put together at run time are Unknown.
#include "policy/sql/pg/analysis.h"
#include "policy/sql/pg/guard.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::sql::pg {
namespace {

// Nodes of PL/pgSQL's tree whose SQL, if any, stands below them as PLpgSQL_expr.
constexpr std::array<std::string_view, 43> kKnown = {"PLpgSQL_alias",
                                                     "PLpgSQL_arrayelem",
                                                     "PLpgSQL_case_when",
                                                     "PLpgSQL_condition",
                                                     "PLpgSQL_diag_item",
                                                     "PLpgSQL_exception",
                                                     "PLpgSQL_exception_block",
                                                     "PLpgSQL_expr",
                                                     "PLpgSQL_function",
                                                     "PLpgSQL_if_elsif",
                                                     "PLpgSQL_nsitem",
                                                     "PLpgSQL_raise_option",
                                                     "PLpgSQL_rec",
                                                     "PLpgSQL_recfield",
                                                     "PLpgSQL_row",
                                                     "PLpgSQL_stmt_assert",
                                                     "PLpgSQL_stmt_assign",
                                                     "PLpgSQL_stmt_block",
                                                     "PLpgSQL_stmt_call",
                                                     "PLpgSQL_stmt_case",
                                                     "PLpgSQL_stmt_close",
                                                     "PLpgSQL_stmt_commit",
                                                     "PLpgSQL_stmt_execsql",
                                                     "PLpgSQL_stmt_exit",
                                                     "PLpgSQL_stmt_fetch",
                                                     "PLpgSQL_stmt_forc",
                                                     "PLpgSQL_stmt_foreach_a",
                                                     "PLpgSQL_stmt_fori",
                                                     "PLpgSQL_stmt_fors",
                                                     "PLpgSQL_stmt_getdiag",
                                                     "PLpgSQL_stmt_if",
                                                     "PLpgSQL_stmt_loop",
                                                     "PLpgSQL_stmt_open",
                                                     "PLpgSQL_stmt_perform",
                                                     "PLpgSQL_stmt_raise",
                                                     "PLpgSQL_stmt_return",
                                                     "PLpgSQL_stmt_return_next",
                                                     "PLpgSQL_stmt_return_query",
                                                     "PLpgSQL_stmt_rollback",
                                                     "PLpgSQL_stmt_while",
                                                     "PLpgSQL_type",
                                                     "PLpgSQL_var",
                                                     "PLpgSQL_variable"};

// "x := 1": where the value starts; npos unless the left side is a plain name, so that nothing
// can hide in its subscripts.
std::size_t assigned(std::string_view query) {
    std::size_t at = 0;
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == ' ' || c == '\t' || c == '\n';
    };
    while (at < query.size() && plain(query[at])) ++at;
    if (query.substr(at).starts_with(":=")) return at + 2;
    if (query.substr(at).starts_with("=") && at != 0) return at + 1;
    return std::string_view::npos;
}

}  // namespace

void Analysis::procedure(const Object& f, Statement& out) {
    out.command = "DO";
    effect(EffectKind::Call, "do");
    std::string_view body, language = "plpgsql";
    for (const Value& value : list(f, "args")) {
        const Object& option = *node(value).fields;
        const Node arg = node(option, "arg");
        if (text(option, "defname") == "language") language = text(*arg.fields, "sval");
        if (text(option, "defname") == "as") body = text(*arg.fields, "sval");
    }
    const Limits& limits = context_.limits;
    if (language != "plpgsql" || !refuse_body(body, limits.text, limits.chain).empty())
        return unknown();
    std::string tag = "$body$";
    for (int i = 0; body.find(tag) != std::string_view::npos; ++i)
        tag = "$body" + std::to_string(i) + "_$";
    Parsed parsed = parse_procedure("DO " + tag + std::string{body} + tag);
    if (parsed.tree == nullptr) return unknown();
    trees_.push_back(parsed.memory);
    procedure_node(*parsed.tree);
}

void Analysis::procedure_node(const Value& value) {
    const Deeper deeper{*this};
    if (const Array* items = value.if_array()) {
        for (const Value& item : *items) procedure_node(item);
        return;
    }
    const Object* fields = value.if_object();
    if (fields == nullptr) return;
    for (const auto& member : *fields) {
        const std::string_view key{member.key().data(), member.key().size()};
        if (key == "PLpgSQL_expr") {
            const Object* expr = member.value().if_object();
            procedure_query(expr == nullptr ? std::string_view{} : text(*expr, "query"), false);
            continue;
        }
        if (key == "PLpgSQL_stmt_dynexecute" || key == "PLpgSQL_stmt_dynfors" ||
            key == "dynquery") {
            const Object* dynamic = member.value().if_object();
            const Object* query = dynamic == nullptr ? nullptr : child(*dynamic, "query");
            if (key == "dynquery") query = dynamic;
            const Object* expr = query == nullptr ? nullptr : child(*query, "PLpgSQL_expr");
            procedure_query(expr == nullptr ? std::string_view{} : text(*expr, "query"), true);
        } else if (key == "PLpgSQL_stmt_assign") {
            const Object* assign = member.value().if_object();
            const Object* outer = assign == nullptr ? nullptr : child(*assign, "expr");
            const Object* expr = outer == nullptr ? nullptr : child(*outer, "PLpgSQL_expr");
            const std::string_view query = expr == nullptr ? "" : text(*expr, "query");
            const std::size_t at = assigned(query);
            if (at == std::string_view::npos)
                unknown();
            else
                procedure_query(query.substr(at), false);
            continue;
        } else if (key == "PLpgSQL_stmt_commit" || key == "PLpgSQL_stmt_rollback") {
            effect(EffectKind::Transaction);
        } else if (key.starts_with("PLpgSQL_") && std::ranges::find(kKnown, key) == kKnown.end()) {
            unknown();
        }
        procedure_node(member.value());
    }
}

// A statement as it stands, or an expression; dynamic: its value is the statement.
void Analysis::procedure_query(std::string_view query, bool dynamic) {
    const Limits& limits = context_.limits;
    if (query.empty() || !refuse(query, limits.text, limits.chain).empty()) return unknown();
    const std::string expression = "SELECT " + std::string{query};
    if (dynamic) {
        Parsed parsed = parse(expression);
        std::string constant;
        if (parsed.tree != nullptr) {
            const Array& statements = list(parsed.tree->as_object(), "stmts");
            const Array* targets =
                statements.size() == 1
                    ? &list(*node(*statements[0].if_object(), "stmt").fields, "targetList")
                    : nullptr;
            if (targets != nullptr && targets->size() == 1) {
                const Value* value = find(*node((*targets)[0]).fields, "val");
                if (value != nullptr && constant_text(*value, constant)) return run_text(constant);
            }
        }
        return unknown();
    }
    run_text(parse(query).tree != nullptr ? std::string_view{query} : expression);
}

}  // namespace chaperone::policy::sql::pg

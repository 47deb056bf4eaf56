// SPDX-License-Identifier: Apache-2.0
// COPY: rows in bulk between a relation or a query and the client, a file or a program.
#include "policy/sql/pg/analysis.h"

#include <utility>

namespace chaperone::policy::sql::pg {
namespace {

std::string_view option_text(const Object& option) {
    const Node arg = node(option, "arg");
    return arg.type == "String" ? text(*arg.fields, "sval") : std::string_view{};
}

void one_character(const Object& option, char& to) {
    if (const std::string_view value = option_text(option); value.size() == 1) to = value[0];
}

}  // namespace

void Analysis::copy_options(const Array& options, CopyFormat& format) {
    for (const Value& value : options) {
        const Object& option = *node(value).fields;
        if (text(option, "defname") != "format") continue;
        const std::string_view kind = option_text(option);
        format.kind = kind == "csv"      ? CopyFormat::Kind::Csv
                      : kind == "binary" ? CopyFormat::Kind::Binary
                                         : CopyFormat::Kind::Text;
    }
    if (format.kind == CopyFormat::Kind::Csv) {
        format.delimiter = ',';
        format.null_text.clear();
    }
    bool escaped = false;
    for (const Value& value : options) {
        const Object& option = *node(value).fields;
        const std::string_view name = text(option, "defname");
        if (name == "delimiter") one_character(option, format.delimiter);
        if (name == "null") format.null_text = option_text(option);
        if (name == "quote") one_character(option, format.quote);
        if (name == "escape") one_character(option, format.escape), escaped = true;
        if (name == "encoding") format.encoding = option_text(option);
        if (name == "header") {
            const Node arg = node(option, "arg");
            const std::string_view on = option_text(option);
            format.header = !(on == "false" || on == "off" || on == "0" ||
                              (arg.type == "Integer" && number(*arg.fields, "ival") == 0) ||
                              (arg.type == "Boolean" && !flag(*arg.fields, "boolval")));
        }
        if (name == "force_quote") {
            const Node arg = node(option, "arg");
            if (arg.type == "A_Star") format.force_quote = {"*"};
            const Array& names = arg.type == "List" ? list(*arg.fields, "items") : Array{};
            for (const std::string_view column : strings(names))
                format.force_quote.emplace_back(column);
        }
    }
    if (!escaped) format.escape = format.quote;
}

void Analysis::copy(const Object& f, Statement& out) {
    out.command = "COPY";
    const std::string file{text(f, "filename")};
    if (flag(f, "is_program"))
        effect(EffectKind::Program, file);
    else if (!file.empty())
        effect(EffectKind::File, file);
    CopyFormat format;
    copy_options(list(f, "options"), format);

    Scope scope;
    const auto columns = strings(list(f, "attlist"));
    const Object* relation = child(f, "relation");
    if (flag(f, "is_from")) {
        if (relation == nullptr) return unknown();
        const auto targets = resolve(*relation);
        for (const EffectKind kind : {EffectKind::CopyIn, EffectKind::Insert}) {
            effect(kind, targets, columns.empty() ? "*" : std::string_view{});
            for (const std::string_view column : columns) effect(kind, targets, column);
        }
        out.copy_in = CopyIn{std::move(format), file.empty(), targets.front().object(), {}};
        for (const std::string_view column : columns) out.copy_in->columns.emplace_back(column);
        scope.items.push_back(item_of(base_range(targets, nullptr, text(*relation, "relname"))));
        filtered(f, "whereClause", scope);
        return;
    }
    out.copy_out = CopyOut{std::move(format), file.empty()};
    Result result;
    if (relation == nullptr) {
        effect(EffectKind::CopyOut);
        result = query(node(f, "query"), nullptr);
    } else {
        const auto targets = resolve(*relation);
        Range& range = base_range(targets, nullptr, text(*relation, "relname"));
        effect(EffectKind::Read, targets);
        if (columns.empty()) result.columns = expand(range, result.known);
        for (const std::string_view column : columns) {
            bool definite = false;
            auto lineage = lookup(range, column, definite);
            result.columns.push_back({std::string{column}, lineage ? *lineage : Lineage{{}, true}});
        }
        for (const Target& target : targets) {
            effect(EffectKind::CopyOut, target.object());
            auto& copied = found_->effects[{EffectKind::CopyOut, target.object()}];
            for (const RangeColumn& column : result.columns) copied.insert(column.name);
        }
    }
    for (const RangeColumn& column : result.columns)
        if (!file.empty()) flow(column.lineage, file, {});
    give(result, out);
}

}  // namespace chaperone::policy::sql::pg

// SPDX-License-Identifier: Apache-2.0
// Facts as the corpus writes them.
#pragma once

#include "policy/sql/facts.h"

#include <string>

namespace chaperone::policy::sql {

// "read public.t(a,b); update public.t(a)"; "-": none.
inline std::string render_effects(const Facts& facts) {
    std::string out;
    for (const Effect& effect : facts.effects) {
        if (!out.empty()) out += "; ";
        out += to_text(effect.kind);
        if (!effect.object.empty()) out += " " + effect.object;
        std::string columns;
        for (const std::string& column : effect.columns)
            columns += (columns.empty() ? "" : ",") + column;
        if (!columns.empty()) out += "(" + columns + ")";
    }
    return out.empty() ? "-" : out;
}

// "e=public.customers.email!; n=;": ! direct, ? unknown; "*" in front: layout not known.
inline std::string render_outputs(const Statement& statement) {
    std::string out = statement.outputs_known ? "" : "* ";
    for (const OutputColumn& column : statement.outputs) {
        out += column.name + "=";
        bool first = true;
        for (const ColumnRef& ref : column.sources) {
            out += (first ? "" : "+") + ref.schema + "." + ref.relation + "." + ref.column;
            first = false;
        }
        out += column.unknown ? "?" : "";
        out += column.direct ? "!" : "";
        out += "; ";
    }
    if (out.ends_with("; ")) out.resize(out.size() - 2);
    return out.empty() ? "-" : out;
}

inline std::string render_flows(const Facts& facts) {
    std::string out;
    for (const Flow& flow : facts.flows) {
        if (!out.empty()) out += "; ";
        const ColumnRef& from = flow.source;
        out += from.relation.empty() ? "?" : from.schema + "." + from.relation + "." + from.column;
        out += " -> " + flow.target + (flow.column.empty() ? "" : "." + flow.column);
    }
    return out;
}

inline std::string render_filters(const Facts& facts) {
    std::string out;
    for (const ColumnRef& ref : facts.filters)
        out += (out.empty() ? "" : "; ") + ref.schema + "." + ref.relation + "." + ref.column;
    return out;
}

}  // namespace chaperone::policy::sql

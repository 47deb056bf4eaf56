// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/facts.h"

#include <algorithm>
#include <array>

namespace chaperone::policy::sql {

std::string_view to_text(EffectKind kind) noexcept {
    switch (kind) {
    case EffectKind::Read: return "read";
    case EffectKind::Insert: return "insert";
    case EffectKind::Update: return "update";
    case EffectKind::Delete: return "delete";
    case EffectKind::Create: return "create";
    case EffectKind::Alter: return "alter";
    case EffectKind::Drop: return "drop";
    case EffectKind::Truncate: return "truncate";
    case EffectKind::Grant: return "grant";
    case EffectKind::Session: return "session";
    case EffectKind::Transaction: return "transaction";
    case EffectKind::CopyIn: return "copy_in";
    case EffectKind::CopyOut: return "copy_out";
    case EffectKind::File: return "file";
    case EffectKind::Program: return "program";
    case EffectKind::Call: return "call";
    case EffectKind::Lock: return "lock";
    case EffectKind::Listen: return "listen";
    case EffectKind::Notify: return "notify";
    case EffectKind::Maintain: return "maintain";
    case EffectKind::Unknown: return "unknown";
    }
    return "unknown";
}

std::optional<EffectKind> effect_kind(std::string_view text) noexcept {
    for (int i = 0; i <= static_cast<int>(EffectKind::Unknown); ++i)
        if (const auto kind = static_cast<EffectKind>(i); to_text(kind) == text) return kind;
    return std::nullopt;
}

bool Facts::does(EffectKind kind) const noexcept {
    return std::ranges::any_of(effects, [&](const Effect& e) { return e.kind == kind; });
}

bool same_doings(const Facts& a, const Facts& b) {
    const auto same = [](const Statement& x, const Statement& y) {
        return x.command == y.command && x.returns_rows == y.returns_rows &&
               x.outputs_known == y.outputs_known && x.outputs == y.outputs;
    };
    return a.parsed == b.parsed && a.effects == b.effects && a.functions == b.functions &&
           a.through == b.through && a.filters == b.filters && a.flows == b.flows &&
           a.executes == b.executes && std::ranges::equal(a.statements, b.statements, same);
}

std::shared_ptr<const Facts> unparsed(std::string error) {
    auto facts = std::make_shared<Facts>();
    facts->error = std::move(error);
    facts->effects.push_back({EffectKind::Unknown, {}, {}});
    facts->changes_schema = facts->changes_names = true;
    return facts;
}

}  // namespace chaperone::policy::sql

// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/diagnostics.h"

#include "userspace/wire/pg/encoder.h"

#include <algorithm>
#include <array>

namespace chaperone::session {
namespace {

constexpr std::string_view kRedacted = "[REDACTED]";

bool effect_touches(const policy::sql::Effect& effect, const MaskContext& context) {
    using policy::sql::EffectKind;
    if (effect.kind == EffectKind::Unknown || effect.kind == EffectKind::Call) return true;
    const auto dot = effect.object.find('.');
    if (dot == std::string::npos) return false;
    const policy::sql::OutputColumn output{
        .sources = {{effect.object.substr(0, dot), effect.object.substr(dot + 1), "*"}}};
    // By relation: a constraint's message may quote columns that the statement does not name.
    return mask_of(&output, context).has_value();
}

// "…" becomes "[REDACTED]": in data exceptions what stands between quotes is the value.
std::string without_quoted(std::string_view text) {
    std::string out;
    std::size_t at = 0;
    for (;;) {
        const auto open = text.find('"', at);
        out += text.substr(at, open == std::string_view::npos ? open : open - at);
        if (open == std::string_view::npos) return out;
        out += '"';
        out += kRedacted;
        out += '"';
        // Values are not escaped, so only the last quote is sure to end one.
        const auto close = text.rfind('"');
        if (close == open) return out;
        at = close + 1;
    }
}

// "Key (a, b)=(1, 2) already exists.", "Failing row contains (1, 2)."
std::string without_values(std::string_view text) {
    constexpr std::string_view kKey = ")=(";
    auto begin = text.find(kKey);
    if (text.starts_with("Key (") && begin != std::string_view::npos) {
        begin += kKey.size();
    } else {
        constexpr std::string_view kRow = "row contains (";
        begin = text.find(kRow);
        if (begin == std::string_view::npos) return std::string{kRedacted};
        begin += kRow.size();
    }
    const auto end = text.rfind(')');
    if (end == std::string_view::npos || end < begin) return std::string{kRedacted};
    return std::string{text.substr(0, begin)} + std::string{kRedacted} +
           std::string{text.substr(end)};
}

// Messages of these classes hold names and numbers of the server's own, no data: syntax and
// privileges, transactions, cursors, resources, connections (errcodes.txt).
bool holds_no_data(std::string_view code) {
    constexpr std::array<std::string_view, 18> kClasses{"08", "0A", "25", "26", "28", "2B",
                                                        "34", "3B", "3D", "3F", "40", "42",
                                                        "53", "54", "55", "57", "58", "72"};
    // 42P22, 42804 and their like name types and columns; they quote no data.
    return code.size() == 5 && std::ranges::find(kClasses, code.substr(0, 2)) != kClasses.end();
}

std::string redacted(char letter, std::string_view text, std::string_view code) {
    switch (letter) {
    case 'M':
        if (code.starts_with("22")) return without_quoted(text);
        if (code.starts_with("23")) return std::string{text};  // names only
        return std::string{kRedacted};
    case 'D': return code.starts_with("23") ? without_values(text) : std::string{kRedacted};
    default: return std::string{kRedacted};
    }
}

}  // namespace

bool touches_masked(const policy::sql::Facts* facts, const MaskContext& context) {
    if (context.masks->columns.empty()) return false;
    if (facts == nullptr || !facts->parsed || !facts->functions.empty()) return true;
    return std::ranges::any_of(facts->effects, [&](const policy::sql::Effect& effect) {
        return effect_touches(effect, context);
    });
}

void mask_diagnostic(char tag, const wire::pg::Diagnostic& diagnostic, bool sensitive,
                     const MaskContext& context, Buffer& out) {
    const TextScan scan{context};
    const std::string_view code = diagnostic.field('C');
    std::vector<std::string> texts;
    texts.reserve(diagnostic.fields.size());
    std::vector<std::pair<char, std::string_view>> fields;
    for (const auto& [letter, text] : diagnostic.fields) {
        const bool prose = std::string_view{"MDHWq"}.find(letter) != std::string_view::npos;
        std::string now{text};
        if (prose && sensitive && !holds_no_data(code)) now = redacted(letter, text, code);
        if (prose)
            if (auto found = scan.replace(now, detect::Masker::kUnlimited)) now = *std::move(found);
        fields.emplace_back(letter, texts.emplace_back(std::move(now)));
    }
    wire::pg::encode_diagnostic(out, tag, fields);
}

}  // namespace chaperone::session

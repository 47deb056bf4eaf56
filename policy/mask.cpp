// SPDX-License-Identifier: Apache-2.0
#include "policy/mask.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace chaperone::policy {
namespace {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// `*` stands for any characters. Linear: only the last star is tried again.
bool glob(std::string_view pattern, std::string_view text, bool exact) {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*' && !exact) {
            star = p++;
            resume = t;
        } else if (p < pattern.size() &&
                   (exact ? pattern[p] == text[t] : lower(pattern[p]) == lower(text[t]))) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*' && !exact) ++p;
    return p == pattern.size();
}

// A name that is empty or "*" is not known, and so may be any.
bool part_matches(std::string_view pattern, std::string_view name) {
    if (name.empty() || name == "*") return true;
    const bool quoted = pattern.size() >= 2 && pattern.front() == '"' && pattern.back() == '"';
    return quoted ? glob(pattern.substr(1, pattern.size() - 2), name, true)
                  : glob(pattern, name, false);
}

}  // namespace

bool column_matches(std::string_view pattern, std::string_view schema, std::string_view relation,
                    std::string_view column) {
    std::array<std::string_view, 3> parts{};  // from the column outwards
    std::size_t count = 0;
    bool quoted = false;
    std::size_t end = pattern.size();
    for (std::size_t i = pattern.size(); i-- != 0;) {
        if (pattern[i] == '"') quoted = !quoted;
        if (pattern[i] != '.' || quoted) continue;
        if (count == 2) break;  // more parts than a column has: the rest is the schema
        parts[count++] = pattern.substr(i + 1, end - i - 1);
        end = i;
    }
    parts[count++] = pattern.substr(0, end);
    const std::array<std::string_view, 3> names{column, relation, schema};
    for (std::size_t i = 0; i != count; ++i)
        if (!part_matches(parts[i], names[i])) return false;
    return true;
}

std::optional<detect::With> MaskSet::column(std::string_view schema, std::string_view relation,
                                            std::string_view column) const {
    std::optional<detect::With> best;
    for (const ColumnMask& mask : columns) {
        if (best && detect::stronger(*best, mask.with) == *best) continue;
        if (column_matches(mask.pattern, schema, relation, column)) best = mask.with;
    }
    return best;
}

std::optional<detect::With> MaskSet::unknown_column() const {
    std::optional<detect::With> best;
    for (const ColumnMask& mask : columns)
        best = best ? detect::stronger(*best, mask.with) : mask.with;
    return best;
}

}  // namespace chaperone::policy

// SPDX-License-Identifier: Apache-2.0
#include "policy/cel/reason_cube.h"

#include <algorithm>
#include <charconv>

namespace chaperone::cel {
namespace {

constexpr std::int64_t kFarthest = std::int64_t{1} << 62;  // beyond it bounds are not followed

bool passes(const Cube::Test& test, std::string_view text) {
    if (test.function == "startsWith") return text.starts_with(test.text);
    if (test.function == "endsWith") return text.ends_with(test.text);
    return text.contains(test.text);
}

// The text that a quoted literal is, where it is plain; nothing if it has escapes.
std::optional<std::string_view> plain(std::string_view quoted) {
    if (quoted.size() < 2 || quoted.front() != '"' || quoted.contains('\\')) return std::nullopt;
    return quoted.substr(1, quoted.size() - 2);
}

bool fits(const Cube::Term& term, const std::string& value) {
    if (term.excluded.contains(value)) return false;
    if (const auto text = plain(value)) {
        return std::ranges::all_of(
            term.tests, [&](const Cube::Test& test) { return passes(test, *text) == test.holds; });
    }
    std::int64_t number = 0;
    const auto got = std::from_chars(value.data(), value.data() + value.size(), number);
    if (got.ec != std::errc{} || got.ptr != value.data() + value.size()) return true;
    return (!term.least || number >= *term.least) && (!term.most || number <= *term.most);
}

// Whether two tests of one text cannot both come out as they must.
bool clash(const Cube::Test& a, const Cube::Test& b) {
    if (a.function == b.function && a.text == b.text) return a.holds != b.holds;
    if (a.holds && !b.holds) {  // what holds of all that a lets through
        if (b.function == "contains") return a.text.contains(b.text);
        if (a.function != b.function) return false;
        return a.function == "startsWith" ? a.text.starts_with(b.text)
                                          : a.function == "endsWith" && a.text.ends_with(b.text);
    }
    if (!a.holds || !b.holds || a.function != b.function || a.function == "contains") return false;
    const auto& [longer, shorter] =
        a.text.size() > b.text.size() ? std::tie(a.text, b.text) : std::tie(b.text, a.text);
    return a.function == "startsWith" ? !longer.starts_with(shorter) : !longer.ends_with(shorter);
}

}  // namespace

bool Cube::atom(const std::string& text, bool holds) {
    return atoms_.emplace(text, holds).first->second == holds;
}

bool Cube::one_of(const std::string& path, const std::set<std::string>& values, bool holds) {
    Term& term = terms_[path];
    if (!holds) {
        term.excluded.insert(values.begin(), values.end());
    } else if (!term.allowed) {
        term.allowed = values;
    } else {
        std::erase_if(*term.allowed, [&](const auto& value) { return !values.contains(value); });
    }
    return possible(path, term);
}

bool Cube::compare(const std::string& path, std::string_view order, std::int64_t with) {
    if (with > kFarthest || with < -kFarthest) return true;
    Term& term = terms_[path];
    const std::int64_t edge = order == "_<_" ? with - 1 : order == "_>_" ? with + 1 : with;
    if (order.starts_with("_<"))
        term.most = std::min(term.most.value_or(edge), edge);
    else
        term.least = std::max(term.least.value_or(edge), edge);
    return possible(path, term);
}

bool Cube::test(const std::string& path, Test test) {
    Term& term = terms_[path];
    for (const Test& other : term.tests)
        if (clash(other, test) || clash(test, other)) return false;
    term.tests.push_back(std::move(test));
    return possible(path, term);
}

Cube Cube::around() const {
    Cube made{*world_};
    made.atoms_ = atoms_;
    made.terms_ = terms_;
    return made;
}

bool Cube::possible(const std::string& path, const Term& term) const {
    if (term.least && term.most && *term.least > *term.most) return false;
    const auto domain = world_->domains.find(path);
    const auto any = [&](const std::set<std::string>& values) {
        return std::ranges::any_of(values, [&](const std::string& value) {
            const bool there = domain == world_->domains.end() || domain->second.contains(value);
            return there && fits(term, value);
        });
    };
    if (term.allowed) return any(*term.allowed);
    return domain == world_->domains.end() || any(domain->second);
}

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// From rows of the system catalogs, or a literal, to a snapshot with the lineage of its views.
#include "policy/sql/analyzer.h"
#include "policy/sql/catalog.h"
#include "policy/sql/pg/analysis.h"
#include "policy/sql/pg/guard.h"
#include "policy/sql/type_key.h"

#include <algorithm>
#include <atomic>
#include <charconv>

namespace chaperone::policy::sql {
namespace {

constexpr std::size_t kMaxColumns = 4'000'000;
constexpr std::size_t kMaxViewDepth = 32;  // views upon views
constexpr std::size_t kFields[] = {7, 2, 2, 7, 8, 1, 1, 1, 2};

using Row = std::span<const std::optional<std::string_view>>;

template <class Number>
bool number(const std::optional<std::string_view>& field, Number& out) {
    if (!field) return false;
    const char* end = field->data() + field->size();
    const auto [at, error] = std::from_chars(field->data(), end, out);
    return error == std::errc{} && at == end;
}

std::unexpected<Error> malformed() {
    return fail(Errc::Malformed, "a row of the system catalogs");
}

std::string_view trimmed(std::string_view text) {
    const auto from = text.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) return {};
    return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

// Works out views on demand, those below first.
class Views {
public:
    Views(const Catalog& catalog, std::unordered_map<Oid, Catalog::ViewLineage>& out)
        : catalog_(catalog), out_(out) {
        context_.catalog = &catalog_;
        context_.names.search_path = {"pg_catalog"};
        // Views are the owner's, not the agent's, but a broken one must not cost more.
        context_.limits.text = 1024 * 1024;
    }

    const Catalog::ViewLineage* find(const Relation& view) {
        if (const auto found = out_.find(view.oid); found != out_.end()) return &found->second;
        if (depth_ >= kMaxViewDepth || view.definition.empty()) return nullptr;
        out_[view.oid] = {};  // unknown, for a cycle
        ++depth_;
        Catalog::ViewLineage lineage = work_out(view);
        --depth_;
        return &(out_[view.oid] = std::move(lineage));
    }

private:
    Catalog::ViewLineage work_out(const Relation& view) {
        const Limits& limits = context_.limits;
        if (!pg::refuse(view.definition, limits.text, limits.chain).empty()) return {};
        const pg::Parsed parsed = pg::parse(view.definition);
        if (parsed.tree == nullptr) return {};
        try {
            pg::Analysis analysis{view.definition, context_,
                                  [this](const Relation& below) { return find(below); }};
            return analysis.view_lineage(*parsed.tree, view);
        } catch (const pg::Analysis::TooComplex&) {
            return {};
        }
    }

    const Catalog& catalog_;
    std::unordered_map<Oid, Catalog::ViewLineage>& out_;
    Context context_;
    std::size_t depth_ = 0;
};

}  // namespace

CatalogBuilder::CatalogBuilder() : catalog_(new Catalog) {}

void CatalogBuilder::begin_with(const Catalog& earlier) {
    for (const auto& [oid, relation] : earlier.by_oid_)
        if (oid < Catalog::kFirstUserOid && relation->parents.empty() && relation->children.empty())
            catalog_->by_oid_.emplace(oid, relation);
    for (const auto& [oid, type] : earlier.types_) {
        if (oid >= Catalog::kFirstUserOid) continue;
        catalog_->types_by_name_[type_key(type.schema, type.name)] = oid;
        catalog_->types_.emplace(oid, type);
    }
}

Result<> CatalogBuilder::add_relation(Relation relation) {
    if (fresh_.contains(relation.oid) || (!earlier_ && catalog_->by_oid_.contains(relation.oid)))
        return fail(Errc::Exists, "two relations of one oid");
    const Oid oid = relation.oid;
    fresh_.emplace(oid, std::move(relation));
    return {};
}

Result<> CatalogBuilder::add_column(Row row) {
    const auto text = [&](std::size_t i) { return std::string{row[i].value_or("")}; };
    Oid oid = 0;
    if (!number(row[0], oid) || !row[3] || row[3]->size() != 1) return malformed();
    auto found = fresh_.find(oid);
    if (found == fresh_.end()) {
        Relation relation;
        relation.oid = oid;
        relation.schema = text(1);
        relation.name = text(2);
        relation.kind = row[3]->front();
        if (auto added = add_relation(std::move(relation)); !added) return added;
        found = fresh_.find(oid);
    }
    if (!row[4]) return {};
    Column column;
    column.name = text(5);
    if (!number(row[4], column.number) || !number(row[6], column.type)) return malformed();
    if (++columns_ > kMaxColumns) return fail(Errc::TooLarge, "the database's catalog");
    found->second.columns.push_back(std::move(column));
    return {};
}

Result<> CatalogBuilder::add(std::size_t query, Row row) {
    if (query >= std::size(kFields) || row.size() != kFields[query]) return malformed();
    const auto text = [&](std::size_t i) { return std::string{row[i].value_or("")}; };
    const auto letter = [&](std::size_t i) {
        return row[i] && row[i]->size() == 1 ? row[i]->front() : '\0';
    };
    Oid oid = 0;
    switch (query) {
    case Catalog::kRelationsQuery: return add_column(row);
    case Catalog::kInheritanceQuery: {
        Oid parent = 0;
        if (!number(row[0], oid) || !number(row[1], parent)) return malformed();
        inherits_.emplace_back(oid, parent);
        return {};
    }
    case Catalog::kViewsQuery:
        if (!number(row[0], oid)) return malformed();
        definitions_[oid] = text(1);
        return {};
    case 3: {
        Function function;
        function.schema = text(0);
        function.name = text(1);
        function.volatility = letter(2);
        function.language = text(3);
        function.returns_set = row[4] == "t";
        function.extension = row[6] == "t";
        if (!number(row[5], function.returns)) return malformed();
        catalog_->functions_[function.name].push_back(std::move(function));
        return {};
    }
    case 4: {
        Type type;
        type.schema = text(1);
        type.name = text(2);
        type.kind = letter(3);
        type.category = letter(4);
        if (!number(row[0], type.oid) || !number(row[5], type.element) ||
            !number(row[6], type.base) || !number(row[7], type.relation))
            return malformed();
        return add_type(std::move(type));
    }
    case 5: catalog_->operators_[text(0)] = true; return {};
    case 6: catalog_->schemas_[text(0)] = true; return {};
    case 7: catalog_->casts_.insert(text(0)); return {};
    case Catalog::kAliveQuery:
        if (!number(row[1], oid) || (letter(0) != 'r' && letter(0) != 't')) return malformed();
        (letter(0) == 'r' ? alive_relations_ : alive_types_).insert(oid);
        return {};
    default: return malformed();
    }
}

Result<> CatalogBuilder::add_literal(std::string_view literal) {
    std::size_t line_number = 0;
    while (!literal.empty()) {
        const std::size_t end = std::min(literal.find('\n'), literal.size());
        std::string_view line = trimmed(literal.substr(0, end));
        literal.remove_prefix(std::min(end + 1, literal.size()));
        ++line_number;
        if (line.empty() || line.starts_with('#')) continue;
        const auto bad = [&] {
            return fail(Errc::Invalid, "catalog line " + std::to_string(line_number));
        };
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return bad();
        const std::string_view what = line.substr(0, space);
        line = trimmed(line.substr(space));
        const std::size_t stop = std::min(line.find_first_of("( "), line.size());
        const std::string_view name = line.substr(0, stop);
        const std::size_t dot = name.find('.');
        if (dot == std::string_view::npos) return bad();
        line = trimmed(line.substr(stop));
        if (what == "function") {
            Function function;
            function.schema = name.substr(0, dot);
            function.name = name.substr(dot + 1);
            function.volatility = line.empty() ? 'v' : line.front();
            const std::size_t language = line.find(' ');
            if (language != std::string_view::npos)
                function.language = trimmed(line.substr(language));
            catalog_->schemas_[function.schema] = true;
            catalog_->functions_[function.name].push_back(std::move(function));
            continue;
        }
        const std::size_t close = line.find(')');
        if ((what != "table" && what != "view" && what != "partition") || !line.starts_with('(') ||
            close == std::string_view::npos)
            return bad();
        Relation relation;
        relation.oid = next_oid_++;
        relation.schema = name.substr(0, dot);
        relation.name = name.substr(dot + 1);
        relation.kind = what == "view" ? 'v' : 'r';
        std::string_view columns = line.substr(1, close - 1);
        while (!trimmed(columns).empty()) {
            const std::size_t comma = std::min(columns.find(','), columns.size());
            const std::string_view column = trimmed(columns.substr(0, comma));
            columns.remove_prefix(std::min(comma + 1, columns.size()));
            Column made;
            made.name = column.substr(0, column.find(' '));
            made.number = static_cast<std::int16_t>(relation.columns.size() + 1);
            made.type = 25;  // text
            relation.columns.push_back(std::move(made));
        }
        line = trimmed(line.substr(close + 1));
        const std::string_view word = what == "view" ? "as " : "of ";
        if (what != "table" && !line.starts_with(word)) return bad();
        if (what == "view") relation.definition = line.substr(3);
        if (what == "partition") {  // partition s.child(…) of s.parent
            const std::string_view parent = trimmed(line.substr(3));
            const std::size_t at = parent.find('.');
            const auto found = std::ranges::find_if(fresh_, [&](const auto& one) {
                return at != std::string_view::npos && one.second.schema == parent.substr(0, at) &&
                       one.second.name == parent.substr(at + 1);
            });
            if (found == fresh_.end()) return bad();
            inherits_.emplace_back(relation.oid, found->first);
        }
        if (auto added = add_relation(std::move(relation)); !added) return added;
    }
    return {};
}

std::shared_ptr<const Catalog> CatalogBuilder::build() {
    static std::atomic<std::uint64_t> generation{0};
    settle();
    define_views();
    if (earlier_ && !changed_) {
        auto same = std::move(earlier_);
        *this = CatalogBuilder{};
        return same;
    }
    if (!earlier_ || disturbed_) catalog_->views_.clear();
    for (auto& [oid, relation] : fresh_) {
        catalog_->views_.erase(oid);
        catalog_->by_oid_[oid] = std::make_shared<const Relation>(std::move(relation));
    }
    for (const auto& [oid, relation] : catalog_->by_oid_) {
        catalog_->by_bare_name_[relation->name].push_back(relation.get());
        catalog_->schemas_[relation->schema] = true;
    }
    catalog_->generation_ = ++generation;
    Views views{*catalog_, catalog_->views_};
    for (const auto& [oid, relation] : catalog_->by_oid_)
        if (relation->is_view() && !relation->definition.empty()) views.find(*relation);
    std::shared_ptr<const Catalog> built = std::move(catalog_);
    *this = CatalogBuilder{};
    return built;
}

}  // namespace chaperone::policy::sql

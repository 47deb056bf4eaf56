// SPDX-License-Identifier: Apache-2.0
// What a new snapshot has of an earlier one. Relations are shared between snapshots, so what
// differs is copied first. Views depend on what they read by oid, and PostgreSQL drops them with
// it: what is new, and what is gone, changes neither the text nor the lineage of any other view,
// and whatever else differs disturbs them all.
#include "policy/sql/catalog.h"
#include "policy/sql/type_key.h"

#include <algorithm>
#include <map>

namespace chaperone::policy::sql {
namespace {

bool same(const Relation& left, const Relation& right) {
    return left.schema == right.schema && left.name == right.name && left.kind == right.kind &&
           left.columns == right.columns;
}

bool is_users_view(const Relation& relation) {
    return relation.is_view() && relation.schema != "pg_catalog" &&
           relation.schema != "information_schema";
}

}  // namespace

void CatalogBuilder::continue_from(std::shared_ptr<const Catalog> earlier, bool functions) {
    earlier_ = std::move(earlier);
    catalog_->by_oid_ = earlier_->by_oid_;
    catalog_->types_ = earlier_->types_;
    catalog_->types_by_name_ = earlier_->types_by_name_;
    catalog_->operators_ = earlier_->operators_;
    catalog_->schemas_ = earlier_->schemas_;
    catalog_->casts_ = earlier_->casts_;
    catalog_->views_ = earlier_->views_;
    // A function may be another in any way, and views may call it.
    if (functions)
        changed_ = disturbed_ = true;
    else
        catalog_->functions_ = earlier_->functions_;
    for (const auto& [oid, relation] : catalog_->by_oid_) columns_ += relation->columns.size();
}

Result<> CatalogBuilder::add_type(Type type) {
    const auto found = catalog_->types_.find(type.oid);
    if (found != catalog_->types_.end()) {
        if (found->second == type) return {};
        catalog_->types_by_name_.erase(type_key(found->second.schema, found->second.name));
        disturbed_ = true;
    }
    changed_ = true;
    catalog_->types_by_name_[type_key(type.schema, type.name)] = type.oid;
    catalog_->types_.insert_or_assign(type.oid, std::move(type));
    return {};
}

// The relation, to be changed: one that other snapshots share is copied.
Relation& CatalogBuilder::changeable(Oid oid) {
    const auto found = fresh_.find(oid);
    if (found != fresh_.end()) return found->second;
    changed_ = true;
    return fresh_.emplace(oid, *catalog_->by_oid_.at(oid)).first->second;
}

void CatalogBuilder::settle() {
    if (std::exchange(settled_, true)) return;
    for (auto one = fresh_.begin(); one != fresh_.end();) {
        const auto known = catalog_->by_oid_.find(one->first);
        if (known != catalog_->by_oid_.end() && same(*known->second, one->second)) {
            one = fresh_.erase(one);
            continue;
        }
        changed_ = true;
        if (known != catalog_->by_oid_.end()) {
            disturbed_ = true;
            one->second.definition = known->second->definition;
            one->second.parents = known->second->parents;
            one->second.children = known->second->children;
        }
        ++one;
    }
    if (earlier_) {
        const auto dead = [&](Oid oid, const std::set<Oid>& alive) {
            return oid >= Catalog::kFirstUserOid && !alive.contains(oid);
        };
        const auto gone = std::erase_if(catalog_->by_oid_, [&](const auto& one) {
            if (!dead(one.first, alive_relations_)) return false;
            catalog_->views_.erase(one.first);
            return true;
        });
        const auto gone_types = std::erase_if(catalog_->types_, [&](const auto& one) {
            if (!dead(one.first, alive_types_)) return false;
            const auto name =
                catalog_->types_by_name_.find(type_key(one.second.schema, one.second.name));
            if (name != catalog_->types_by_name_.end() && name->second == one.first)
                catalog_->types_by_name_.erase(name);
            return true;
        });
        changed_ = changed_ || gone != 0 || gone_types != 0;
    }
    settle_inheritance();
}

void CatalogBuilder::settle_inheritance() {
    std::map<Oid, std::vector<Oid>> parents, children;
    for (const auto& [child, parent] : inherits_) {
        parents[child].push_back(parent);
        children[parent].push_back(child);
    }
    const auto of = [](const std::map<Oid, std::vector<Oid>>& all, Oid oid) {
        const auto found = all.find(oid);
        return found == all.end() ? std::vector<Oid>{} : found->second;
    };
    for (const auto& [oid, relation] : catalog_->by_oid_) {
        if (fresh_.contains(oid)) continue;
        if (relation->parents.empty() && relation->children.empty() && !parents.contains(oid) &&
            !children.contains(oid))
            continue;
        if (of(parents, oid) == relation->parents && of(children, oid) == relation->children)
            continue;
        changeable(oid);
        disturbed_ = true;
    }
    for (auto& [oid, relation] : fresh_) {
        relation.parents = of(parents, oid);
        relation.children = of(children, oid);
    }
}

bool CatalogBuilder::disturbed() {
    settle();
    return !earlier_ || disturbed_;
}

void CatalogBuilder::disturb() {
    disturbed_ = true;
}

std::vector<Oid> CatalogBuilder::views() const {
    std::set<Oid> result;
    for (const auto& [oid, relation] : fresh_)
        if (is_users_view(relation)) result.insert(oid);
    for (const auto& [oid, relation] : catalog_->by_oid_)
        if (is_users_view(*relation)) result.insert(oid);
    return {result.begin(), result.end()};
}

// A view whose text was asked for and did not come has an unknown lineage.
void CatalogBuilder::define_views() {
    const bool all_asked = earlier_ && disturbed_;
    for (const Oid oid : views()) {
        const auto fresh = fresh_.find(oid);
        const auto known = catalog_->by_oid_.find(oid);
        const Relation& now = fresh != fresh_.end() ? fresh->second : *known->second;
        const auto given = definitions_.find(oid);
        if (given == definitions_.end() && !all_asked) continue;
        const std::string wanted = given == definitions_.end() ? std::string{} : given->second;
        if (wanted == now.definition) continue;
        if (known != catalog_->by_oid_.end()) disturbed_ = true;
        changeable(oid).definition = wanted;
    }
}

}  // namespace chaperone::policy::sql

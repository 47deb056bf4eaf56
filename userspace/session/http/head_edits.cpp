// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/head_edits.h"

#include <algorithm>
#include <vector>

namespace chaperone::session {

void HeadEdits::remove(std::string_view name) {
    std::erase_if(added_, [&](const auto& field) { return http::same(field.first, name); });
    removed_.emplace_back(name);
}

void HeadEdits::set(std::string_view name, std::string_view value) {
    remove(name);
    add(name, value);
}

void HeadEdits::add(std::string_view name, std::string_view value) {
    added_.emplace_back(name, value);
}

void HeadEdits::clear() {
    removed_.clear();
    added_.clear();
    target_.reset();
    reframe_ = false;
}

http::Fields HeadEdits::apply(http::Fields fields) const {
    std::erase_if(fields, [&](const http::Field& field) {
        return std::ranges::any_of(
            removed_, [&](const std::string& name) { return http::same(name, field.name); });
    });
    for (const auto& [name, value] : added_) fields.push_back({name, value});
    return fields;
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
#include "policy/decision.h"

namespace chaperone::policy {

std::string_view to_text(Effect effect) noexcept {
    switch (effect) {
    case Effect::Deny: return "deny";
    case Effect::Approve: return "approve";
    case Effect::Allow: return "allow";
    }
    return "deny";
}

namespace {

void add_names(std::vector<std::string>& names, const MaskSet& masks, const std::string& before) {
    for (const ColumnMask& mask : masks.columns) names.push_back(before + mask.pattern);
    for (const DetectMask& mask : masks.detectors)
        for (const std::string& kind : mask.kinds) names.push_back(before + kind);
    for (const JsonMask& mask : masks.json) names.push_back(before + mask.path.text());
}

}  // namespace

std::vector<std::string> mask_names(const Decision& decision) {
    std::vector<std::string> names;
    add_names(names, decision.masks, "");
    add_names(names, decision.request_masks, "request:");
    return names;
}

}  // namespace chaperone::policy

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

}  // namespace chaperone::policy

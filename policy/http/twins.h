// SPDX-License-Identifier: Apache-2.0
// Members of JSON that another reader takes for one that we know: Go's encoding/json matches names
// without regard to case, by simple folding, and the last one of several counts. Pure.
#pragma once

#include "policy/cel/value.h"

#include <span>
#include <string_view>

namespace chaperone::policy::http {

// Whether `object`, if it is one, has a member whose name differs from one of `names` (in lower
// case) in its case only.
bool has_twin(const cel::Value& object, std::span<const std::string_view> names);

}  // namespace chaperone::policy::http

// SPDX-License-Identifier: Apache-2.0
// The JSON Schema (draft 2020-12) of every kind of document, for editors; printed from the same
// shapes that the decoder reads. policy/schema.json is its output, held by a test.
#pragma once

#include <string>

namespace chaperone::policy::bundle {

std::string json_schema();

}  // namespace chaperone::policy::bundle

// SPDX-License-Identifier: Apache-2.0
// Explanations of what was asked in a session: recorded, or as it happens.
#pragma once

#include "cli/verb.h"
#include "policy/bundle/bundle.h"
#include "policy/explain.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::cli {

struct Explained {
    std::string json{};  // as `policy explain -o json`, with session and request
    std::string text{};
};

// What cannot be asked (no such workload, no such resource) is said in its place.
Explained explain_one(const std::shared_ptr<const policy::bundle::Bundle>& bundle,
                      const policy::Question& question, std::string_view session,
                      std::uint64_t request);

// {"requests": […]}
std::string json_of(const std::vector<Explained>& all);

// Until the daemon ends the stream or nobody reads the output; an empty session: all.
int explain_live(Context& context, const std::shared_ptr<const policy::bundle::Bundle>& bundle,
                 const std::string& session);

}  // namespace chaperone::cli

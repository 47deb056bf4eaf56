// SPDX-License-Identifier: Apache-2.0
// Entries as events of the Open Cybersecurity Schema Framework 1.8.0 (schema.ocsf.io/1.8.0). Pure.
#pragma once

#include "userspace/record/summary.h"

namespace chaperone::record {

// One JSON object. `session`: the start of the entry's session, if it is known.
std::string to_ocsf(const Stored& stored, const SessionStart* session, const Summary& summary,
                    const std::string& host, const std::string& version);

}  // namespace chaperone::record

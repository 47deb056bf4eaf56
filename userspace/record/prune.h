// SPDX-License-Identifier: Apache-2.0
// Removes whole old segments; the rest stays verifiable (FORMAT.md, "Pruning").
#pragma once

#include "userspace/base/clock.h"
#include "userspace/record/writer.h"

#include <cstdint>
#include <filesystem>

namespace chaperone::record {

struct Pruned {
    std::uint64_t segments = 0;
    std::uint64_t bytes = 0;
    std::uint64_t first_kept = 0;  // index
};

// Removes the segments all of whose entries are older than `before`, but never the writer's
// current one. Needs the state directory's key. The caller records it (AdminEntry JOURNAL_PRUNED).
Result<Pruned> prune(const std::filesystem::path& state, Time before, Time now);

}  // namespace chaperone::record

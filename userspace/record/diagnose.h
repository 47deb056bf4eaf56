// SPDX-License-Identifier: Apache-2.0
// Names the entry that is not as signed, once a root has differed; and reads the note of pruning.
#pragma once

#include "userspace/record/verifier.h"

#include <span>

namespace chaperone::record {

struct Difference {
    const std::filesystem::path& journal;
    std::uint32_t segment = 0;
    std::uint64_t first = 0;         // index of the segment's first entry
    std::uint64_t from = 0;          // all before it is as signed
    std::span<const Digest> leaves;  // of the segment's entries so far
    Bytes content;                   // of the segment
    const Checkpoint& checkpoint;    // the one whose root differs
};

// With the stored leaves, if these give the signed root: exactly. Else: the range.
Finding diagnose(const Difference& difference);

struct PrunedNote {
    std::uint64_t size = 0;  // entries removed
    Digest root{};
    std::uint32_t segment = 0;  // the first kept
};
std::string to_text(const PrunedNote& pruned, const std::string& origin, Time time);
Result<PrunedNote> open_pruned(std::string_view note, const VerifierKey& key);

}  // namespace chaperone::record

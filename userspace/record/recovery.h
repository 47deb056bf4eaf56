// SPDX-License-Identifier: Apache-2.0
// What the writer finds when it opens: where the last segment really ends, and what is to be said
// about it. Cuts off a torn tail, after copying it aside; refuses where signed entries are wrong.
#pragma once

#include "userspace/record/checkpoint.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/segment.h"

#include <filesystem>
#include <optional>

namespace chaperone::record {

struct Recovered {
    std::uint32_t segment = 0;
    std::uint64_t first = 0;       // index of its first entry
    std::uint64_t end = 0;         // offset at which the next frame begins
    CompactRange tree{};           // over all whole entries
    std::vector<Digest> leaves{};  // of this segment, those that its .leaf file has not
    std::uint64_t leaf_end = 0;    // good bytes of the .leaf file
    std::uint64_t checkpoints_end = 0;
    std::optional<Checkpoint> last{};
    std::optional<Recovery> entry{};  // to be appended first
};

// Corrupt, with the index, if a signed entry is missing or altered. Without any segment it makes
// the first one, unless checkpoints say that there were some.
Result<Recovered> recover_journal(const std::filesystem::path& journal, const VerifierKey& key);

// A new segment's file, whole and on the disk when it appears under its name.
Result<std::uint64_t> create_segment(const std::filesystem::path& journal,
                                     const SegmentHeader& header);

// Copies what lies behind `end` to a file beside it and cuts it off; says so in `entry`. Where
// the copy cannot be made (`must_keep` false), the digest alone stays.
Result<> cut_tail(const std::filesystem::path& journal, std::uint32_t segment, std::uint64_t end,
                  bool must_keep, Recovery& entry);

}  // namespace chaperone::record

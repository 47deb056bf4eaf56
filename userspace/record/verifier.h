// SPDX-License-Identifier: Apache-2.0
// Checks a journal offline, with the folder and the public key alone; FORMAT.md says what it can
// find and what it cannot. Reads everything once, in constant memory per segment. Changes nothing.
#pragma once

#include "userspace/record/checkpoint.h"
#include "userspace/record/segment.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::record {

enum class Problem {
    AlteredEntry,
    MissingEntry,
    ReorderedEntry,
    InsertedEntry,
    UnreadableEntry,  // framing or check is wrong: a flipped bit, or torn inside signed entries
    MissingSegment,
    BadHeader,
    BadLeaf,        // the entry is as signed, its .leaf file is not
    BadCheckpoint,  // signature, number or size is wrong, or a note is unreadable
    MissingCheckpoint,
    AfterClose,  // entries after the journal was closed in order
    TornTail,    // bytes at the end that are no entry, with no writer at work
    BadPruning,
    Behind,  // the journal does not contain the checkpoint that was kept elsewhere
};
std::string_view describe(Problem problem) noexcept;

struct Finding {
    Problem problem{};
    std::optional<std::uint64_t> index{};  // of the first entry that is not as signed
    std::optional<std::uint64_t> until{};  // if the entry cannot be told: it is in [index, until)
    Location where{};
    std::string detail{};
    std::string message() const;  // one line with all of it
};

struct Verification {
    std::uint64_t pruned = 0;     // entries removed in order
    std::uint64_t entries = 0;    // index after the last whole entry
    std::uint64_t signed_to = 0;  // entries below it are covered by the last checkpoint
    std::uint64_t checkpoints = 0;
    std::optional<Checkpoint> last{};
    bool live = false;                // a writer has it open
    std::uint64_t in_flight = 0;      // bytes at the end that a living writer is still at
    std::vector<Finding> findings{};  // the first is the earliest; at most one per kind of damage

    bool ok() const noexcept { return findings.empty(); }
    std::uint64_t unsigned_entries() const noexcept {
        return entries > signed_to ? entries - signed_to : 0;
    }
};

struct VerifyOptions {
    // A signed checkpoint note kept elsewhere; the journal must contain it.
    std::optional<std::string> at_least{};
    // Bytes done and in all; called a few times a second at most.
    std::function<void(std::uint64_t done, std::uint64_t all)> progress{};
};

// An error only where it cannot be done at all (no folder, no permission).
Result<Verification> verify(const std::filesystem::path& journal, const VerifierKey& key,
                            const VerifyOptions& options = {});

}  // namespace chaperone::record

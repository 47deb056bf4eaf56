// SPDX-License-Identifier: Apache-2.0
// Signed tree heads (c2sp.org/tlog-checkpoint); FORMAT.md has the one extension line.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/sha256.h"
#include "userspace/record/note.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::record {

enum class WriterState { Open, Running, Closed };

struct Checkpoint {
    std::string origin{};
    std::uint64_t size = 0;  // entries covered
    Digest root{};
    std::uint64_t number = 0;
    Time time{};
    WriterState state = WriterState::Running;
};

std::string to_text(const Checkpoint& checkpoint);
Result<Checkpoint> parse_checkpoint(std::string_view text);

// Cuts the file "checkpoints" into its notes. Malformed names the first that is none; a
// last one without its final empty line is `torn` and not among the notes.
struct Notes {
    std::vector<std::string_view> notes{};  // views into the file's text
    std::string_view torn{};
};
Result<Notes> split_notes(std::string_view file);

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// A session's entries as a person reads them, and as an asciicast for terminal players. Pure.
#pragma once

#include "userspace/record/reader.h"

#include <span>
#include <string>

namespace chaperone::record {

// The whole transcript. Control characters of the session are shown, not sent to the terminal.
std::string transcript(std::span<const Stored> entries);

// asciicast v2 (docs.asciinema.org/manual/asciicast/v2): the session's streams as they were, or,
// for a protocol without a terminal, its transcript line by line in its own time.
std::string asciicast(std::span<const Stored> entries);

}  // namespace chaperone::record

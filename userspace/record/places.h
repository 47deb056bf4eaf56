// SPDX-License-Identifier: Apache-2.0
// Where the entries of a session are, as the index keeps them: many in one value.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <span>
#include <vector>

namespace chaperone::record {

struct Place {
    std::uint64_t index{};
    std::uint64_t segment{};
    std::uint64_t offset{};
    bool operator==(const Place&) const = default;
};

// In ascending order. Three varints each: how much the index, the segment and the offset are
// beyond the last one's, the offset from 0 in another segment.
Buffer pack(std::span<const Place> places);
// Behind what is in `places` already. Corrupt: it was not packed so.
Result<> unpack(Bytes packed, std::vector<Place>& places);

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// Time zones: fixed offsets ("+02:00", "-05:30", "02:00") and the system's IANA zones (TZif,
// RFC 8536, below /usr/share/zoneinfo). Files are read once per process.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace chaperone::cel {

// Seconds east of UTC at this instant; empty if there is no such zone.
std::optional<std::int64_t> zone_offset(std::string_view name, std::int64_t unix_seconds);

}  // namespace chaperone::cel

// SPDX-License-Identifier: Apache-2.0
// Time is a parameter everywhere below net/ and daemon/; these are its types and its text form.
#pragma once

#include "userspace/base/error.h"

#include <chrono>
#include <string>
#include <string_view>

namespace chaperone {

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;  // wall clock, UTC
using Duration = std::chrono::nanoseconds;

inline Time now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

// RFC 3339 in UTC, e.g. "2026-11-21T09:39:16.25Z"; fraction without trailing zeros.
std::string to_rfc3339(Time time);
Result<Time> parse_rfc3339(std::string_view text);

// "10m", "1h30m", "90s", "7d", "250ms"; units d h m s ms us ns, largest first.
Result<Duration> parse_duration(std::string_view text);
std::string to_text(Duration duration);

}  // namespace chaperone

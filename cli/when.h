// SPDX-License-Identifier: Apache-2.0
// Times as people give them on a command line.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <string_view>

namespace google::protobuf {
class Timestamp;
}

namespace chaperone::cli {

// "2026-01-31T12:00:00Z", "2026-01-31" (its midnight, UTC), or a duration before now: "2h", "7d".
Result<Time> read_when(std::string_view text, Time now);

void set_stamp(google::protobuf::Timestamp& to, Time time);

}  // namespace chaperone::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/when.h"

#include <google/protobuf/timestamp.pb.h>

#include <string>

namespace chaperone::cli {

Result<Time> read_when(std::string_view text, Time now) {
    if (const auto time = parse_rfc3339(text)) return *time;
    if (text.size() == 10)
        if (const auto day = parse_rfc3339(std::string{text} + "T00:00:00Z")) return *day;
    if (const auto ago = parse_duration(text)) return now - *ago;
    return fail(Errc::Invalid, "'" + std::string{text} +
                                   "' is no time; write 2026-01-31, 2026-01-31T12:00:00Z or 2h");
}

void set_stamp(google::protobuf::Timestamp& to, Time time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    to.set_seconds(seconds.time_since_epoch().count());
    to.set_nanos(static_cast<std::int32_t>((time - seconds).count()));
}

}  // namespace chaperone::cli

// SPDX-License-Identifier: Apache-2.0
// Gives base/log.h its sink: text or JSON lines on standard error, or systemd's journal with each
// field under a name of its own. LOGGING.md lists the keys.
#pragma once

#include "userspace/base/log.h"
#include "userspace/daemon/config.h"

#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon {

// For the whole process; may be called again when the configuration changes.
void start_logging(const LogConfig& config);

// One line without its newline; control characters are escaped, so that no value forges a line.
std::string text_line(Time time, log::Level level, std::string_view message, log::Fields fields);
std::string json_line(Time time, log::Level level, std::string_view message, log::Fields fields);
// "NAME=value" entries of sd_journal_sendv(3): a key bundle_digest is CHAPERONE_BUNDLE_DIGEST.
std::vector<std::string> journal_entry(log::Level level, std::string_view message,
                                       log::Fields fields);

}  // namespace chaperone::daemon

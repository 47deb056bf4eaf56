// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how we are (sd_notify(3)). Without one, nothing happens.
#pragma once

#include "userspace/base/clock.h"

#include <optional>
#include <string_view>

namespace chaperone::daemon::notify {

void ready(std::string_view status);
void status(std::string_view status);
void reloading();
void stopping();
void watchdog();
// How often watchdog() is due: half of what the unit allows; nullopt: it has none.
std::optional<Duration> watchdog_interval();

}  // namespace chaperone::daemon::notify

// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how we are (sd_notify(3)). Without one, nothing happens.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/unique_fd.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon::notify {

void ready(std::string_view status);
void status(std::string_view status);
void reloading();
void stopping();
void watchdog();
// How often watchdog() is due: half of what the unit allows; nullopt: it has none.
std::optional<Duration> watchdog_interval();

// Whether there is one; it may keep nothing all the same.
bool is_managed();
// The manager keeps these sockets over our end (FDSTORE in sd_notify(3)) instead of those that it
// had by that name.
void keep(const std::string& name, std::span<const int> sockets);
void let_go(const std::string& name);

struct Kept {
    UniqueFd socket{};
    std::string name{};
};
// What it has kept of a former process. The first call takes them out of the environment.
std::vector<Kept> kept();

}  // namespace chaperone::daemon::notify

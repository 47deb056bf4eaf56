// SPDX-License-Identifier: Apache-2.0
// A clock that nobody sets, in the shape of the wall clock: for deadlines, ages and windows, which
// a wall clock that is set must neither end nor prolong. Any thread.
#pragma once

#include "userspace/base/clock.h"

#include <chrono>

namespace chaperone {

// As now() was when it was asked for first, and onward by CLOCK_BOOTTIME. Of this process only.
Time steady_now();
// The same moment by the wall clock as it is now, for people; Time::max() stays.
Time to_wall(Time steady);
// The steady clock to a tick of the kernel, a few milliseconds late at most, and at a fraction of
// its price: for deadlines and ages in seconds.
std::chrono::steady_clock::time_point about_now();

}  // namespace chaperone

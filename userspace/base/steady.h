// SPDX-License-Identifier: Apache-2.0
// A clock that nobody sets, in the shape of the wall clock: for deadlines, ages and windows, which
// a wall clock that is set must neither end nor prolong. Any thread.
#pragma once

#include "userspace/base/clock.h"

namespace chaperone {

// As now() was when it was asked for first, and onward by CLOCK_BOOTTIME. Of this process only.
Time steady_now();
// The same moment by the wall clock as it is now, for people; Time::max() stays.
Time to_wall(Time steady);

}  // namespace chaperone

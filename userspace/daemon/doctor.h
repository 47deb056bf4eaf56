// SPDX-License-Identifier: Apache-2.0
// Looks at everything that the instance stands on, and says what to do where it gives way.
#pragma once

#include "userspace/control/control.pb.h"

namespace chaperone::daemon {

class Instance;

// Takes seconds where resources cannot be reached.
v1::DoctorReport examine(Instance& instance);

}  // namespace chaperone::daemon

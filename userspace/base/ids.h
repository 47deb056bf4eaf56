// SPDX-License-Identifier: Apache-2.0
// Names of things that we make: 26 characters of Crockford base32, 48 bits of milliseconds and 80
// of chance (the ULID form), so that they sort by time and cannot be guessed.
#pragma once

#include "userspace/base/clock.h"

#include <string>

namespace chaperone {

std::string new_id(Time time);

}  // namespace chaperone

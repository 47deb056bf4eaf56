// SPDX-License-Identifier: Apache-2.0
// Names of things that we make: 26 characters of Crockford base32, 48 bits of milliseconds and 80
// of chance (the ULID form), so that they sort by time and cannot be guessed.
#pragma once

#include "userspace/base/clock.h"

#include <cstddef>
#include <span>
#include <string>

namespace chaperone {

std::string new_id(Time time);

// The same form, of 80 bits that the caller gives instead of chance.
std::string make_id(Time time, std::span<const std::byte, 10> bits);

}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
// What the kernel lets this process do beyond its user id (capabilities(7)). Any thread.
#pragma once

#include <cstdint>

namespace chaperone {

// Those in force for the calling thread, by the bits of linux/capability.h; none where the kernel
// does not tell.
std::uint64_t effective_capabilities() noexcept;

}  // namespace chaperone

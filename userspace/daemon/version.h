// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace chaperone::daemon {

inline constexpr const char* kVersion = CHAPERONE_VERSION;

}  // namespace chaperone::daemon

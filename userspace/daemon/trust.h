// SPDX-License-Identifier: Apache-2.0
// The file of certificates that agents are told to trust: the system's, and ours.
#pragma once

#include "userspace/authority/authority.h"
#include "userspace/base/error.h"
#include "userspace/daemon/paths.h"

namespace chaperone::daemon {

Result<> write_trust(const Paths& paths, const authority::Authority& authority);

}  // namespace chaperone::daemon

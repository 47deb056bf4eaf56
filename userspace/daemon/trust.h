// SPDX-License-Identifier: Apache-2.0
// What agents are told to trust: the system's authorities and ours, in the forms that runtimes
// read. Files are replaced one by one inside folders that stay, so that running agents see them.
#pragma once

#include "userspace/authority/authority.h"
#include "userspace/base/error.h"
#include "userspace/daemon/paths.h"

namespace chaperone::daemon {

// Writes paths.trust (PEM), paths.trust_ours (our own alone), paths.trust_java (a Java key store)
// and paths.trust_folder (what covers the system's folder of certificates).
Result<> write_trust(const Paths& paths, const authority::Authority& authority);

}  // namespace chaperone::daemon

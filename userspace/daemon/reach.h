// SPDX-License-Identifier: Apache-2.0
// Whether a resource can be reached as the bundle says: its secrets are there, its hosts resolve,
// its ports answer. Blocking, bounded in time.
#pragma once

#include "policy/bundle/documents.h"
#include "userspace/control/control.pb.h"
#include "userspace/credential/secret_store.h"

#include <vector>

namespace chaperone::daemon {

std::vector<v1::DoctorCheck> check_resource(const policy::bundle::Resource& resource,
                                            const credential::SecretStore& secrets,
                                            const std::function<void(int socket)>& before);

}  // namespace chaperone::daemon

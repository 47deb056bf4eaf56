// SPDX-License-Identifier: Apache-2.0
// A connection that is decided when it opens and then relayed as it is: resources of protocol tcp,
// and those that are not inspected. Either side may speak first, and may end its half alone.
#pragma once

#include "policy/request.h"
#include "userspace/session/machine.h"

#include <memory>

namespace chaperone::session {

std::unique_ptr<Machine> make_tcp_session(std::shared_ptr<const policy::SessionFacts> facts);

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// What agents read at http://chaperone.internal/: who they are, what they may do, why they were
// refused, and what became of what they wait for. An agent sees nothing of another workload.
//
//   GET /v1/whoami           workload, identity, session, bundle
//   GET /v1/resources        what there is, whether it may be opened, and the rules that hold there
//   GET /v1/denials          this workload's refused requests, newest first
//   GET /v1/denials/ID       one: rule, reason, hint
//   GET /v1/approvals        this workload's pending requests
//   GET /v1/approvals/ID     one, in whatever state; ?wait=SECONDS, or Prefer: wait=SECONDS, until
//                            it is no longer pending
#pragma once

#include "userspace/session/http/desk.h"

#include <memory>

namespace chaperone::daemon {

class Instance;

// The instance outlives it. Safe to call from any thread.
std::shared_ptr<session::Desk> make_self_service(Instance& instance);

}  // namespace chaperone::daemon

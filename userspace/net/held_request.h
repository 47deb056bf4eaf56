// SPDX-License-Identifier: Apache-2.0
// What a person is asked when policy holds a request, and what makes another one equal to it, which
// is what a grant is good for. Pure.
#pragma once

#include "policy/decision.h"
#include "policy/request.h"
#include "userspace/approval/approval_book.h"
#include "userspace/base/sha256.h"
#include "userspace/session/machine.h"

#include <cstdint>

namespace chaperone::net {

// Of all that makes two requests the same, where they go included: a grant is good for this and for
// nothing else. The process and the address of the agent's end are not part of it. `number`: of the
// request in its session; what was not read to its end is equal to no other one.
Digest digest_of(const policy::SessionFacts& facts, const policy::Request& request,
                 std::uint64_t number);

// `decision` needs at least one approval. Where several rules do, each keeps its own demand, and
// the shortest time to answer and the narrowest scope hold.
approval::Held held_of(const policy::SessionFacts& facts, const policy::Request& request,
                       const policy::Decision& decision, const Digest& digest);

session::Verdict verdict_of(approval::State state);

}  // namespace chaperone::net

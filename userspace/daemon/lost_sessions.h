// SPDX-License-Identifier: Apache-2.0
// Sessions that ended with a daemon which could not write so: killed, or the host lost its power.
// Their ends are written by the one that comes after it, so that nothing in the journal stays open.
#pragma once

#include "userspace/record/index.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/writer.h"

#include <cstddef>
#include <set>
#include <string>

namespace chaperone::daemon {

// With what the journal knows of it. `time`: of the entry; when it ended is not known.
record::Entry lost_entry(const record::SessionSummary& session, Time time);

// Of all that a former daemon has left, but those that live on (connections that the kernel lets go
// straight). How many there were. The index has caught up with the start of this daemon.
Result<std::size_t> close_lost_sessions(const record::Index& index, record::Writer& journal,
                                        const std::set<std::string>& living);

}  // namespace chaperone::daemon

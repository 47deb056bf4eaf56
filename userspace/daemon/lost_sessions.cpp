// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_sessions.h"

namespace chaperone::daemon {
namespace {

constexpr const char* kReason = "the daemon ended before the session's end was written";
constexpr std::uint32_t kAtATime = 1000;

}  // namespace

record::Entry lost_entry(const record::SessionSummary& session, Time time) {
    record::Entry entry;
    entry.set_time(time.time_since_epoch().count());
    auto& end = *entry.mutable_session_end();
    end.set_session(session.id);
    end.set_reason(kReason);
    end.set_peer(session.peer);
    end.set_requests(session.requests);
    end.set_rows(session.rows);
    end.set_bytes_up(session.bytes_up);
    end.set_bytes_down(session.bytes_down);
    // From its beginning to where the daemon that follows began: at most so long.
    if (session.end_time) end.set_duration((*session.end_time - session.start_time).count());
    return entry;
}

Result<std::size_t> close_lost_sessions(const record::Index& index, record::Writer& journal,
                                        const std::set<std::string>& living) {
    std::size_t closed = 0;
    record::Filter filter{.end_reason = record::kDaemonEnded, .limit = kAtATime};
    for (;; filter.offset += kAtATime) {
        const auto found = index.sessions(filter);
        if (!found) return fail(found.error());
        for (const record::SessionSummary& session : *found) {
            if (living.contains(session.id)) continue;
            if (auto written = journal.append(lost_entry(session, now())); !written)
                return fail(written.error());
            ++closed;
        }
        if (found->size() < kAtATime) return closed;
    }
}

}  // namespace chaperone::daemon

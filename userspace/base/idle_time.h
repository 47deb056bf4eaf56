// SPDX-License-Identifier: Apache-2.0
// Work that waits for a processor that has nothing else to do (SCHED_IDLE of sched(7)), until
// somebody waits for it. The kernel lets a thread that wakes up take such a processor at once,
// which it does not where the work is merely nice.
#pragma once

#include <sys/types.h>

#include <atomic>

namespace chaperone {

class IdleTime {
public:
    // The calling thread works in idle time while this lives, or until somebody is in a hurry. One
    // thread at a time.
    class Use {
    public:
        explicit Use(IdleTime& of) noexcept;
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use();

    private:
        IdleTime& of_;
    };

    // False: the calling thread may not leave idle time again (that takes an RLIMIT_NICE that
    // allows how nice it is now, or CAP_SYS_NICE), or a filter of system calls is in the way. On a
    // busy machine whoever waits for the work would wait for ever, so that Use does nothing then.
    // Not to be asked within a Use.
    static bool may() noexcept;

    // Who works in idle time now works as it did before from here on. It may have begun at the same
    // moment: who waits calls this again every now and then. Any thread.
    void hurry() const noexcept;

private:
    std::atomic<pid_t> thread_{0};  // that uses it; 0: none
};

}  // namespace chaperone

// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/placement.h"

#include <algorithm>

namespace chaperone::net {

namespace {

// A thread that is busier takes no session that another could take.
constexpr unsigned kBusy = 60;
// What new sessions will do is not known yet: so many of them, over all processors, keep together.
constexpr unsigned kTogether = 16;
// Sessions that are idle now may all become busy: threads do not differ by more than this.
constexpr std::size_t kAhead = 64;
// So many more than another has are no reason to tell that one.
constexpr std::size_t kLevel = 4;

}  // namespace

std::size_t place_session(std::span<const ThreadLoad> threads, std::size_t here,
                          unsigned processors) {
    const unsigned together = std::max(1U, kTogether / std::max(1U, processors));
    const auto least = std::ranges::min_element(threads, {}, &ThreadLoad::sessions);
    const auto roomy = std::ranges::find_if(threads, [&](const ThreadLoad& thread) {
        return thread.busy < kBusy && thread.recent < together &&
               thread.sessions < least->sessions + kAhead;
    });
    if (roomy != threads.end()) return static_cast<std::size_t>(roomy - threads.begin());
    if (threads[here].sessions <= least->sessions + kLevel) return here;
    return static_cast<std::size_t>(least - threads.begin());
}

}  // namespace chaperone::net

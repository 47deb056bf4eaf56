// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/placement.h"

#include <algorithm>

namespace chaperone::net {

namespace {

// Percent: a thread that is busier has no time left, and one that is less busy has time for more.
constexpr unsigned kFull = 90;
constexpr unsigned kRoomy = 60;
// Sessions that are idle now may all become busy: threads do not differ by more than this.
constexpr std::size_t kAhead = 64;
// So many more than another has are no reason to tell that one.
constexpr std::size_t kLevel = 4;

}  // namespace

std::size_t place_session(std::span<const ThreadLoad> threads, std::size_t here) {
    const auto least = std::ranges::min_element(threads, {}, &ThreadLoad::sessions);
    const auto roomy = std::ranges::find_if(threads, [&](const ThreadLoad& thread) {
        return thread.busy < kRoomy && thread.sessions < least->sessions + kAhead;
    });
    if (threads[here].busy >= kFull && roomy != threads.end())
        return static_cast<std::size_t>(roomy - threads.begin());
    if (threads[here].sessions <= least->sessions + kLevel) return here;
    return static_cast<std::size_t>(least - threads.begin());
}

}  // namespace chaperone::net

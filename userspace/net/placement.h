// SPDX-License-Identifier: Apache-2.0
// Which thread a new session lives on: the one that has accepted it, which need not be told, unless
// that one has many more than another, or no time left where another has. Threads look for events
// before they sleep (look_out.h), so that nothing is gained by keeping sessions together. Pure.
#pragma once

#include <cstddef>
#include <span>

namespace chaperone::net {

struct ThreadLoad {
    std::size_t sessions{};
    unsigned busy{};  // percent of the last tenth of a second that it was on a processor
};

// The index of one of `threads`, of which `here` has accepted the session.
std::size_t place_session(std::span<const ThreadLoad> threads, std::size_t here);

}  // namespace chaperone::net

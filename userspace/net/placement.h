// SPDX-License-Identifier: Apache-2.0
// Which thread a new session lives on. A thread that carries several sessions is woken less often
// and does more each time, so where processors are few sessions keep together while their thread
// has time for more; where there are many, they spread. Where nothing speaks for another, it is the
// thread that accepted it, which need not be told. Pure.
#pragma once

#include <cstddef>
#include <span>

namespace chaperone::net {

struct ThreadLoad {
    std::size_t sessions{};
    unsigned busy{};    // percent of the last tenth of a second that it was on a processor
    unsigned recent{};  // sessions that it was given since that was measured
};

// The index of one of `threads`, of which `here` has accepted the session. `processors`: of the
// machine.
std::size_t place_session(std::span<const ThreadLoad> threads, std::size_t here,
                          unsigned processors);

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// How often a thread looks for events before it sleeps. To sleep and to be woken costs two changes
// of tasks and, on a virtual machine whose processor has nothing else to do, a trip through its
// host: more than most answers on the same machine take. Where answers take longer, looking is in
// vain and is given up. (The kernel's haltpoll governor decides so about processors.) Pure.
#pragma once

#include <algorithm>
#include <chrono>

namespace chaperone::net {

class LookOut {
public:
    using Duration = std::chrono::nanoseconds;

    // How often to look, letting others run between, before the next sleep.
    unsigned looks() const noexcept { return looks_; }
    // Something was there at one of these looks.
    void found() noexcept { grow(); }
    // Nothing was; from the first of them on it took so long until something came.
    void slept(Duration took) noexcept {
        if (took <= kWorth)
            grow();
        else
            looks_ /= 2;
    }

    static constexpr unsigned kMost = 32;  // looks; some 30 µs
    static constexpr Duration kWorth = std::chrono::microseconds{40};

private:
    void grow() noexcept { looks_ = std::min(kMost, std::max(4U, 2 * looks_)); }

    unsigned looks_ = 0;
};

}  // namespace chaperone::net

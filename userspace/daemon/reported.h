// SPDX-License-Identifier: Apache-2.0
// Refusals by others than the kernel, from any thread, until they are written down: so many of them
// one by one, and of more their number.
#pragma once

#include "userspace/base/guarded.h"
#include "userspace/kernel/redirector.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace chaperone::daemon {

class Reported {
public:
    static constexpr std::size_t kMost = 4096;

    struct Taken {
        std::vector<kernel::Denial> denials{};
        std::uint64_t more{};  // that there was no room for
    };

    void add(kernel::Denial denial) {
        waiting_.with([&](Taken& waiting) {
            if (waiting.denials.size() < kMost)
                waiting.denials.push_back(std::move(denial));
            else
                ++waiting.more;
        });
    }
    // What was added since the last call.
    Taken take() {
        return waiting_.with([](Taken& waiting) { return std::exchange(waiting, {}); });
    }

private:
    Guarded<Taken> waiting_;
};

}  // namespace chaperone::daemon

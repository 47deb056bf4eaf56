// SPDX-License-Identifier: Apache-2.0
// Which workloads were shown our certificate for which name and did not accept it. In memory, for
// a day; bounded. Thread-safe.
#pragma once

#include "userspace/base/guarded.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace chaperone::net {

class Pinned {
public:
    static constexpr std::size_t kMost = 4096;
    static constexpr std::chrono::hours kFor{24};

    void remember(const std::string& workload, const std::string& name) {
        const auto until = Clock::now() + kFor;
        known_.with([&](Known& known) {
            if (known.size() >= kMost)
                std::erase_if(known, [](const auto& one) { return one.second < Clock::now(); });
            if (known.size() < kMost) known[{workload, name}] = until;
        });
    }
    bool knows(const std::string& workload, const std::string& name) const {
        return known_.with([&](const Known& known) {
            const auto found = known.find({workload, name});
            return found != known.end() && Clock::now() < found->second;
        });
    }

private:
    using Clock = std::chrono::steady_clock;
    using Known = std::map<std::pair<std::string, std::string>, Clock::time_point>;
    Guarded<Known> known_{};
};

}  // namespace chaperone::net

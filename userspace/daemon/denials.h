// SPDX-License-Identifier: Apache-2.0
// What workloads were refused, on its way into the journal: refusals that are alike are written
// once and then counted for a while, so that an agent that tries again and again does not fill the
// disk. Of one thread.
#pragma once

#include "userspace/kernel/redirector.h"
#include "userspace/record/record.pb.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::daemon {

class Denials {
public:
    using Clock = std::chrono::steady_clock;
    // What names a workload was told an address for, the latest first.
    using Names = std::function<std::vector<std::string>(const std::string& workload,
                                                         const std::string& address)>;

    // How long those that are alike are counted.
    static constexpr auto kRepeat = std::chrono::seconds{10};
    // Different ones that are counted at a time; beyond it each is written by itself.
    static constexpr std::size_t kMost = 4096;

    explicit Denials(Names names) : names_(std::move(names)) {}

    // The entry to be written now; nothing where it is counted with one that was written.
    std::optional<record::Entry> add(const kernel::Denial& denial, Clock::time_point time);
    // Of those whose time is over, or of `all`, the counts that are not written yet.
    std::vector<record::Entry> due(Clock::time_point time, bool all);

private:
    struct Repeated {
        kernel::Denial latest{};
        std::uint64_t count = 0;  // not written yet
        Clock::time_point since{};
    };

    record::Entry entry_of(const kernel::Denial& denial, std::uint64_t count) const;

    Names names_;
    std::map<std::string, Repeated> repeated_;
};

}  // namespace chaperone::daemon

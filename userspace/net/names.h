// SPDX-License-Identifier: Apache-2.0
// What names of its own choice a workload was told addresses for: so that a connection to an
// address can be matched by name. Filled before an answer is released, so that no connection comes
// before its name. Says what was meant and proves nothing: whoever is there must prove that it has
// the name. Bounded; thread-safe.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/guarded.h"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::net {

class Names {
public:
    // Of the boot: a wall clock that is set ends nothing early and keeps nothing alive.
    using Clock = std::chrono::steady_clock;
    using Moment = Clock::time_point;

    // An address is remembered at least so long, since programs keep them longer than they should,
    // and at most so long, whatever the answer says.
    static constexpr Duration kLeast = std::chrono::minutes{5};
    static constexpr Duration kMost = std::chrono::hours{24};
    // Of one workload. Beyond it those that end first are forgotten.
    static constexpr std::size_t kAddresses = 8192;
    static constexpr std::size_t kNamesOfOne = 16;  // of one address, the latest
    static constexpr std::size_t kAddressesOfOne = 16;

    struct Known {
        std::string workload{};
        std::string address{};
        std::string name{};
        Moment until{};
    };

    Known learn(std::string_view workload, std::string_view name, std::string_view address,
                Duration ttl, Moment now);
    // The latest first; empty: a bare address.
    std::vector<std::string> of(std::string_view workload, std::string_view address,
                                Moment now) const;
    // The same with their ends.
    std::vector<Known> at(std::string_view workload, std::string_view address, Moment now) const;
    // Everything of one workload, by address; of an address the latest first.
    std::map<std::string, std::vector<Known>> of_workload(std::string_view workload,
                                                          Moment now) const;
    // Where else a name was said to be, the latest first.
    std::vector<std::string> addresses(std::string_view workload, std::string_view name,
                                       Moment now) const;
    void forget(std::string_view workload);

    // Everything that still holds; of an address the oldest first.
    std::vector<Known> all(Moment now) const;
    // Of a former process, in the order in which it was learnt. False: it does not hold any more.
    bool restore(const Known& known, Moment now);

private:
    struct Name {
        std::string name{};
        Moment until{};
    };
    using Addresses = std::map<std::string, std::vector<Name>, std::less<>>;

    static void make_room(Addresses& addresses, Moment now);
    void put(const Known& known, Moment now);

    Guarded<std::map<std::string, Addresses, std::less<>>> workloads_;
};

}  // namespace chaperone::net

// SPDX-License-Identifier: Apache-2.0
// Who calls governed workloads that listen on this host. Callers who are not governed are let in or
// refused by the kernel, from tables that are made here; other workloads come through the proxy,
// which asks here who listens. Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"
#include "userspace/kernel/redirector.h"
#include "userspace/net/proxy.h"

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace chaperone::daemon {

// Whom the workload's listeners take, as the bundle says; `governed` are the cgroups of callers.
std::vector<kernel::Verdict> compile_inbound(const policy::bundle::Workload& workload,
                                             const std::vector<kernel::Workload>& governed);

class Inbound {
public:
    explicit Inbound(kernel::Redirector& redirector);

    // As net::Services::listening and reach.
    Result<net::Listening> listening(const std::string& address, std::uint16_t port) const;
    Result<> reach(int socket, const net::Listening& listener) const;

    // A caller of this network namespace who was refused hears so at once, and not by a time-out.
    void turn_away(const kernel::Denial& denial) const;

private:
    struct Own {  // the addresses of this host
        std::set<kernel::Address> addresses{};
        std::chrono::steady_clock::time_point read{};
    };
    bool is_own(kernel::Address address) const;

    kernel::Redirector& redirector_;
    std::uint64_t netns_ = 0;
    mutable Guarded<Own> own_;
};

}  // namespace chaperone::daemon

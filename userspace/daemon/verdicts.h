// SPDX-License-Identifier: Apache-2.0
// Keeps in the kernel what the bundle says of destinations by workload, address and port alone:
// resources with `inspect: false` that policy lets or refuses whatever the connection is. Those go
// straight there at the speed of the line, or fail in connect(); everything else comes to the
// proxy. Not thread-safe but for the pure functions.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"
#include "userspace/base/error.h"
#include "userspace/kernel/redirector.h"

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon {

// What a Direct's tag is made of: the same in every process.
std::uint32_t tag_of(std::string_view resource) noexcept;

// A port is left to the proxy where another resource is known there by a name: which of the two an
// address is meant for, the kernel cannot tell.
std::vector<kernel::Verdict> compile_verdicts(const policy::bundle::Bundle& bundle,
                                              const std::string& workload,
                                              const policy::Identity& identity);

// What these say of a destination, as the kernel finds it: by the longest prefix.
kernel::Verdict::Action look_up(const std::vector<kernel::Verdict>& verdicts, int protocol,
                                const kernel::Address& destination);

// The Unix sockets that a workload may call: those of resources of protocol unix that policy lets,
// and a few of the system's that only take what is said to them.
std::vector<kernel::Door> compile_doors(const policy::bundle::Bundle& bundle,
                                        const std::string& workload,
                                        const policy::Identity& identity);

class Verdicts {
public:
    using IdentityOf = std::function<Result<policy::Identity>(const std::string& workload)>;

    explicit Verdicts(kernel::Redirector& redirector) : redirector_(redirector) {}

    // Brings every governed cgroup's table up to date. Without an identity nothing is let. True:
    // some table has changed.
    bool follow(const policy::bundle::Bundle& bundle, const IdentityOf& identity_of);

private:
    kernel::Redirector& redirector_;
    std::mutex mutex_;
    std::map<std::uint64_t, std::string> in_force_;  // by cgroup: what its table was made of
};

}  // namespace chaperone::daemon

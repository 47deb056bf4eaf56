// SPDX-License-Identifier: Apache-2.0
// Keeps in the kernel what the bundle says of destinations by workload, address and port alone:
// resources with `inspect: false` that policy lets or refuses whatever the connection is. Those go
// straight there at the speed of the line, or fail in connect(); everything else comes to the
// proxy. Datagrams cannot be asked about, so that those to names are decided here, too, by the
// addresses that workloads were told (named_verdicts.h). Thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/request.h"
#include "userspace/base/error.h"
#include "userspace/daemon/named_verdicts.h"
#include "userspace/kernel/redirector.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::daemon {

// What a Direct's tag is made of: the same in every process.
std::uint32_t tag_of(std::string_view resource) noexcept;

// A TCP port is left to the proxy where another resource is known there by a name: which of the two
// an address is meant for, the kernel cannot tell.
std::vector<kernel::Verdict> compile_verdicts(const policy::bundle::Bundle& bundle,
                                              const std::string& workload,
                                              const policy::Identity& identity);

// What these say of a destination, or of a caller by his address and the port that he calls, as the
// kernel finds it: by the longest prefix.
kernel::Verdict::Action look_up(const std::vector<kernel::Verdict>& verdicts, int protocol,
                                const kernel::Address& destination);

// The Unix sockets that a workload may call: those of resources of protocol unix that policy lets,
// and a few of the system's that only take what is said to them.
std::vector<kernel::Door> compile_doors(const policy::bundle::Bundle& bundle,
                                        const std::string& workload,
                                        const policy::Identity& identity);

class Verdicts {
public:
    using BundlePtr = std::shared_ptr<const policy::bundle::Bundle>;
    using IdentityOf = std::function<Result<policy::Identity>(const std::string& workload)>;

    explicit Verdicts(kernel::Redirector& redirector) : redirector_(redirector) {}

    // What workloads were told; outlives this. Before the first follow().
    void know(const net::Names& names) { names_ = &names; }

    // Brings every governed cgroup's table up to date, and takes out names whose time has come.
    // Without an identity nothing is let. True: something may be let no more.
    bool follow(const BundlePtr& bundle, const IdentityOf& identity_of);

    // Whether the tables in force let what was let: by both ends, where both are governed.
    bool lets(const kernel::Direct& direct);

    // The workload is about to be told this address for a name. System: the kernel has no room.
    Result<> learned(const std::string& workload, const std::string& address);

private:
    struct InForce {
        std::string made_of{};  // what the tables were made of
        std::string workload{};
        std::vector<kernel::Verdict> verdicts{};
        std::vector<kernel::Verdict> callers{};
        NamedPlan named{};
        std::uint64_t next_end = 0;  // of a name; 0: there is none
    };
    Result<> set_tables(const BundlePtr& bundle, const kernel::Workload& one,
                        const Result<policy::Identity>& identity,
                        const std::vector<kernel::Workload>& governed, InForce& held);
    Result<> set_named(std::uint64_t cgroup_id, InForce& held);
    bool sends(const InForce& held, const kernel::Direct& direct) const;

    kernel::Redirector& redirector_;
    const net::Names* names_ = nullptr;
    std::mutex mutex_;
    std::map<std::uint64_t, InForce> in_force_;  // by cgroup
};

}  // namespace chaperone::daemon

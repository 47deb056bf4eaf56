// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, and its maps, which are those pinned before where there are
// any. Owns both; what is pinned outlives it. Immutable after load(): any thread.
#pragma once

#include "bpf/shared/abi.h"
#include "userspace/base/error.h"
#include "userspace/kernel/map.h"
#include "userspace/kernel/pins.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct redirect_bpf;  // the generated skeleton; seen by programs.cpp only

namespace chaperone::kernel {

struct Program {
    std::string name;
    int fd;
    int attach_type;
};

class Programs {
public:
    // Unsupported: maps are pinned that this version cannot use.
    static Result<Programs> load(const Pins& pins, std::uint32_t max_flows);

    // Those of a governed cgroup, in the order in which they are attached: what stops traffic
    // comes first, so that in between things fail and never pass.
    const std::vector<Program>& agent() const { return agent_; }
    // That of the cgroup in which the proxy listens.
    const Program& proxy() const { return proxy_; }

    Map<int, chap_socket> accepted() const { return Map<int, chap_socket>{fds_.accepted}; }
    Map<chap_flow, chap_socket> flows() const { return Map<chap_flow, chap_socket>{fds_.flows}; }
    Map<chap_flow, chap_socket> datagrams() const {
        return Map<chap_flow, chap_socket>{fds_.datagrams};
    }
    Map<std::uint64_t, chap_workload> workloads() const {
        return Map<std::uint64_t, chap_workload>{fds_.workloads};
    }
    Map<std::uint64_t, chap_listener> listeners() const {
        return Map<std::uint64_t, chap_listener>{fds_.listeners};
    }
    Map<std::uint32_t, chap_settings> settings() const {
        return Map<std::uint32_t, chap_settings>{fds_.settings};
    }
    Result<std::uint64_t> counter(chap_counter which) const;
    int events() const { return fds_.events; }

private:
    struct Unload {
        void operator()(redirect_bpf* object) const noexcept;
    };
    struct Maps {
        int accepted = -1;
        int flows = -1;
        int datagrams = -1;
        int workloads = -1;
        int listeners = -1;
        int settings = -1;
        int counters = -1;
        int events = -1;
    };
    Programs() = default;

    std::unique_ptr<redirect_bpf, Unload> object_;
    std::vector<Program> agent_;
    Program proxy_{};
    Maps fds_;
};

}  // namespace chaperone::kernel

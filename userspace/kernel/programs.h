// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object: its programs, and its maps, which are those pinned before where there are
// any. Owns both; what is pinned outlives it. Immutable after load() but for what remember() keeps:
// any thread.
#pragma once

#include "bpf/shared/abi.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"
#include "userspace/kernel/map.h"
#include "userspace/kernel/pins.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

// The generated skeletons; seen by programs.cpp only.
struct redirect_bpf;
struct unix_bpf;
struct guard_bpf;
struct attempts_bpf;

namespace chaperone::kernel {

struct Program {
    std::string name;
    int fd;
    int attach_type;
};

class Programs {
public:
    // Unsupported: maps are pinned that this version cannot use.
    static Result<Programs> load(const Pins& pins, const std::map<std::string, std::uint32_t>& room,
                                 bool attempts);

    // Those of a governed cgroup, in the order in which they are attached: what stops traffic
    // comes first, so that in between things fail and never pass.
    const std::vector<Program>& agent() const { return agent_; }
    // Why Unix sockets are not guarded here; empty: they are.
    const std::string& no_doors() const { return no_doors_; }
    // Programs for all processes of the host, where the kernel runs such: the guard (BPF LSM), and
    // what tells of attempts that the kernel refuses by itself.
    const std::vector<Program>& host() const { return host_programs_; }
    const std::string& no_guard() const { return no_guard_; }  // why there is no guard
    // Which attempts are not told, and why; empty: all are.
    const std::string& no_attempts() const { return no_attempts_; }
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
    // The name of a governed cgroup, or of one that was released not long ago: what was done there
    // may be told of later. Epoch 0: whichever. Empty: not known.
    std::string name_of(std::uint64_t cgroup_id, std::uint64_t epoch = 0) const;
    // It is about to be released.
    void remember(std::uint64_t cgroup_id, const chap_workload& workload) const;
    Map<std::uint32_t, chap_settings> settings() const {
        return Map<std::uint32_t, chap_settings>{fds_.settings};
    }
    Map<std::uint32_t, chap_lease> lease() const {
        return Map<std::uint32_t, chap_lease>{fds_.lease};
    }
    Map<std::uint64_t, int> verdicts() const { return Map<std::uint64_t, int>{fds_.verdicts}; }
    Map<chap_named_key, chap_named> named() const {
        return Map<chap_named_key, chap_named>{fds_.named};
    }
    Map<std::uint64_t, int> inbound() const { return Map<std::uint64_t, int>{fds_.inbound}; }
    Map<int, chap_dial> dialled() const { return Map<int, chap_dial>{fds_.dialled}; }
    Result<std::uint64_t> counter(chap_counter which) const;
    Map<std::uint64_t, int> doors() const { return Map<std::uint64_t, int>{fds_.doors}; }
    int events() const { return fds_.events; }
    int directs() const { return fds_.directs; }
    Map<chap_open_key, chap_direct> opens() const {
        return Map<chap_open_key, chap_direct>{fds_.opens};
    }
    Map<chap_talk_key, chap_talk> talks() const {
        return Map<chap_talk_key, chap_talk>{fds_.talks};
    }

private:
    struct Unload {
        void operator()(redirect_bpf* object) const noexcept;
        void operator()(unix_bpf* object) const noexcept;
        void operator()(guard_bpf* object) const noexcept;
        void operator()(attempts_bpf* object) const noexcept;
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
        int verdicts = -1;
        int doors = -1;
        int lease = -1;
        int directs = -1;
        int talks = -1;
        int inbound = -1;
        int dialled = -1;
        int named = -1;
        int opens = -1;
    };
    struct Former {
        std::uint64_t cgroup_id = 0;
        std::uint64_t epoch = 0;
        std::string name{};
    };
    static constexpr std::size_t kFormer = 1024;

    Programs() = default;
    Result<> load_doors(const Pins& pins);
    Result<> load_guard(const Pins& pins);
    void load_attempts(const Pins& pins);

    std::map<std::string, std::uint32_t> room_;
    std::unique_ptr<redirect_bpf, Unload> object_;
    std::unique_ptr<unix_bpf, Unload> unix_;
    std::unique_ptr<guard_bpf, Unload> guard_;
    std::unique_ptr<attempts_bpf, Unload> attempts_;
    std::vector<Program> host_programs_;
    std::string no_doors_;
    std::string no_guard_;
    std::string no_attempts_;
    std::vector<Program> agent_;
    Program proxy_{};
    Maps fds_;
    // The latest at the end.
    std::unique_ptr<Guarded<std::deque<Former>>> former_ =
        std::make_unique<Guarded<std::deque<Former>>>();
};

}  // namespace chaperone::kernel

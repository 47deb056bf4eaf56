// SPDX-License-Identifier: Apache-2.0
// The network namespaces in which governed processes live: each gets listeners of its own, as
// 127.0.0.1 is another in each. Opened when a governed process is met there, closed when none is
// left: a listener keeps its namespace alive. Thread-safe.
#pragma once

#include "userspace/daemon/notify.h"
#include "userspace/kernel/redirector.h"
#include "userspace/net/proxy.h"

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace chaperone::daemon {

// Whether this process has the capabilities to listen in other network namespaces: CAP_SYS_ADMIN
// and CAP_SYS_PTRACE.
bool may_enter_namespaces();

class Namespaces {
public:
    using Cgroups = std::function<std::vector<std::filesystem::path>()>;

    // `cgroups` tells what is governed. What a former process has left in the kernel is forgotten,
    // but for the namespaces in which `kept` sockets listen, until the first look().
    Namespaces(kernel::Redirector& redirector, net::Proxy& proxy, Cgroups cgroups,
               std::vector<notify::Kept> kept = {});
    ~Namespaces();

    // Looks at every thread below the governed cgroups.
    void look();
    // A governed thread was seen in a namespace that has no listener.
    void meet(pid_t thread);

    // Runs it in a namespace that is listened in, or the daemon's own, by its cookie. NotFound:
    // another.
    Result<> inside(std::uint64_t cookie, const std::function<Result<>()>& run) const;

    std::size_t size() const;
    // Why a namespace has no listener, for `doctor`; empty: all have one.
    std::string problem() const;
    // False: the kernel's table has none for another, so that nobody needs to wait for a listener.
    bool has_room() const { return !full_; }

private:
    struct Key {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Open {
        std::uint64_t cookie = 0;
        std::uint16_t port = 0;
        std::chrono::steady_clock::time_point seen{};
    };

    static Result<Key> key_of(const std::string& path);
    std::map<Key, pid_t> inhabited() const;
    void open(const Key& key, pid_t thread);
    void close(const Open& there);
    std::uint16_t first_port(std::uint64_t cookie) const;
    void forget_kept();

    kernel::Redirector& redirector_;
    net::Proxy& proxy_;
    const Cgroups cgroups_;
    Key own_{};
    std::uint64_t own_cookie_ = 0;
    mutable std::mutex mutex_;
    std::map<Key, Open> open_;
    std::vector<notify::Kept> kept_;
    std::string problem_;
    std::atomic<bool> full_ = false;
};

}  // namespace chaperone::daemon

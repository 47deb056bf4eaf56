// SPDX-License-Identifier: Apache-2.0
// Answers the calls that the agent's seccomp filter refuses (seccomp_unotify(2)), and counts them.
// The answers never wait for whoever is told: two threads of its own. If this process is killed,
// the kernel answers with ENOSYS.
#pragma once

#include "userspace/base/unique_fd.h"
#include "userspace/launch/launch.h"
#include "userspace/launch/refusals.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace chaperone::launch {

// Attempts that are alike are told once and then counted for a while.
class AttemptCounts {
public:
    using Clock = std::chrono::steady_clock;

    void add(Attempt attempt, Clock::time_point time);
    // What is to be told now, each with how many there were since it was told last. `all`: also
    // what would have been counted on.
    std::vector<Attempt> due(Clock::time_point time, bool all);
    // They were told.
    void told(const std::vector<Attempt>& attempts, Clock::time_point time);

    static constexpr auto kRepeat = std::chrono::seconds{10};
    // Different ones at a time; of more only the calls are kept apart.
    static constexpr std::size_t kMostApart = 64;

private:
    struct Counted {
        Attempt latest{};
        bool known = false;  // told within kRepeat
        Clock::time_point since{};
    };
    static std::string key_of(const Attempt& attempt);

    std::map<std::string, Counted> counted_{};
};

class Attempts {
public:
    using Tell = std::function<Result<>(const std::vector<Attempt>&)>;

    static Result<std::unique_ptr<Attempts>> watch(UniqueFd listener, Tell tell);
    Attempts(const Attempts&) = delete;
    Attempts& operator=(const Attempts&) = delete;
    // Tells the rest, once. Whoever of the agent still runs gets ENOSYS from then on.
    ~Attempts();

private:
    Attempts(UniqueFd listener, UniqueFd stop, std::vector<Refusal> refusals, Tell tell);
    void answer();
    // False: nothing came, or nothing more will.
    bool answer_one();
    void report();

    const UniqueFd listener_;
    const UniqueFd stop_;
    const std::vector<Refusal> refusals_;
    const Tell tell_;
    std::mutex mutex_;
    std::condition_variable news_;
    bool ending_ = false;
    bool fresh_ = false;
    AttemptCounts counts_;
    std::thread answerer_;
    std::thread reporter_;
};

}  // namespace chaperone::launch

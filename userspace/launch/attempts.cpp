// SPDX-License-Identifier: Apache-2.0
#include "userspace/launch/attempts.h"

#include "userspace/base/file.h"
#include "userspace/base/log.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace chaperone::launch {
namespace {

// Who calls is looked up so often; of more, only the call is counted.
constexpr int kMostLookups = 500;  // a second
constexpr auto kGather = std::chrono::milliseconds{100};
constexpr auto kTryAgain = std::chrono::seconds{1};
// Behind those who work: an agent that does nothing but try pays for it itself.
constexpr int kNice = 10;

// The value of a line of /proc/PID/status.
std::string field(const std::string& status, std::string_view name) {
    const auto at = status.find("\n" + std::string{name} + ":\t");
    const auto begin = status.starts_with(std::string{name} + ":\t") ? name.size() + 2
                       : at == status.npos                           ? status.size()
                                                                     : at + name.size() + 3;
    return status.substr(begin, status.find('\n', begin) - begin);
}

// Its thread waits in the call while we look, unless it has been killed.
void look_up(const UniqueFd& listener, const seccomp_notif& call, Attempt& attempt) {
    const auto status = read_file("/proc/" + std::to_string(call.pid) + "/status", 65536);
    std::uint64_t id = call.id;
    if (!status || ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0) return;
    attempt.pid = static_cast<pid_t>(std::strtol(field(*status, "Tgid").c_str(), nullptr, 10));
    attempt.uid = static_cast<uid_t>(std::strtoul(field(*status, "Uid").c_str(), nullptr, 10));
    attempt.comm = field(*status, "Name");
}

std::string error_name(int error) {
    const char* name = ::strerrorname_np(error);
    return name != nullptr ? name : std::to_string(error);
}

}  // namespace

std::string AttemptCounts::key_of(const Attempt& attempt) {
    return attempt.call + '\n' + attempt.error + '\n' + std::to_string(attempt.uid) + '\n' +
           attempt.comm;
}

void AttemptCounts::add(Attempt attempt, Clock::time_point time) {
    if (counted_.size() >= kMostApart && !counted_.contains(key_of(attempt)))
        attempt = {.call = std::move(attempt.call),
                   .error = std::move(attempt.error),
                   .count = attempt.count,
                   .time = attempt.time};
    Counted& counted = counted_[key_of(attempt)];
    if (counted.since == Clock::time_point{}) counted.since = time;
    attempt.count += counted.latest.count;
    counted.latest = std::move(attempt);
}

std::vector<Attempt> AttemptCounts::due(Clock::time_point time, bool all) {
    std::erase_if(counted_, [&](const auto& entry) {
        return entry.second.latest.count == 0 && time - entry.second.since >= kRepeat;
    });
    std::vector<Attempt> out;
    for (const auto& [key, counted] : counted_)
        if (counted.latest.count != 0 && (all || !counted.known || time - counted.since >= kRepeat))
            out.push_back(counted.latest);
    return out;
}

void AttemptCounts::told(const std::vector<Attempt>& attempts, Clock::time_point time) {
    for (const Attempt& attempt : attempts) {
        Counted& counted = counted_[key_of(attempt)];
        counted.latest.count -= std::min(counted.latest.count, attempt.count);
        counted.known = true;
        counted.since = time;
    }
}

Attempts::Attempts(UniqueFd listener, UniqueFd stop, std::vector<Refusal> refusals, Tell tell)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      refusals_(std::move(refusals)),
      tell_(std::move(tell)) {}

Result<std::unique_ptr<Attempts>> Attempts::watch(UniqueFd listener, Tell tell) {
    auto table = refusals();
    if (!table) return fail(table.error());
    UniqueFd stop{::eventfd(0, EFD_CLOEXEC)};
    if (!stop) return system_error("make an eventfd", errno);
    std::unique_ptr<Attempts> attempts{
        new Attempts{std::move(listener), std::move(stop), *std::move(table), std::move(tell)}};
    attempts->answerer_ = std::thread{[it = attempts.get()] { it->answer(); }};
    attempts->reporter_ = std::thread{[it = attempts.get()] { it->report(); }};
    return attempts;
}

Attempts::~Attempts() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    if (answerer_.joinable()) answerer_.join();
    {
        const std::lock_guard lock{mutex_};
        ending_ = true;
    }
    news_.notify_all();
    if (reporter_.joinable()) reporter_.join();
}

void Attempts::answer() {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
    while (answer_one()) {
    }
}

bool Attempts::answer_one() {
    static thread_local auto second = AttemptCounts::Clock::time_point{};
    static thread_local int lookups = 0;
    pollfd wait[2]{{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                   {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    if (::poll(wait, 2, -1) < 0) return errno == EINTR;
    if ((wait[0].revents & POLLIN) == 0) return wait[0].revents == 0 && wait[1].revents == 0;

    // The kernel writes as much as it has; a newer one has more than our header knows.
    alignas(seccomp_notif) char room[512]{};
    auto& call = *reinterpret_cast<seccomp_notif*>(room);
    if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, room) != 0)
        return errno == ENOENT || errno == EINTR;  // killed meanwhile
    const auto time = AttemptCounts::Clock::now();
    if (time - second >= std::chrono::seconds{1}) {
        second = time;
        lookups = 0;
    }
    const int error = error_for(refusals_, call.data);
    Attempt attempt{
        .call = name_of(call.data), .error = error_name(error), .count = 1, .time = now()};
    if (++lookups <= kMostLookups) look_up(listener_, call, attempt);
    {
        // Counted before it is answered: what the agent has been told is in the count.
        const std::lock_guard lock{mutex_};
        counts_.add(std::move(attempt), time);
        fresh_ = true;
    }
    alignas(seccomp_notif_resp) char reply[512]{};
    auto& response = *reinterpret_cast<seccomp_notif_resp*>(reply);
    response.id = call.id;
    response.error = -error;
    // Fails only where the caller has been killed.
    (void)::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, reply);
    news_.notify_one();
    return true;
}

void Attempts::report() {
    bool complained = false;
    for (std::unique_lock lock{mutex_};;) {
        news_.wait_for(lock, AttemptCounts::kRepeat, [&] { return ending_ || fresh_; });
        fresh_ = false;
        const bool ending = ending_;
        const auto due = counts_.due(AttemptCounts::Clock::now(), ending);
        auto pause = AttemptCounts::Clock::duration{kGather};
        if (!due.empty()) {
            lock.unlock();
            const auto told = tell_(due);
            if (!told && (ending || !complained))
                log::warning("what the agent tried cannot be reported",
                             {{"error", told.error().message()}});
            complained = !told;
            lock.lock();
            if (told) counts_.told(due, AttemptCounts::Clock::now());
            if (!told) pause = kTryAgain;
            fresh_ = fresh_ || !told;
        }
        if (ending) return;
        // So that many come in one report.
        news_.wait_for(lock, pause, [&] { return ending_; });
    }
}

}  // namespace chaperone::launch

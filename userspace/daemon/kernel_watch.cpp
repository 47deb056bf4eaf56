// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/kernel_watch.h"

#include "policy/engine/standing.h"
#include "userspace/base/log.h"
#include "userspace/daemon/direct_facts.h"
#include "userspace/daemon/kernel_entries.h"
#include "userspace/record/writer.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>

namespace chaperone::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRenewMs = 200;
// How long verdicts go on letting after the daemon has died.
constexpr Duration kLease = std::chrono::seconds{2};
// How long connects are still sent to a proxy that has stopped, and wait there.
constexpr Duration kAnswers = std::chrono::seconds{3};
constexpr auto kLookAtTalks = std::chrono::milliseconds{500};
// A talk in which nothing was said for so long is over.
constexpr Duration kSilence = std::chrono::seconds{30};

}  // namespace

KernelWatch::KernelWatch(Services services, UniqueFd stop, UniqueFd wait)
    : services_(std::move(services)),
      stop_(std::move(stop)),
      wait_(std::move(wait)),
      denials_(services_.names) {}

Result<std::unique_ptr<KernelWatch>> KernelWatch::start(Services services) {
    UniqueFd stop{::eventfd(0, EFD_CLOEXEC)};
    if (!stop) return system_error("make an eventfd", errno);
    UniqueFd wait{::epoll_create1(EPOLL_CLOEXEC)};
    if (!wait) return system_error("make an epoll", errno);
    for (const int fd :
         {stop.get(), services.redirector->denials_fd(), services.redirector->directs_fd()}) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        if (::epoll_ctl(wait.get(), EPOLL_CTL_ADD, fd, &event) != 0)
            return system_error("wait for the kernel's events", errno);
    }
    std::unique_ptr<KernelWatch> watch{
        new KernelWatch{std::move(services), std::move(stop), std::move(wait)}};
    watch->read_losses(false);
    watch->end_talks(true);
    watch->read_directs();
    watch->adopt();
    watch->renew();
    watch->thread_ = std::thread{[watch = watch.get()] { watch->run(); }};
    return watch;
}

KernelWatch::~KernelWatch() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    if (thread_.joinable()) thread_.join();
}

void KernelWatch::run() {
    for (auto renewed = Clock::now(), looked = renewed;;) {
        std::array<epoll_event, 4> events{};
        const int count =
            ::epoll_wait(wait_.get(), events.data(), static_cast<int>(events.size()), kRenewMs);
        bool stop = false;
        for (int i = 0; i < count; ++i) stop = stop || events[size_t(i)].data.fd == stop_.get();
        if (stop) (void)services_.redirector->lend({}, services_.port());
        const auto time = Clock::now();
        if (!stop && time - renewed >= std::chrono::milliseconds{kRenewMs / 2}) {
            renew();
            renewed = time;
        }
        read_directs();
        // Whatever the former tables let is known by now.
        if (changed_.exchange(false)) {
            read_talks();
            end_refused();
        }
        read_denials();
        if (time - looked >= kLookAtTalks) {
            read_talks();
            read_losses(false);
            looked = time;
        }
        for (record::Entry& counted : denials_.due(Clock::now(), stop)) write(std::move(counted));
        if (stop) {
            read_losses(true);
            return end_talks(false);
        }
        // What the journal does not take stays in the kernel; do not turn on it.
        if (!waiting_.empty()) ::poll(nullptr, 0, kRenewMs);
    }
}

void KernelWatch::renew() {
    const bool can_record = services_.journal->writable() && waiting_.empty();
    if (auto lent = services_.redirector->lend(can_record ? kLease : Duration{}, services_.port());
        !lent)
        log::error("the kernel's verdicts cannot be kept in force",
                   {{"error", lent.error().message()}});
    if (auto told = services_.redirector->answer_for(kAnswers); !told)
        log::error("the kernel cannot be told that the proxy is there",
                   {{"error", told.error().message()}});
}

void KernelWatch::write(record::Entry entry) {
    waiting_.push_back(std::move(entry));
    (void)write_waiting();
}

bool KernelWatch::write_waiting() {
    while (!waiting_.empty()) {
        if (!services_.journal->append(waiting_.front())) {
            (void)services_.redirector->lend({}, services_.port());
            return false;
        }
        waiting_.pop_front();
    }
    return true;
}

void KernelWatch::read_directs() {
    if (!write_waiting()) return;
    const auto read = services_.redirector->take_directs([&](const kernel::Direct& direct) {
        switch (direct.kind) {
        case kernel::Direct::Kind::Opened: return opened(direct);
        case kernel::Direct::Kind::Reached: return reached(direct);
        case kernel::Direct::Kind::Closed: return closed(direct);
        }
    });
    if (!read)
        log::error("what the kernel let through cannot be read",
                   {{"error", read.error().message()}});
}

void KernelWatch::show(std::shared_ptr<const policy::SessionFacts> facts,
                       const kernel::Direct& direct) {
    const std::string id = facts->id;
    net::SessionSnapshot live{
        .facts = std::move(facts), .state = "open", .requests = 1, .effect = "allow"};
    open_.with([&](auto& open) { open[id] = {.shown = std::move(live), .direct = direct}; });
}

void KernelWatch::opened(const kernel::Direct& direct) {
    const auto bundle = services_.bundle();
    const auto [facts, resource] =
        direct_facts(*bundle, direct, services_.names, services_.identity);
    policy::DecisionPtr decision;
    if (resource != nullptr)
        decision = policy::standing_decision(*bundle, *resource, facts->workload, facts->identity);
    write(start_entry(*facts, direct, bundle->digest()));
    policy::Decision said{.effect = policy::Effect::Allow, .bundle = bundle->digest()};
    if (direct.inbound) said.rule = "inbound";
    // The bundle may have changed since; what the kernel did is what is written down.
    if (decision && decision->effect == policy::Effect::Allow) said = *decision;
    write(decision_entry(*facts, direct, said));
    show(facts, direct);
}

// Connections that a former process has told of go on: they are shown, ended by an operator's word,
// and cut by a new bundle as those of our own.
void KernelWatch::adopt() {
    const auto bundle = services_.bundle();
    for (const kernel::Direct& direct : services_.redirector->open_directs()) {
        const bool known =
            open_.with([&](const auto& open) { return open.contains(session_id(direct)); });
        if (!known)
            show(direct_facts(*bundle, direct, services_.names, services_.identity).facts, direct);
    }
}

// Its beginning is in the journal already: before the SYN left, nobody knew whom it would reach.
void KernelWatch::reached(const kernel::Direct& direct) {
    const std::string id = session_id(direct);
    write(reached_entry(id, direct));
    open_.with([&](auto& open) {
        const auto found = open.find(id);
        if (found == open.end()) return;
        found->second.direct.peer = direct.peer;
        auto facts = std::make_shared<policy::SessionFacts>(*found->second.shown.facts);
        facts->peer = direct.peer.name;
        found->second.shown.facts = std::move(facts);
    });
}

void KernelWatch::closed(const kernel::Direct& direct) {
    const std::string id = session_id(direct);
    kernel::Direct ended = direct;
    std::string reason;
    open_.with([&](auto& open) {
        const auto found = open.find(id);
        if (found == open.end()) return;
        if (ended.peer.name.empty()) ended.peer = found->second.direct.peer;
        reason = found->second.reason;
        open.erase(found);
    });
    write(end_entry(id, ended, reason));
}

// Datagrams have no beginning and no end of their own: they begin when they are first seen here.
void KernelWatch::read_talks() {
    if (!write_waiting()) return;
    for (const kernel::Talk& talk : services_.redirector->talks()) {
        const std::string id = session_id(talk.direct);
        const bool known = open_.with([&](auto& open) {
            const auto found = open.find(id);
            if (found == open.end()) return false;
            found->second.shown.bytes_up = talk.direct.bytes_up;
            found->second.shown.bytes_down = talk.direct.bytes_down;
            return true;
        });
        if (talk.answers) {
            if (now() - talk.direct.time >= kSilence) (void)services_.redirector->end_talk(talk);
            continue;
        }
        if (!known) opened(talk.direct);
        if (now() - talk.direct.time < kSilence) continue;
        if (const auto ended = services_.redirector->end_talk(talk)) closed(ended->direct);
    }
}

// Those of a former process were told by it when they began, unless that was just before its end.
void KernelWatch::end_talks(bool before_us) {
    for (const kernel::Talk& talk : services_.redirector->talks()) {
        const auto ended = services_.redirector->end_talk(talk);
        if (!ended || talk.answers) continue;
        const bool told =
            before_us
                ? ended->direct.duration > 2 * kLookAtTalks
                : open_.with([&](auto& open) { return open.contains(session_id(ended->direct)); });
        if (!told) opened(ended->direct);
        closed(ended->direct);
    }
}

void KernelWatch::read_denials() {
    if (!waiting_.empty()) return;
    const auto denials = services_.redirector->take_denials();
    if (!denials) {
        log::error("what the kernel refused cannot be read",
                   {{"error", denials.error().message()}});
        return;
    }
    auto all = *denials;
    Reported::Taken reported = reported_.take();
    std::ranges::move(reported.denials, std::back_inserter(all));
    for (const kernel::Denial& denial : all) {
        if (denial.kind == kernel::Denial::Kind::Namespace) {
            services_.meet(static_cast<pid_t>(denial.pid));
            continue;
        }
        if (denial.kind == kernel::Denial::Kind::Inbound) services_.turn_away(denial);
        if (auto entry = denials_.add(denial, Clock::now())) write(*std::move(entry));
    }
    if (reported.more != 0)
        write(untold_entry(reported.more, "refusals at the API that there was no room for"));
}

std::vector<net::SessionSnapshot> KernelWatch::sessions() const {
    return open_.with([](const auto& open) {
        std::vector<net::SessionSnapshot> all;
        for (const auto& [id, session] : open) all.push_back(session.shown);
        return all;
    });
}

}  // namespace chaperone::daemon

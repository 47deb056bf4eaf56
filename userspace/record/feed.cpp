// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/feed.h"

#include "userspace/base/log.h"

#include <pthread.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

namespace chaperone::record {
namespace {

// Under load entries are taken in bunches, so that the writer is not made to wake us for each.
constexpr auto kGap = std::chrono::milliseconds{5};
// How often a thread that waits for entries looks whether it is to stop.
constexpr auto kLook = std::chrono::milliseconds{200};

}  // namespace

struct Feed::State {
    struct One {
        Subscriber subscriber;
        std::uint64_t from = 0;  // first index that it wants
    };

    const Writer& writer;
    std::mutex mutex;  // held while subscribers run
    std::condition_variable changed;
    std::map<std::uint64_t, One> all;
    std::uint64_t next_id = 1;
    bool stop = false;
    std::optional<Reader> reader;
    std::uint64_t next = 0;  // index that the reader gives next
    std::thread thread;

    explicit State(const Writer& given) : writer(given) {}
    void follow();
    bool deliver(std::unique_lock<std::mutex>& lock, std::uint64_t upto);
    void tell(const Stored& stored);
};

void Feed::State::tell(const Stored& stored) {
    for (auto it = all.begin(); it != all.end();) {
        const bool keep = stored.index < it->second.from || it->second.subscriber(stored);
        it = keep ? std::next(it) : all.erase(it);
    }
}

// False if the journal cannot be read.
bool Feed::State::deliver(std::unique_lock<std::mutex>& lock, std::uint64_t upto) {
    while (next < upto && !stop && !all.empty()) {
        const auto stored = reader->next();
        if (!stored || !stored->has_value()) {
            log::error("the journal cannot be followed",
                       {{"error", stored ? "it ends early" : stored.error().message()}});
            return false;
        }
        tell(**stored);
        ++next;
        lock.unlock();  // lets subscribe and remove in
        lock.lock();
    }
    return true;
}

void Feed::State::follow() {
    ::pthread_setname_np(::pthread_self(), "feed");
    std::unique_lock lock{mutex};
    while (!stop) {
        if (all.empty()) {  // nobody listens: the place is found again when somebody does
            reader.reset();
            changed.wait(lock, [this] { return stop || !all.empty(); });
            continue;
        }
        if (!reader) {
            next = all.begin()->second.from;
            for (const auto& [id, one] : all) next = std::min(next, one.from);
            auto opened = Reader::open(writer.journal());
            if (opened) {
                if (const auto done = opened->seek(next); done) reader = *std::move(opened);
            }
        }
        if (!reader || !deliver(lock, writer.position().size)) {
            log::error("followers of the journal are dropped: it cannot be read");
            all.clear();
            continue;
        }
        const std::uint64_t seen = next;
        lock.unlock();
        (void)writer.wait_beyond(seen, kLook);
        lock.lock();
        changed.wait_for(lock, kGap, [this] { return stop; });
    }
}

Feed::Feed(const Writer& writer) : state_(std::make_unique<State>(writer)) {
    state_->thread = std::thread{[state = state_.get()] { state->follow(); }};
}

Feed::~Feed() {
    {
        const std::lock_guard lock{state_->mutex};
        state_->stop = true;
        state_->changed.notify_all();
    }
    state_->thread.join();
}

std::uint64_t Feed::subscribe(Subscriber subscriber) {
    const std::lock_guard lock{state_->mutex};
    const std::uint64_t id = state_->next_id++;
    state_->all.emplace(id, State::One{std::move(subscriber), state_->writer.position().size});
    state_->changed.notify_all();
    return id;
}

void Feed::remove(std::uint64_t id) {
    const std::lock_guard lock{state_->mutex};
    state_->all.erase(id);
}

}  // namespace chaperone::record

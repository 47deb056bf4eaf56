// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/worker.h"

#include "userspace/base/steady.h"
#include "userspace/net/acceptor.h"
#include "userspace/net/server_pool.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/sniffer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <time.h>

#include <vector>

namespace chaperone::net {

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// Outcomes are written at the latest after the first; machines are told the time every second.
constexpr auto kFlush = std::chrono::milliseconds{100};
constexpr int kFlushesPerTick = 10;

}  // namespace

Worker::~Worker() {
    for (const auto& acceptor : acceptors) acceptor->stop();
}

std::shared_ptr<const void> Worker::count() {
    ++load;
    return {this, [](Worker* worker) { --worker->load; }};
}

void Worker::measure() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    const auto total = std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
    const auto time = std::chrono::steady_clock::now();
    const auto passed = std::chrono::nanoseconds{time - measured};
    if (passed.count() > 0)
        busy = static_cast<unsigned>(100 * (total - on_processor).count() / passed.count());
    on_processor = total;
    measured = time;
}

void Worker::hurry_sniffers() {
    const auto time = Sniffer::Clock::now();
    for (std::size_t i = 0; i != sniffers.size();) {
        if (const auto sniffer = sniffers[i].lock()) {
            sniffer->tick(time);
            ++i;
        } else {
            std::swap(sniffers[i], sniffers.back());
            sniffers.pop_back();
        }
    }
}

asio::awaitable<void> Worker::tick() {
    asio::steady_timer pause{thread->context()};
    for (int turn = 1;; ++turn) {
        pause.expires_after(kFlush);
        co_await pause.async_wait(kNoThrow);
        measure();
        hurry_sniffers();
        ServerPool::of(thread->context()).expire(ServerPool::Clock::now());
        for (const auto& acceptor : acceptors) acceptor->start();
        if (turn % kFlushesPerTick != 0) {
            for (const auto& [id, runner] : runners)
                if (const auto alive = runner.lock()) alive->flush_records();
            continue;
        }
        const Time time = steady_now();
        std::vector<std::shared_ptr<SessionRunner>> alive;
        for (auto it = runners.begin(); it != runners.end();) {
            auto runner = it->second.lock();
            it = runner ? std::next(it) : runners.erase(it);
            if (runner) alive.push_back(std::move(runner));
        }
        for (const auto& runner : alive) {
            runner->flush_records();
            runner->tick(time);
        }
    }
}

}  // namespace chaperone::net

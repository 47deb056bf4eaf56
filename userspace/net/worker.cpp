// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/worker.h"

#include "userspace/base/steady.h"
#include "userspace/net/acceptor.h"
#include "userspace/net/server_pool.h"
#include "userspace/net/session_runner.h"
#include "userspace/net/sniffer.h"
#include "userspace/net/workload_room.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <time.h>

namespace chaperone::net {

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// Outcomes are written at the latest after the first; machines are told the time every second.
constexpr auto kFlush = std::chrono::milliseconds{100};
constexpr int kFlushesPerTick = 10;

}  // namespace

Worker::Worker(std::unique_ptr<IoThread> its_thread)
    : pool(ServerPool::of(its_thread->context())), thread(std::move(its_thread)) {
    // What dials and handshakes need of asio is made now, not for the first of them: descriptors or
    // memory may be short by then.
    (void)asio::ip::tcp::socket{pool.context()};
}

Worker::~Worker() {
    for (const auto& acceptor : acceptors) acceptor->stop();
}

Counted::Counted(Worker& its_worker, std::shared_ptr<WorkloadRoom> its_room)
    : worker_(its_worker), room_(std::move(its_room)) {
    ++worker_.load;
    ++room_->sessions;
}

Counted::~Counted() {
    --worker_.load;
    --room_->sessions;
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

asio::awaitable<void> Worker::tick() {
    asio::steady_timer pause{thread->context()};
    for (int turn = 1;; ++turn) {
        pause.expires_after(kFlush);
        co_await pause.async_wait(kNoThrow);
        measure();
        for (const auto& sniffer : sniffers.all()) sniffer->tick(about_now());
        pool.expire(about_now());
        for (const auto& acceptor : acceptors) acceptor->start();
        const Time time = steady_now();
        for (const auto& runner : runners.all()) {
            runner->flush_records();
            if (turn % kFlushesPerTick == 0) runner->tick(time);
        }
    }
}

}  // namespace chaperone::net

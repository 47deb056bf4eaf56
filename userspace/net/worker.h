// SPDX-License-Identifier: Apache-2.0
// A thread and the sessions that live on it.
#pragma once

#include "userspace/net/io_thread.h"
#include "userspace/net/roster.h"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

namespace chaperone::net {

class Acceptor;
class ServerPool;
class SessionRunner;
class Sniffer;
struct WorkloadRoom;

struct Worker {
    explicit Worker(std::unique_ptr<IoThread> its_thread);
    ~Worker();

    ServerPool& pool;                                  // of its thread
    std::vector<std::shared_ptr<Acceptor>> acceptors;  // on the thread only
    Roster<SessionRunner> runners;                     // likewise
    Roster<Sniffer> sniffers;                          // likewise
    std::atomic<std::size_t> load{0};                  // sessions that are open or about to
    std::atomic<unsigned> busy{0};                     // percent, between the last two measures

    boost::asio::awaitable<void> tick();  // without end
    void measure();
    std::chrono::nanoseconds on_processor{};
    std::chrono::steady_clock::time_point measured{};
    std::unique_ptr<IoThread> thread;  // goes first, and with it what its sessions hold
};

// Keeps a session counted, of its thread and of its workload.
class Counted {
public:
    Counted(Worker& its_worker, std::shared_ptr<WorkloadRoom> its_room);
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted();
    const std::shared_ptr<WorkloadRoom>& room() const { return room_; }

private:
    Worker& worker_;
    std::shared_ptr<WorkloadRoom> room_;
};

}  // namespace chaperone::net

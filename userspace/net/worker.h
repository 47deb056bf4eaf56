// SPDX-License-Identifier: Apache-2.0
// A thread and the sessions that live on it.
#pragma once

#include "userspace/net/io_thread.h"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

namespace chaperone::net {

class SessionRunner;

struct Worker {
    std::unique_ptr<IoThread> thread;
    std::unordered_map<std::string, std::weak_ptr<SessionRunner>> runners;  // on the thread only
    std::atomic<std::size_t> load{0};
    std::atomic<unsigned> busy{0};    // percent, between the last two measures
    std::atomic<unsigned> recent{0};  // sessions since that was measured

    boost::asio::awaitable<void> tick();  // without end
    void measure();
    std::chrono::nanoseconds on_processor{};
    std::chrono::steady_clock::time_point measured{};
};

}  // namespace chaperone::net

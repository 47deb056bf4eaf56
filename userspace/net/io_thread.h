// SPDX-License-Identifier: Apache-2.0
// One thread with one io_context: where sessions live. No coroutine changes thread, and nothing
// of a session is locked. The stack is large because SQL is parsed on it: libpg_query recurses as
// deep as a statement is nested (memory is committed only where it is touched).
#pragma once

#include "userspace/base/error.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <pthread.h>

#include <cstddef>
#include <memory>

namespace chaperone::net {

namespace asio = boost::asio;

class IoThread {
public:
    static constexpr std::size_t kStack = std::size_t{256} << 20;

    static Result<std::unique_ptr<IoThread>> start(unsigned number);
    ~IoThread();  // stop(), then join

    asio::io_context& context() noexcept { return context_; }
    unsigned number() const noexcept { return number_; }
    void stop();  // what runs ends where it waits
    // stop(), and waits for the thread. What belongs to the context may be destroyed after it; the
    // context itself lives as long as this object.
    void join();

private:
    explicit IoThread(unsigned number)
        : number_(number), context_(1), work_(context_.get_executor()) {}
    static void* main(void* self);

    unsigned number_;
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    pthread_t thread_{};
    bool started_ = false;
};

}  // namespace chaperone::net

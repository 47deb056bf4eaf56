// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/io_thread.h"

#include "userspace/base/log.h"

#include <array>
#include <cstdio>
#include <exception>

namespace chaperone::net {

Result<std::unique_ptr<IoThread>> IoThread::start(unsigned number) {
    std::unique_ptr<IoThread> io{new IoThread{number}};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStack);
    const int error = pthread_create(&io->thread_, &attributes, &IoThread::main, io.get());
    pthread_attr_destroy(&attributes);
    if (error != 0) return system_error("start a thread for sessions", error);
    io->started_ = true;
    std::array<char, 16> name;
    std::snprintf(name.data(), name.size(), "session-%u", number);
    pthread_setname_np(io->thread_, name.data());
    return io;
}

IoThread::~IoThread() {
    join();
}

void IoThread::join() {
    stop();
    if (started_) pthread_join(thread_, nullptr);
    started_ = false;
}

void IoThread::stop() {
    work_.reset();
    context_.stop();
}

void* IoThread::main(void* self) {
    auto& io = *static_cast<IoThread*>(self);
    for (;;) {
        try {
            io.context_.run();
            return nullptr;
        } catch (const std::exception& error) {
            // One session's bug; it has lost its coroutine and with it its sockets. Others go on.
            log::error("a session ended by an exception", {{"error", error.what()}});
        }
    }
}

}  // namespace chaperone::net

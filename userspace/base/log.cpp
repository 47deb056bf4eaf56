// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/log.h"

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>

namespace chaperone::log {
namespace {

std::atomic<Level> least{Level::Info};
std::mutex mutex;
std::shared_ptr<const Sink> sink;  // guarded by mutex

void to_stderr(std::string_view message, Fields fields) {
    std::string line{message};
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        line += field.value;
    }
    line += '\n';
    std::fputs(line.c_str(), stderr);
}

}  // namespace

void set_sink(Sink next) {
    const std::lock_guard lock{mutex};
    sink = next ? std::make_shared<const Sink>(std::move(next)) : nullptr;
}

void set_level(Level level) {
    least = level;
}

void write(Level level, std::string_view message, Fields fields) {
    if (level < least.load(std::memory_order_relaxed)) return;
    std::shared_ptr<const Sink> to;
    {
        const std::lock_guard lock{mutex};
        to = sink;
    }
    if (to)
        (*to)(level, message, fields);
    else if (level >= Level::Warning)
        to_stderr(message, fields);
}

}  // namespace chaperone::log

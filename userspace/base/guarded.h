// SPDX-License-Identifier: Apache-2.0
// A value that is reached only under its own mutex: with([](T& value) { … }).
#pragma once

#include <mutex>
#include <utility>

namespace chaperone {

template <class T>
class Guarded {
public:
    template <class... Args>
    explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

    template <class Function>
    auto with(Function&& function) {
        const std::lock_guard lock{mutex_};
        return std::forward<Function>(function)(value_);
    }

    template <class Function>
    auto with(Function&& function) const {
        const std::lock_guard lock{mutex_};
        return std::forward<Function>(function)(value_);
    }

private:
    mutable std::mutex mutex_;
    T value_;
};

}  // namespace chaperone

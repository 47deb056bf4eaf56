// SPDX-License-Identifier: Apache-2.0
// What one workload may make us keep of bodies that are read before they are decided, over all its
// sessions: each is bounded, their number is the agent's choice. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace chaperone::session {

class BodyRoom {
public:
    explicit BodyRoom(std::size_t limit) : limit_(limit) {}

    // Of one request; given back when it is reset or gone. One thread.
    class Share {
    public:
        explicit Share(std::shared_ptr<BodyRoom> room) : room_(std::move(room)) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { reset(); }

        // Counts so many bytes more. False: that is more than the workload may have; they count
        // all the same, until they are given back.
        bool take(std::size_t bytes) noexcept {
            if (!room_) return true;
            taken_ += bytes;
            return room_->used_.fetch_add(bytes) + bytes <= room_->limit_;
        }
        void reset() noexcept {
            if (room_) room_->used_ -= std::exchange(taken_, 0);
        }

    private:
        std::shared_ptr<BodyRoom> room_;  // null: there is no limit
        std::size_t taken_ = 0;
    };

    std::size_t used() const noexcept { return used_; }

private:
    const std::size_t limit_;
    std::atomic<std::size_t> used_{0};
};

}  // namespace chaperone::session

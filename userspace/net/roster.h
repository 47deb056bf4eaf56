// SPDX-License-Identifier: Apache-2.0
// Those of a kind that live on one thread, each listed as long as it is there. Used on the thread,
// or when it has ended.
#pragma once

#include <list>
#include <memory>
#include <utility>
#include <vector>

namespace chaperone::net {

template <class One>
class Roster {
    using All = std::list<std::weak_ptr<One>>;

public:
    // Held by the one that it lists, and so gone with it, at once: a list that were swept now and
    // then would keep the memory of all that ended since. The roster must outlive it.
    class Place {
    public:
        explicit Place(Roster& of) : all_(&of.all_), at_(all_->emplace(all_->end())) {}
        Place(Place&& other) noexcept : all_(std::exchange(other.all_, nullptr)), at_(other.at_) {}
        Place& operator=(Place&&) = delete;
        ~Place() {
            if (all_ != nullptr) all_->erase(at_);
        }
        void is_of(const std::shared_ptr<One>& one) { *at_ = one; }

    private:
        All* all_;
        typename All::iterator at_;
    };

    std::vector<std::shared_ptr<One>> all() const {
        std::vector<std::shared_ptr<One>> alive;
        alive.reserve(all_.size());
        for (const auto& one : all_)
            if (auto here = one.lock()) alive.push_back(std::move(here));
        return alive;
    }
    std::size_t size() const { return all_.size(); }

private:
    All all_;
};

}  // namespace chaperone::net

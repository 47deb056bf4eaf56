// SPDX-License-Identifier: Apache-2.0
// The prepared statements and portals that the protocol's messages name. What a message defines
// counts at once for later messages of its own window (up to Sync: if it fails, they are skipped),
// and for later windows only when the server has confirmed it.
#pragma once

#include "policy/decision.h"
#include "policy/sql/facts.h"
#include "userspace/wire/pg/message.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::session {

// Counts what the texts of a session take, for as long as they live.
class Share {
public:
    Share() = default;
    Share(std::shared_ptr<std::size_t> total, std::size_t size)
        : total_(std::move(total)), size_(size) {
        *total_ += size_;
    }
    Share(Share&& other) noexcept : total_(std::move(other.total_)), size_(other.size_) {}
    Share& operator=(Share&&) = delete;
    ~Share() {
        if (total_) *total_ -= size_;
    }

private:
    std::shared_ptr<std::size_t> total_{};
    std::size_t size_ = 0;
};

struct Prepared {
    std::string text{};
    std::shared_ptr<const policy::sql::Facts> facts{};
    std::uint64_t epoch{};  // of the session's name space, when facts were made
    std::vector<std::uint32_t> types{};
    Share share{};
};

// What a finished or running execution adds up to.
struct Account {
    std::uint64_t request{};  // 0: nothing was asked
    std::uint64_t rows{};
    std::uint64_t up{};
    std::uint64_t down{};
    bool recorded = false;
};

struct Portal {
    std::shared_ptr<const policy::sql::Facts> facts{};
    std::uint64_t epoch{};  // as in Prepared
    policy::DecisionPtr decision{};
    Account account{};
    bool describe_sent = false;  // the client's Describe or ours is on its way, or answered
    bool described = false;
    std::vector<std::string> column_names{};
    wire::pg::RowDescription columns{};  // names are views into column_names

    // Keeps what a RowDescription said.
    void describe(const wire::pg::RowDescription& fields);
};

inline void Portal::describe(const wire::pg::RowDescription& fields) {
    columns = fields;
    column_names.clear();
    column_names.reserve(fields.size());
    for (auto& column : columns) column.name = column_names.emplace_back(column.name);
}

template <class Thing>
class NameTable {
public:
    using Ptr = std::shared_ptr<Thing>;
    enum class Found { Yes, No, Unsettled };
    struct Answer {
        Found found{};
        Ptr thing{};
    };

    // A message that defines (or with null: closes) a name was forwarded in this window.
    void expect(std::string_view name, Ptr thing, std::uint64_t window) {
        pending_.push_back({std::string{name}, std::move(thing), window});
        pending_named_ += !name.empty();
    }
    // The oldest of those was confirmed.
    struct Confirmed {
        std::string name;
        Ptr thing;   // what it stands for now; null: nothing
        Ptr before;  // what it stood for
    };
    Confirmed confirm() {
        Pending done = std::move(pending_.front());
        pending_.pop_front();
        pending_named_ -= !done.name.empty();
        Ptr before;
        if (const auto it = things_.find(done.name); it != things_.end()) {
            // In place: the unnamed one is made anew with every statement.
            before = std::exchange(it->second, done.thing);
            if (!done.thing) things_.erase(it);
        } else if (done.thing) {
            things_.emplace(done.name, done.thing);
        }
        return {std::move(done.name), std::move(done.thing), std::move(before)};
    }
    // The oldest of those failed or was skipped.
    void drop() {
        pending_named_ -= !pending_.front().name.empty();
        pending_.pop_front();
    }

    Answer find(std::string_view name, std::uint64_t window) const {
        for (auto it = pending_.rbegin(); it != pending_.rend(); ++it) {
            if (it->name != name) continue;
            if (it->window != window) return {Found::Unsettled, {}};
            return {it->thing ? Found::Yes : Found::No, it->thing};
        }
        const auto it = things_.find(name);
        if (it == things_.end()) return {Found::No, {}};
        return {Found::Yes, it->second};
    }
    void erase(std::string_view name) {
        if (const auto it = things_.find(name); it != things_.end()) things_.erase(it);
    }
    void clear() { things_.clear(); }
    // Names that may be in use. A pipeline defines the unnamed one as often as it likes.
    std::size_t size() const { return things_.size() + pending_named_; }
    const auto& things() const { return things_; }

private:
    struct Pending {
        std::string name;
        Ptr thing;
        std::uint64_t window;
    };
    std::map<std::string, Ptr, std::less<>> things_;
    std::deque<Pending> pending_;
    std::size_t pending_named_ = 0;
};

}  // namespace chaperone::session

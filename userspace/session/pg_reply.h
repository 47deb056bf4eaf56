// SPDX-License-Identifier: Apache-2.0
// What the server still owes an answer to, in order: one entry for each message that it will answer
// or skip. The head says what the next reply belongs to.
#pragma once

#include "userspace/session/pg_names.h"
#include "userspace/session/pg_refusal.h"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace chaperone::session {

struct Owed {
    enum class Kind : std::uint8_t {
        Query,
        Parse,
        Bind,
        DescribeStatement,
        DescribePortal,
        Execute,
        CloseStatement,
        ClosePortal,
        Sync,
        CopyEnd,  // CopyDone or CopyFail that was sent before a copy was known to run
    };
    // How far the answer to a Query or an Execute has come.
    enum class State : std::uint8_t { Begun, Rows, CopyIn, CopyOut, CopyBoth, Failed };

    Kind kind = Kind::Sync;
    State state = State::Begun;
    bool own = false;                      // a Describe of ours: its answer is not the client's
    bool unnamed = false;                  // Parse: of the unnamed statement
    bool nameless = false;                 // Bind, Execute: on a name that does not exist
    bool call = false;                     // Query: it is a FunctionCall
    bool unplanned = false;                // Query: a second set of rows within one statement
    std::size_t statement = 0;             // Query: how many of its statements are done
    std::uint64_t epoch = 0;               // of the session's name space, when it was sent
    std::uint64_t serial = 0;              // of what changes it, likewise
    std::unique_ptr<PgRefusal> refusal{};  // it stands for a refused one: its error becomes this
    std::shared_ptr<const policy::sql::Facts> facts{};
    policy::DecisionPtr decision{};
    std::shared_ptr<Portal> portal{};
    Account account{};
    std::string tag{};  // Query: of the last statement that completed
};

// A queue that keeps its memory. Not more than Limits::replies entries are ever in it.
class ReplyQueue {
public:
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    Owed& front() { return ring_[first_]; }
    const Owed& front() const { return ring_[first_]; }
    Owed& at(std::size_t i) { return ring_[(first_ + i) & (ring_.size() - 1)]; }

    // An entry that nothing is set in yet.
    Owed& push() {
        if (size_ == ring_.size()) grow();
        return at(size_++);
    }
    void pop() {
        // In place: every message passes here.
        std::destroy_at(&front());
        std::construct_at(&front());
        first_ = (first_ + 1) & (ring_.size() - 1);
        --size_;
    }
    // Removes the i-th; the others keep their order.
    void remove(std::size_t i) {
        for (; i + 1 < size_; ++i) at(i) = std::move(at(i + 1));
        at(--size_) = {};
    }

private:
    void grow() {
        std::vector<Owed> bigger(ring_.empty() ? 8 : 2 * ring_.size());
        for (std::size_t i = 0; i != size_; ++i) bigger[i] = std::move(at(i));
        ring_ = std::move(bigger);
        first_ = 0;
    }

    std::vector<Owed> ring_;  // a power of two long
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace chaperone::session

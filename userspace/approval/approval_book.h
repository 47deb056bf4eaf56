// SPDX-License-Identifier: Apache-2.0
// The held requests of a host. Pure: time is a parameter, nothing blocks, nothing is stored; the
// daemon guards it with one mutex and writes what happens to the journal. Pending approvals end
// with the process; the daemon records them as cancelled when it starts.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/sha256.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace chaperone::approval {

enum class State { Pending, Granted, Refused, Expired, Cancelled, Used };
std::string_view to_text(State state) noexcept;

// One rule's demand: `count` different people, each of whom one of `by` names. Entries are
// "group:NAME" or "user:NAME".
struct Requirement {
    std::string rule{};
    std::vector<std::string> by{};
    std::uint32_t count = 1;
};

struct StatementScope {};  // this request only, once
struct SessionScope {};    // equal requests of the same session, until it ends
struct DurationScope {     // equal requests of the same workload, until grant + length
    Duration length{};
};
using Scope = std::variant<StatementScope, SessionScope, DurationScope>;

struct Held {
    std::string workload{};
    std::string subject{};
    std::string resource{};
    std::string address{};   // what the agent dialled
    std::uint16_t port = 0;  // the same
    std::string name{};      // the name that it asked for; empty: not known
    std::string database{};  // as the agent named it; empty: none
    std::string login{};     // the user there, as the agent named it; empty: none
    std::string session{};
    std::string statement{};                // what approvers see
    std::vector<std::string> parameters{};  // their text forms
    std::vector<std::string> fields{};      // of an HTTP request, those that change what it means
    std::vector<Requirement> requires_{};   // every one must be met; none at all is Invalid
    Scope scope = StatementScope{};
    Digest digest{};                             // of everything that makes two requests the same
    std::uint32_t uid = 0;                       // of the process that asks
    std::string user{};                          // its login name, if known
    Duration within = std::chrono::minutes{10};  // time to answer
};

struct Approver {
    std::string name{};
    std::uint32_t uid = 0;
    std::string subject{};  // for remote approvers; empty for local ones
    std::vector<std::string> groups{};
    bool governed = false;  // its process belongs to a workload: it approves nothing
};

struct Vote {
    Approver by{};
    std::string reason{};
    Time time{};
};

struct Approval {
    std::string id{};
    State state = State::Pending;
    Held held{};
    Time request_time{};
    Time expire_time{};  // pending: answered before it; granted: used before it
    std::vector<Vote> votes{};
    std::string reason{};  // of the refusal or cancellation
    std::string ended_by{};
};

// Called once, inside the call that ended the wait, with the book's lock held: hand over, do not
// call back into the book.
using Waiter = std::function<void(const Approval&)>;

struct Limits {
    // An agent must not fill memory, nor a person's list, by asking.
    std::size_t pending = 10'000;
    std::size_t pending_of_session = 64;
    // Of all its sessions: what one workload fills, the others need.
    std::size_t pending_of_workload = 1'000;
    std::size_t bytes_of_workload = std::size_t{16} << 20;  // statements and parameters of those
    std::size_t kept = 10'000;                              // ended ones that list() still shows
    std::size_t kept_bytes = std::size_t{32} << 20;         // their statements and parameters
    // A grant that nobody comes to use ends after it.
    Duration use_within = std::chrono::minutes{5};
};

class ApprovalBook {
public:
    explicit ApprovalBook(Limits limits = {}) : limits_(limits) {}

    // Holds a request. Its id; or the approval of a window that covers it already (state Granted,
    // the waiter is not called). TooLarge if too many are pending; Invalid for an impossible
    // demand.
    struct Asked {
        std::string id{};
        bool covered = false;
        bool joined = false;  // one that was left: its grant, if covered, or still pending
    };
    // An equal request of the same asker that was left is joined: what was granted is covered, what
    // is pending goes on with this waiter.
    Result<Asked> request(Held held, Time now, Waiter waiter);
    // Its requester no longer waits, and may come again: a pending one outlives its session, and a
    // grant waits for an equal request. `waiter` is told instead of the requester how it ends.
    void leave(std::string_view id, Waiter waiter);

    // A vote for it. The state after it: Pending while more people are needed. Denied if this
    // person may not (requester, governed, in no list), Exists if they voted already, NotFound,
    // Expired, or UnexpectedMessage if it is not pending.
    Result<State> grant(std::string_view id, const Approver& approver, std::string reason,
                        Time now);
    // One person whom the requirements name is enough to refuse.
    Result<> refuse(std::string_view id, const Approver& approver, std::string reason, Time now);
    // The requester withdrew, or its session ended.
    Result<> cancel(std::string_view id, std::string reason, Time now);
    // Ends a granted one or its window before its time. Who may refuse may revoke.
    Result<> revoke(std::string_view id, const Approver& approver, std::string reason, Time now);
    // Spends a grant, for exactly this digest. A statement grant is Used after it; a window's
    // stays Granted until its own end. Denied for another digest.
    Result<> use(std::string_view id, const Digest& digest, Time now);

    // Cancels what is pending of a session and ends its windows.
    void end_session(std::string_view session, Time now);
    // Ends what is over. Call it at next_expiry().
    void expire(Time now);
    std::optional<Time> next_expiry() const;

    const Approval* find(std::string_view id) const;
    // Newest first; of this state only, if given.
    std::vector<Approval> list(std::optional<State> state = {}) const;

private:
    struct Item {
        Approval approval{};
        Waiter waiter{};
        bool left = false;
    };
    using Items = std::map<std::string, Item, std::less<>>;

    Result<Item*> pending(std::string_view id, Time now);
    void end(Item& item, State state, std::string by, std::string reason);
    bool over(const Item& item, Time now) const;
    const Item* window_for(const Held& held, Time now) const;
    Item* left_for(const Held& held, Time now);
    void forget_oldest();
    Result<> check_room(const Held& held) const;

    Limits limits_;
    Items items_;
    std::size_t pending_ = 0;
    std::size_t ended_bytes_ = 0;
    std::deque<std::string> ended_;  // oldest first
};

}  // namespace chaperone::approval

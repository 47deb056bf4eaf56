// SPDX-License-Identifier: Apache-2.0
// The one gate: every request of every protocol is put to policy here, waits here for a person
// where policy says so, and is in the journal before its answer is given. One Gate a session, on
// the session's thread.
#pragma once

#include "policy/decision.h"
#include "policy/request.h"
#include "userspace/base/clock.h"
#include "userspace/base/sha256.h"
#include "userspace/net/proxy.h"
#include "userspace/net/registry.h"
#include "userspace/net/session_journal.h"
#include "userspace/record/record.pb.h"
#include "userspace/session/machine.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::policy {
class SessionPolicy;
}
namespace chaperone::policy::bundle {
class Bundle;
struct Resource;
}  // namespace chaperone::policy::bundle

namespace chaperone::net {

struct Shared;

// Called on the session's thread, in the order Held, Answered; Held may be left out.
class Waiting {
public:
    virtual ~Waiting() = default;
    virtual void held(session::Tag tag, const std::string& approval, Time expires) = 0;
    virtual void answered(session::Answer answer) = 0;
};

class Gate {
public:
    // Runs a function later on the session's thread, if the session still exists then.
    using Post = std::function<void(std::function<void(Waiting&)>)>;

    // `live` is what others see of the session; a `refusal` denies whatever is asked.
    Gate(Shared& shared, LivePtr live, std::shared_ptr<const policy::SessionFacts> facts,
         std::string refusal, Post post);
    ~Gate();

    // Writes that the session began. An error: it must not begin.
    Result<> open(const std::string& client_address, std::uint16_t client_port);
    // The answer, or nullopt: a person is asked, and Waiting hears of it.
    std::optional<session::Answer> ask(const policy::Request& request, session::Tag tag);
    void withdraw(session::Tag tag);  // if it is held
    void leave(session::Tag tag);     // if it is held: the approval outlives this session
    std::size_t holding() const { return pending_.size(); }
    // What policy says of a message that nobody can wait with. `record`: it is a request of its
    // own, and in the journal when this returns; null: it could not be written.
    policy::DecisionPtr probe(const policy::Request& request, bool record);
    // Once after each change of the bundle: why a session like this does not open any more.
    std::optional<std::string> left_out();
    // Outcomes wait a moment, to be written together with what comes next; see flush().
    void record(const session::Outcome& outcome);
    // Writes outcomes that wait. The owner of a session's thread calls it several times a second.
    void flush();
    // For the record of the session's end: where it went, and that others went there before.
    void went_to(std::string address, std::uint16_t port) {
        upstream_address_ = std::move(address);
        upstream_port_ = port;
    }
    void reused() { reused_ = true; }
    void close(std::string_view reason);

private:
    struct Open {  // a request that was let through and has no outcome yet
        std::uint64_t number{};
        std::chrono::steady_clock::time_point since{};
    };
    struct Pending {  // a question that a person is asked
        session::Tag tag{};
        std::string approval{};
        std::uint64_t number{};
    };

    policy::DecisionPtr decide(const policy::Request& request);
    void await_outcome(std::uint64_t number);
    std::chrono::nanoseconds time_taken(std::uint64_t number);  // and it is awaited no more
    std::shared_ptr<const policy::SessionFacts> labelled(
        const policy::bundle::Bundle& bundle, const policy::bundle::Resource* resource) const;
    Result<> write(const policy::Request& request, const policy::DecisionPtr& decision,
                   std::uint64_t number, const std::string& approval);
    std::optional<session::Answer> hold(const policy::Request& request,
                                        policy::DecisionPtr decision, std::uint64_t number,
                                        session::Tag tag);
    std::optional<Pending> take(session::Tag tag);
    bool take(const std::string& approval);
    session::Answer use_grant(const std::string& approval, const Digest& digest,
                              policy::DecisionPtr decision, std::uint64_t number, session::Tag tag);
    session::Answer answer(session::Verdict verdict, policy::DecisionPtr decision,
                           std::uint64_t number, std::string reason, session::Tag tag);
    void journal_approval(record::ApprovalEntry::State state, const std::string& approval,
                          std::uint64_t number, const std::string& reason);

    Shared& shared_;
    LivePtr live_;
    std::shared_ptr<const policy::SessionFacts> facts_;
    std::string refusal_;
    Post post_;
    std::unique_ptr<policy::SessionPolicy> policy_;
    std::vector<Pending> pending_;  // few: a search from the front is the fastest
    std::vector<Open> open_;
    std::size_t open_from_ = 0;  // what stands before is done
    bool asked_ = false;         // a person, once at least
    SessionJournal journal_;
    std::chrono::steady_clock::time_point began_{};
    std::uint64_t generation_ = 0;  // of the bundle that policy_ was made of
    std::uint64_t stands_ = 0;      // under this one the session opened, or might have
    std::string upstream_address_;
    std::uint16_t upstream_port_ = 0;
    bool reused_ = false;
    bool opened_ = false;
};

}  // namespace chaperone::net

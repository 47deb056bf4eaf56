// SPDX-License-Identifier: Apache-2.0
// A cache of the journal for questions: sessions by filter and full text of what they said, and
// requests that were refused or held.
// SQLite; rebuilt from the segments whenever it does not fit them, so losing it loses nothing.
// Thread-safe. It is fed by a Feed or by catch_up(), never from the append path.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/record/reader.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace chaperone::record {

struct SessionSummary {
    std::string id{};
    std::string workload{};
    std::string subject{};
    std::string resource{};
    std::string protocol{};
    std::string address{};
    std::uint32_t port = 0;
    std::string name{};
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::string comm{};
    std::string state{};  // open | closed
    Time start_time{};
    std::optional<Time> end_time{};
    std::string end_reason{};
    std::uint64_t requests = 0;
    std::uint64_t rows = 0;
    std::uint64_t bytes_up = 0;
    std::uint64_t bytes_down = 0;
    std::string effect{};  // the gravest of its requests: deny, approve, mask, allow; or empty
    bool shadow = false;   // rules in shadow mode would have acted on one of its requests
    std::string peer{};    // the governed workload that listens there
};

struct RequestSummary {
    std::uint64_t index = 0;  // of its entry
    Location where{};
    std::string session{};
    std::uint64_t number = 0;
    Time time{};
    std::string kind{};
    std::string statement{};
    std::string effect{};
    std::string rule{};
    std::string approval{};
    std::string status{};
    std::string code{};
    std::uint64_t rows = 0;
    std::optional<Duration> duration{};
};

// Empty fields match everything.
struct Filter {
    std::string session{};
    std::string workload{};  // or peer
    std::string subject{};
    std::string resource{};
    std::string protocol{};
    std::string effect{};
    std::string state{};
    std::string text{};  // words that one statement of the session must have, all of them
    std::string end_reason{};
    bool shadow = false;  // only sessions on which rules in shadow mode would have acted
    std::optional<Time> since{};
    std::optional<Time> until{};
    std::uint32_t limit = 100;  // at most 10,000
    std::uint32_t offset = 0;
};

// The end of sessions that have no entry for it when a daemon starts.
inline constexpr const char* kDaemonEnded = "the daemon ended";

class Index {
public:
    // Opens or makes the database; one of another version is replaced. It has nothing of the
    // journal before the first catch_up().
    static Result<std::unique_ptr<Index>> open(const std::filesystem::path& file);
    Index(const Index&) = delete;
    Index& operator=(const Index&) = delete;
    ~Index();

    // Takes up what the journal has and the index has not; starts anew if the index is ahead of
    // it or was made from another one. Progress: entries taken so far.
    Result<> catch_up(const std::filesystem::path& journal,
                      const std::function<void(std::uint64_t)>& progress = {});
    // The same for at most `most` entries, by a caller who is in no hurry: he ends early, or waits,
    // where anybody else wants to know something. False: there is no more. One caller at a time.
    enum class Pace { Even, Idle };  // Idle: while no other thread of the machine has work to do
    Result<bool> catch_up_some(const std::filesystem::path& journal, std::size_t most,
                               Pace pace = Pace::Even);
    // For good: what is under way gives up, whatever is left to do, with Unavailable.
    void stop();
    // The entry that it takes next.
    std::uint64_t next() const;

    // Newest first.
    Result<std::vector<SessionSummary>> sessions(const Filter& filter) const;
    // Those that were denied or held; what passed is in the journal only. Filter::text, state,
    // end_reason and shadow are not looked at.
    Result<std::vector<RequestSummary>> requests(const Filter& filter) const;
    // NotFound if there is none. A prefix of an id is taken if only one session has it.
    Result<SessionSummary> session(std::string_view id) const;
    // All entries of a session, in order, read from the journal.
    Result<std::vector<Stored>> entries_of(std::string_view session,
                                           const std::filesystem::path& journal) const;

private:
    struct State;
    class Turn;
    explicit Index(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// What is behind an Index; its parts are index.cpp (the database, catching up), index_batch.cpp and
// index_add.cpp (from entries to rows) and index_query.cpp (from rows to answers).
#pragma once

#include "userspace/base/idle_time.h"
#include "userspace/record/entries.h"
#include "userspace/record/index.h"
#include "userspace/record/index_batch.h"
#include "userspace/record/sqlite.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::record {

struct Index::State {
    sqlite3* database = nullptr;
    std::uint64_t next = 0;
    mutable std::timed_mutex mutex;
    mutable std::condition_variable_any calm;  // nobody is in a hurry
    mutable std::atomic<int> in_a_hurry = 0;   // those that wait for the mutex, or have it
    std::atomic<bool> stopping = false;
    IdleTime idle_time;  // of who catches up in no hurry
    std::map<std::string, Statement, std::less<>> prepared;
    std::map<std::string, std::int64_t, std::less<>> statements;  // to rows of `words`
    std::size_t statements_size = 0;                              // in bytes
    // Of whoever catches up bit by bit; none: it must be found anew where to go on.
    std::optional<Reader> reader;
    std::filesystem::path read_from;  // the journal, by it
    std::uint64_t read_upto = 0;      // the entry that it gives next
    Entries entries;                  // that are being taken up

    ~State() {
        prepared.clear();
        sqlite3_close_v2(database);
    }
    Statement& statement(std::string_view sql) {
        const auto found = prepared.find(sql);
        if (found != prepared.end()) return found->second;
        std::string text{sql};
        Statement made{database, text};
        return prepared.emplace(std::move(text), std::move(made)).first->second;
    }
    Result<> execute(const char* sql) {
        if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
        return fail(Errc::System, std::string{"the index: "} + sqlite3_errmsg(database));
    }
    // All of them or, where it gives way to others, at least the first; or none.
    Result<> add(Entries& bunch, bool gives_way = false);
    Result<> add_alone(const EntryView& entry);
    Result<> write(const IndexBatch& batch);
    Result<> write_request(const RequestRow& row);
    Result<std::int64_t> statement_of(const SpokenRow& row);
    Result<> write_spoken(std::span<const SpokenRow> rows);
    void forget_statements();
    Result<> write_late(const EntryView& result);
    Result<> write_start(const SessionRow& row);
    Result<> write_rest(const SessionRow& row);
    Result<> put_start(const char* verb, const SessionRow& row);
    Result<bool> follows(Reader& reader) const;
    Result<bool> take_next(Reader& reader);
    Result<Reader> reader_of(const std::filesystem::path& journal);
    Result<> stand_at_next(const std::filesystem::path& journal);
    Result<> clear();
};

// The mutex, for somebody whom others wait for: who catches up in no hurry gives way.
class Index::Turn {
public:
    explicit Turn(const State& state) : state_(state) {
        ++state_.in_a_hurry;
        do state_.idle_time.hurry();
        while (!state_.mutex.try_lock_for(std::chrono::milliseconds{10}));
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
        if (--state_.in_a_hurry == 0) state_.calm.notify_all();
        state_.mutex.unlock();
    }

private:
    const State& state_;
};

}  // namespace chaperone::record

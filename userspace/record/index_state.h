// SPDX-License-Identifier: Apache-2.0
// What is behind an Index; its parts are index.cpp (the database, catching up), index_add.cpp (from
// entries to rows) and index_query.cpp (from rows to answers).
#pragma once

#include "userspace/record/index.h"
#include "userspace/record/sqlite.h"

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace chaperone::record {

// How grave an effect is, for the gravest of a session; 0: none.
int gravity(std::string_view effect);

struct Index::State {
    sqlite3* database = nullptr;
    std::uint64_t next = 0;
    mutable std::mutex mutex;
    std::map<std::string, Statement> prepared;

    ~State() {
        prepared.clear();
        sqlite3_close_v2(database);
    }
    Statement& statement(const std::string& sql) {
        const auto found = prepared.find(sql);
        if (found != prepared.end()) return found->second;
        return prepared.emplace(sql, Statement{database, sql}).first->second;
    }
    Result<> execute(const char* sql) {
        if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
        return fail(Errc::System, std::string{"the index: "} + sqlite3_errmsg(database));
    }
    Result<> add(std::span<const Stored> entries);
    Result<> add_one(const Stored& stored);
    Result<> add_start(const Stored& stored);
    Result<> add_request(const Stored& stored);
    Result<> add_result(const ResultEntry& result);
    Result<> add_end(const Entry& entry);
    Result<bool> fits(const std::filesystem::path& journal);
    Result<Reader> reader_of(const std::filesystem::path& journal);
    Result<> clear();
};

}  // namespace chaperone::record

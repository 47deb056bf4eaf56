// SPDX-License-Identifier: Apache-2.0
// SQLite as the index uses it: prepared statements, and conditions with their values. Heavy; for
// .cpp files only. As thread-safe as the connection under it.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <sqlite3.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::record {

inline std::int64_t as_signed(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

// A prepared statement, bound in order and read in order.
class Statement {
public:
    Statement(sqlite3* database, const std::string& sql) : database_(database) {
        code_ = sqlite3_prepare_v3(database, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT,
                                   &statement_, nullptr);
    }
    Statement(Statement&& other) noexcept
        : database_(other.database_),
          statement_(std::exchange(other.statement_, nullptr)),
          code_(other.code_) {}
    Statement& operator=(Statement&&) = delete;
    ~Statement() { sqlite3_finalize(statement_); }

    // The text must live until the statement has run.
    Statement& bind(std::string_view text) {
        const char* data = text.empty() ? "" : text.data();  // a null pointer is NULL
        return note(sqlite3_bind_text64(statement_, ++bound_, data, text.size(), SQLITE_STATIC,
                                        SQLITE_UTF8));
    }
    Statement& bind(std::int64_t value) {
        return note(sqlite3_bind_int64(statement_, ++bound_, value));
    }
    Statement& bind_blob(Bytes bytes) {
        return note(
            sqlite3_bind_blob64(statement_, ++bound_, bytes.data(), bytes.size(), SQLITE_STATIC));
    }
    Statement& bind_null() { return note(sqlite3_bind_null(statement_, ++bound_)); }
    bool step() {
        read_ = 0;
        if (code_ == SQLITE_OK || code_ == SQLITE_ROW) code_ = sqlite3_step(statement_);
        return code_ == SQLITE_ROW;
    }
    // Runs it to its end and makes it ready for the next values.
    Result<> run() {
        while (step()) {
        }
        const auto done = result();
        sqlite3_reset(statement_);
        bound_ = 0;
        code_ = SQLITE_OK;
        return done;
    }
    Result<> result() const {
        if (code_ == SQLITE_OK || code_ == SQLITE_DONE || code_ == SQLITE_ROW) return {};
        return fail(Errc::System, std::string{"the index: "} + sqlite3_errmsg(database_));
    }
    std::string text() {
        const int column = read_++;
        const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        if (data == nullptr) return {};
        return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }
    Buffer blob() {
        const int column = read_++;
        const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
        if (data == nullptr) return {};
        return {data, data + sqlite3_column_bytes(statement_, column)};
    }
    std::int64_t number() { return sqlite3_column_int64(statement_, read_++); }
    std::optional<std::int64_t> optional_number() {
        const int column = read_++;
        if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
        return sqlite3_column_int64(statement_, column);
    }
    std::uint64_t count() { return static_cast<std::uint64_t>(number()); }
    Time time() { return Time{Duration{number()}}; }

private:
    Statement& note(int code) {
        if (code_ == SQLITE_OK) code_ = code;
        return *this;
    }

    sqlite3* database_;
    sqlite3_stmt* statement_ = nullptr;
    int code_ = SQLITE_OK;
    int bound_ = 0;
    int read_ = 0;
};

// Conditions of a question and their values, in step.
class Where {
public:
    void equal(const char* column, const std::string& value) {
        if (!value.empty()) add(std::string{column} + " = ?", value);
    }
    void add(std::string condition, std::string value) {
        append(std::move(condition));
        texts_.emplace_back(std::move(value));
        is_text_.push_back(true);
    }
    void add(std::string condition, std::int64_t value) {
        append(std::move(condition));
        numbers_.push_back(value);
        is_text_.push_back(false);
    }
    void add(std::string condition) { append(std::move(condition)); }
    std::string sql() const { return sql_.empty() ? "" : " WHERE " + sql_; }
    void bind(Statement& statement) const {
        std::size_t text = 0;
        std::size_t number = 0;
        for (const bool is_text : is_text_)
            if (is_text)
                statement.bind(texts_[text++]);
            else
                statement.bind(numbers_[number++]);
    }

private:
    void append(std::string condition) {
        if (!sql_.empty()) sql_ += " AND ";
        sql_ += condition;
    }
    std::string sql_;
    std::vector<std::string> texts_;
    std::vector<std::int64_t> numbers_;
    std::vector<bool> is_text_;
};

}  // namespace chaperone::record

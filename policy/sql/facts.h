// SPDX-License-Identifier: Apache-2.0
// What a SQL text does: its effects, the objects and columns it touches, and from which stored
// columns each of its results derives. Plain values; README.md is the taxonomy. A Facts is made
// once by an Analyzer and then shared, immutable, between sessions and threads.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql {

enum class EffectKind : std::uint8_t {
    Read,
    Insert,
    Update,
    Delete,
    Create,
    Alter,
    Drop,
    Truncate,
    Grant,
    Session,
    Transaction,
    CopyIn,
    CopyOut,
    File,
    Program,
    Call,
    Lock,
    Listen,
    Notify,
    Maintain,
    Unknown,
};

// "read", "copy_in" …; the names that policies use.
std::string_view to_text(EffectKind kind) noexcept;
std::optional<EffectKind> effect_kind(std::string_view text) noexcept;

// One thing that the text does. object is "schema.name" for what lives in a schema, else the bare
// name of the role, setting, channel, extension, prepared statement …, else a file or a command;
// empty: no object (BEGIN) or one that cannot be named. columns: sorted, without duplicates; "*" is
// all of them (or which ones cannot be told), empty: no column plays a part.
struct Effect {
    EffectKind kind = EffectKind::Unknown;
    std::string object{};
    std::vector<std::string> columns{};
    auto operator<=>(const Effect&) const = default;
};

// A stored column. column "*": any column of the relation.
struct ColumnRef {
    std::string schema{};
    std::string relation{};
    std::string column{};
    auto operator<=>(const ColumnRef&) const = default;
};

// One column of a result. sources: every stored column whose values can appear in it, in whole or
// in part, sorted. count(…), EXISTS and IS NULL carry no value and add no source.
struct OutputColumn {
    std::string name{};
    std::vector<ColumnRef> sources{};
    bool unknown = false;  // it may hold values of columns we cannot name: mask it whole
    bool direct = false;   // exactly one stored column, its values unchanged
    bool own = false;      // … of a table that the session has made, which no Catalog need show
    bool operator==(const OutputColumn&) const = default;
};

// Values of source are written to target ("schema.relation"; column empty: which one is unknown).
// A source with an empty relation: values whose origin is unknown.
struct Flow {
    ColumnRef source{};
    std::string target{};
    std::string column{};
    auto operator<=>(const Flow&) const = default;
};

// How COPY writes or reads its lines; defaults are those of the text format.
struct CopyFormat {
    enum class Kind : std::uint8_t { Text, Csv, Binary };
    Kind kind = Kind::Text;
    char delimiter = '\t';
    std::string null_text = "\\N";
    char quote = '"';
    char escape = '"';
    bool header = false;
    std::vector<std::string> force_quote{};  // names of columns; "*": all
    std::string encoding{};                  // empty: the client's
};

struct CopyOut {
    CopyFormat format{};
    bool to_client = true;  // else to a file or a program of the server
};

struct CopyIn {
    CopyFormat format{};
    bool from_client = true;
    std::string target{};                // "schema.relation"
    std::vector<std::string> columns{};  // empty: all
};

struct Facts;

// What a statement does to the session, for those who keep its state. It takes effect only if the
// statement succeeds; Local settings end with the transaction; prepared statements outlive a
// rollback, cursors without HOLD do not outlive the transaction.
struct SessionChange {
    enum class Kind : std::uint8_t {
        Prepare,
        Execute,
        Deallocate,
        DeclareCursor,
        Fetch,
        CloseCursor,
        SetParameter,
        ResetParameter,
        Discard,
        Begin,
        Commit,
        Rollback,
        Savepoint,
        ReleaseSavepoint,
        RollbackToSavepoint,
        PrepareTransaction,
        SetRole,
        SetSessionAuthorization,
    };
    Kind kind{};
    std::string name{};   // of statement, cursor, parameter, savepoint, role; empty: ALL (or none)
    std::string value{};  // of the parameter; DISCARD's target in lower case
    bool certain = true;  // false: name or value is computed at run time
    bool local = false;   // SET LOCAL, set_config(…, true)
    bool hold = false;    // DECLARE … WITH HOLD
    std::shared_ptr<const Facts> body{};  // Prepare, DeclareCursor: what will run
};

// CREATE TABLE with its columns written out: what its name stands for once it has succeeded.
struct MadeTable {
    std::string schema{};  // pg_temp: temporary
    std::string name{};
    std::vector<std::string> columns{};
    bool until_commit = false;  // ON COMMIT DROP
};

struct Statement {
    std::string command{};   // the command tag: "SELECT", "CREATE TABLE", "COPY" …
    std::size_t offset = 0;  // bytes of the text
    std::size_t length = 0;
    bool returns_rows = false;
    // False: how many columns come back, or which, cannot be known: mask every column.
    bool outputs_known = true;
    std::vector<OutputColumn> outputs{};  // of the rows, or of COPY … TO
    std::optional<CopyOut> copy_out{};
    std::optional<CopyIn> copy_in{};
    std::vector<SessionChange> changes{};
    std::optional<MadeTable> makes{};
    bool relates = false;  // CREATE TABLE: rows of one table show under another's name, too
};

struct Facts {
    bool parsed = false;  // false: effects is one Unknown, statements is empty
    std::string error{};  // why not; never holds bytes of the text
    std::vector<Statement> statements{};
    std::vector<Effect> effects{};      // sorted, one per kind and object
    std::vector<std::string> reads{};   // objects of Read, CopyOut; sorted, distinct
    std::vector<std::string> writes{};  // … of Insert, Update, Delete, Truncate, CopyIn, Create …
    std::vector<std::string> functions{};  // "schema.name" as resolved; sorted, distinct
    std::vector<std::string> through{};    // relations reached only through views
    // Columns that decide which rows come, in what order, or what happens: WHERE, JOIN, HAVING,
    // GROUP and ORDER BY, count(). They do not appear in results but can be inferred from them.
    std::vector<ColumnRef> filters{};
    std::vector<Flow> flows{};
    bool uses_session = false;    // has EXECUTE, FETCH …: depends on Context::session
    bool changes_schema = false;  // the catalog may be stale once it has run
    // … and what it tells of a name may be wrong. False for CREATE SCHEMA and CREATE EXTENSION,
    // which only add to it: a script of an extension stands on the server's disk, for all
    // databases, and makes objects of its own.
    bool changes_names = false;
    bool stale = false;    // names what the session changed since the catalog was read
    bool executes = true;  // false: only plain EXPLAIN, nothing runs

    bool does(EffectKind kind) const noexcept;
};

// Whether a decision on one holds for the other: all that policies and masks look at is the same.
bool same_doings(const Facts& a, const Facts& b);

// A Facts that says "unknown", for texts that nobody may or can analyse.
std::shared_ptr<const Facts> unparsed(std::string error);

}  // namespace chaperone::policy::sql

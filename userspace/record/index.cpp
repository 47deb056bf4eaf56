// SPDX-License-Identifier: Apache-2.0
// One connection behind one mutex: questions are answered in milliseconds and are asked by people.
// The database is written without fsync, as what is lost is read again from the segments.
#include "userspace/record/index.h"

#include "userspace/record/index_state.h"

#include <algorithm>

namespace chaperone::record {
namespace {

constexpr int kVersion = 4;           // of the tables; another one is thrown away
constexpr std::size_t kBatch = 2000;  // entries in one transaction

constexpr const char* kTables = R"sql(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 0), next INTEGER, last BLOB,
  segment INTEGER, offset INTEGER);
INSERT OR IGNORE INTO meta VALUES (0, 0, NULL, 0, 0);
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, first INTEGER, workload TEXT, subject TEXT, resource TEXT, protocol TEXT,
  address TEXT, port INTEGER, name TEXT, pid INTEGER, uid INTEGER, comm TEXT,
  started INTEGER, ended INTEGER, end_reason TEXT DEFAULT '',
  requests INTEGER DEFAULT 0, rows INTEGER DEFAULT 0, up INTEGER DEFAULT 0, down INTEGER DEFAULT 0,
  gravity INTEGER DEFAULT 0, shadow INTEGER DEFAULT 0, peer TEXT DEFAULT '') WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_started ON sessions (started);
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, segment INTEGER, offset INTEGER, session TEXT, number INTEGER,
  time INTEGER, kind TEXT, statement TEXT, effect TEXT, rule TEXT, approval TEXT,
  status TEXT DEFAULT '', code TEXT DEFAULT '', rows INTEGER DEFAULT 0, duration INTEGER);
CREATE INDEX IF NOT EXISTS requests_session ON requests (session, number);
CREATE INDEX IF NOT EXISTS requests_time ON requests (time);
CREATE TABLE IF NOT EXISTS places (
  session TEXT, id INTEGER, packed BLOB, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (statement, content='', tokenize='unicode61');
)sql";

}  // namespace

Result<> Index::State::clear() {
    next = 0;
    return execute(
        "DELETE FROM sessions; DELETE FROM requests; DELETE FROM places; DROP TABLE words;"
        "CREATE VIRTUAL TABLE words USING fts5 (statement, content='', "
        "tokenize='unicode61'); UPDATE meta SET next = 0, last = NULL;");
}

// Whether the journal's entry before next() is the one that the index took last; the reader then
// stands behind it.
Result<bool> Index::State::follows(Reader& reader) const {
    if (next == 0) return true;
    if (next - 1 < reader.first()) return next == reader.first();
    Statement meta{database, "SELECT segment, offset, hex(last) FROM meta"};
    if (!meta.step()) return false;
    const auto segment = static_cast<std::uint32_t>(meta.number());
    const Location where{segment, meta.count()};
    if (!reader.seek(next - 1, where)) return false;
    const auto stored = reader.next();
    if (!stored || !stored->has_value()) return false;
    const std::string bytes = (*stored)->entry.SerializeAsString();
    Statement same{database, "SELECT hex(?)"};
    same.bind_blob(leaf_hash(as_bytes(bytes)));
    return same.step() && same.text() == meta.text();
}

Index::Index(std::unique_ptr<State> state) : state_(std::move(state)) {}
Index::~Index() = default;

Result<std::unique_ptr<Index>> Index::open(const std::filesystem::path& file) {
    for (int attempt = 0;; ++attempt) {
        auto state = std::make_unique<State>();
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        Result<> done{};
        if (sqlite3_open_v2(file.c_str(), &state->database, flags, nullptr) != SQLITE_OK)
            done = fail(Errc::System, "open " + file.string());
        // Its files stay the same ones: an agent's sandbox closes those that are there.
        int persist = 1;
        if (done)
            (void)sqlite3_file_control(state->database, nullptr, SQLITE_FCNTL_PERSIST_WAL,
                                       &persist);
        std::int64_t version = 0;
        if (done) {
            Statement pragma{state->database, "PRAGMA user_version"};
            if (pragma.step())
                version = pragma.number();
            else
                done = fail(Errc::Corrupt, file.string() + " is no database");
        }
        if (done && version != 0 && version != kVersion)
            done = fail(Errc::Corrupt, "another version");
        if (done) done = state->execute(kTables);
        if (done)
            done = state->execute(("PRAGMA user_version = " + std::to_string(kVersion)).c_str());
        if (done) {
            Statement meta{state->database, "SELECT next FROM meta"};
            if (meta.step()) state->next = meta.count();
            std::error_code error;
            std::filesystem::permissions(file, std::filesystem::perms{0600}, error);
            return std::unique_ptr<Index>{new Index{std::move(state)}};
        }
        if (attempt != 0) return fail(done.error());
        // It is a cache: a damaged one is made anew.
        state.reset();
        std::error_code error;
        for (const char* suffix : {"", "-wal", "-shm"})
            std::filesystem::remove(file.string() + suffix, error);
    }
}

// A reader at the first entry that the index does not have; the index is emptied if it is not of
// this journal.
Result<Reader> Index::State::reader_of(const std::filesystem::path& journal) {
    auto found = Reader::open(journal);
    if (!found) return fail(found.error());
    const auto fitting = follows(*found);
    if (!fitting) return fail(fitting.error());
    if (*fitting) return found;
    if (auto done = clear(); !done) return fail(done.error());
    return Reader::open(journal);
}

// The same for `reader`, without looking again at what was looked at before.
Result<> Index::State::stand_at_next(const std::filesystem::path& journal) {
    if (reader && read_from == journal && read_upto == next) return {};
    reader.reset();
    auto found = reader_of(journal);
    if (!found) return fail(found.error());
    reader = std::move(*found);
    read_from = journal;
    read_upto = next;
    return {};
}

Result<std::optional<Stored>> Index::State::next_of(Reader& reader) const {
    if (stopping) return fail(Errc::Unavailable, "the index is being closed");
    return reader.next();
}

Result<bool> Index::catch_up_some(const std::filesystem::path& journal, std::size_t most) {
    std::unique_lock lock{state_->mutex};
    state_->calm.wait(lock, [&] { return state_->in_a_hurry == 0 || state_->stopping; });
    if (auto found = state_->stand_at_next(journal); !found) return fail(found.error());
    std::vector<Stored> batch;
    while (batch.size() < most && (state_->in_a_hurry == 0 || batch.empty())) {
        auto stored = state_->next_of(*state_->reader);
        if (!stored) state_->reader.reset();
        if (!stored) return fail(stored.error());
        if (!stored->has_value()) break;
        state_->read_upto = (*stored)->index + 1;
        batch.push_back(**std::move(stored));
    }
    if (auto done = state_->add(batch, true); !done) return fail(done.error());
    return !batch.empty() && (batch.size() == most || state_->in_a_hurry != 0);
}

Result<> Index::catch_up(const std::filesystem::path& journal,
                         const std::function<void(std::uint64_t)>& progress) {
    const Turn turn{*state_};
    auto reader = state_->reader_of(journal);
    if (!reader) return fail(reader.error());
    for (std::vector<Stored> batch;;) {
        auto stored = state_->next_of(*reader);
        if (!stored) return fail(stored.error());
        const bool more = stored->has_value();
        if (more) batch.push_back(**std::move(stored));
        if (batch.size() < kBatch && more) continue;
        if (auto done = state_->add(batch); !done) return done;
        batch.clear();
        if (progress) progress(state_->next);
        if (!more) return {};
    }
}

Result<> Index::add(std::span<const Stored> entries) {
    const Turn turn{*state_};
    if (!entries.empty() && entries.front().index > state_->next)
        return fail(Errc::Invalid, "the index has not the entries before " +
                                       std::to_string(entries.front().index));
    return state_->add(entries);
}

void Index::stop() {
    state_->stopping = true;
    sqlite3_interrupt(state_->database);  // may be called while others use it
    const std::lock_guard lock{state_->mutex};
    state_->calm.notify_all();
}

std::uint64_t Index::next() const {
    const Turn turn{*state_};
    return state_->next;
}

}  // namespace chaperone::record

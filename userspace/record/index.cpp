// SPDX-License-Identifier: Apache-2.0
// One connection behind one mutex: questions are answered in milliseconds and are asked by people.
// The database is written without fsync, as what is lost is read again from the segments.
#include "userspace/record/index.h"

#include "userspace/record/index_state.h"

#include <algorithm>

namespace chaperone::record {
namespace {

constexpr int kVersion = 5;  // of the tables; another one is thrown away
// Entries in one transaction, and their bytes.
constexpr std::size_t kBatch = 2000;
constexpr std::size_t kBatchBytes = std::size_t{8} << 20;

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
  gravity INTEGER DEFAULT 0, shadow INTEGER DEFAULT 0, peer TEXT DEFAULT '',
  places BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, segment INTEGER, offset INTEGER, session TEXT, number INTEGER,
  time INTEGER, kind TEXT, statement TEXT, effect TEXT, rule TEXT, approval TEXT,
  status TEXT DEFAULT '', code TEXT DEFAULT '', rows INTEGER DEFAULT 0, duration INTEGER);
CREATE INDEX IF NOT EXISTS requests_session ON requests (session, number);
CREATE TABLE IF NOT EXISTS places (
  session TEXT, id INTEGER, packed BLOB, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spoken (
  statement INTEGER, session TEXT, PRIMARY KEY (statement, session)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (statement, content='', tokenize='unicode61');
)sql";

}  // namespace

Result<> Index::State::clear() {
    next = 0;
    forget_statements();
    return execute(
        "DELETE FROM sessions; DELETE FROM requests; DELETE FROM places; DELETE FROM spoken; "
        "DROP TABLE words;"
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
    const auto framed = reader.next_framed();
    if (!framed || !framed->has_value()) return false;
    Statement same{database, "SELECT hex(?)"};
    const Digest leaf = leaf_hash((*framed)->bytes);
    same.bind_blob(leaf);
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

// False: there is none.
Result<bool> Index::State::take_next(Reader& from) {
    if (stopping) return fail(Errc::Unavailable, "the index is being closed");
    const auto framed = from.next_framed();
    if (!framed) return fail(framed.error());
    if (framed->has_value()) entries.take(**framed);
    return framed->has_value();
}

Result<bool> Index::catch_up_some(const std::filesystem::path& journal, std::size_t most,
                                  Pace pace) {
    std::unique_lock lock{state_->mutex};
    state_->calm.wait(lock, [&] { return state_->in_a_hurry == 0 || state_->stopping; });
    std::optional<IdleTime::Use> use;  // ends before the mutex is given up
    if (pace == Pace::Idle) use.emplace(state_->idle_time);
    if (auto found = state_->stand_at_next(journal); !found) return fail(found.error());
    Entries& entries = state_->entries;
    entries.clear();
    const auto enough = [&] {
        return entries.size() == most || entries.bytes() > kBatchBytes ||
               (state_->in_a_hurry != 0 && entries.size() != 0);
    };
    for (bool more = true; more && !enough();) {
        const auto taken = state_->take_next(*state_->reader);
        if (!taken) state_->reader.reset();
        if (!taken) return fail(taken.error());
        more = *taken;
    }
    state_->read_upto += entries.size();
    if (auto done = state_->add(entries, true); !done) return fail(done.error());
    return entries.size() != 0 && enough();
}

Result<> Index::catch_up(const std::filesystem::path& journal,
                         const std::function<void(std::uint64_t)>& progress) {
    const Turn turn{*state_};
    auto reader = state_->reader_of(journal);
    if (!reader) return fail(reader.error());
    Entries& entries = state_->entries;
    for (entries.clear();;) {
        const auto more = state_->take_next(*reader);
        if (!more) return fail(more.error());
        if (*more && entries.size() < kBatch && entries.bytes() < kBatchBytes) continue;
        if (auto done = state_->add(entries); !done) return done;
        entries.clear();
        if (progress) progress(state_->next);
        if (!*more) return {};
    }
}

void Index::stop() {
    state_->stopping = true;
    sqlite3_interrupt(state_->database);  // may be called while others use it
    const Turn turn{*state_};             // tells who waits for calm
}

std::uint64_t Index::next() const {
    const Turn turn{*state_};
    return state_->next;
}

}  // namespace chaperone::record

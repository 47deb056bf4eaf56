// SPDX-License-Identifier: Apache-2.0
// One connection behind one mutex: questions are answered in milliseconds and are asked by people.
// The database is written without fsync, as what is lost is read again from the segments.
#include "userspace/record/index.h"

#include "userspace/record/sqlite.h"
#include "userspace/record/summary.h"
#include "userspace/record/text.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace chaperone::record {
namespace {

constexpr int kVersion = 2;  // of the tables; another one is thrown away
constexpr std::uint32_t kMostRows = 10'000;
// What the index keeps of a statement; the whole is in the journal.
constexpr std::size_t kStatement = 16 << 10;
constexpr std::size_t kBatch = 2000;  // entries in one transaction

constexpr const char* kTables = R"sql(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 0), next INTEGER, last BLOB);
INSERT OR IGNORE INTO meta VALUES (0, 0, NULL);
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, first INTEGER, workload TEXT, subject TEXT, resource TEXT, protocol TEXT,
  address TEXT, port INTEGER, name TEXT, pid INTEGER, uid INTEGER, comm TEXT,
  started INTEGER, ended INTEGER, end_reason TEXT DEFAULT '',
  requests INTEGER DEFAULT 0, rows INTEGER DEFAULT 0, up INTEGER DEFAULT 0, down INTEGER DEFAULT 0,
  gravity INTEGER DEFAULT 0, shadow INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_started ON sessions (started);
CREATE INDEX IF NOT EXISTS sessions_open ON sessions (id) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, segment INTEGER, offset INTEGER, session TEXT, number INTEGER,
  time INTEGER, kind TEXT, statement TEXT, effect TEXT, rule TEXT, approval TEXT,
  status TEXT DEFAULT '', code TEXT DEFAULT '', rows INTEGER DEFAULT 0, duration INTEGER);
CREATE INDEX IF NOT EXISTS requests_session ON requests (session, number);
CREATE INDEX IF NOT EXISTS requests_time ON requests (time);
CREATE TABLE IF NOT EXISTS entries (
  session TEXT, id INTEGER, segment INTEGER, offset INTEGER, PRIMARY KEY (session, id)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (statement, content='', tokenize='unicode61');
)sql";

int gravity(std::string_view effect) {
    if (effect == "deny") return 4;
    if (effect == "approve") return 3;
    if (effect == "mask") return 2;
    return effect == "allow" ? 1 : 0;
}

const char* effect_of(std::int64_t gravity) {
    static constexpr const char* kEffects[] = {"", "allow", "mask", "approve", "deny"};
    return kEffects[std::clamp<std::int64_t>(gravity, 0, 4)];
}

// Each word quoted, so that nothing in it is an operator of the search language.
std::string search_words(std::string_view text) {
    std::string query;
    while (!text.empty()) {
        const auto end = text.find_first_of(" \t\n\r");
        const auto word = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (word.empty()) continue;
        query += query.empty() ? "\"" : " \"";
        for (const char c : word) query += c == '"' ? std::string{"\"\""} : std::string{c};
        query += '"';
    }
    return query;
}

constexpr const char* kSessionColumns =
    "id, workload, subject, resource, protocol, address, port, name, pid, uid, comm, started, "
    "ended, "
    "end_reason, requests, rows, up, down, gravity, shadow";

SessionSummary read_session(Statement& row) {
    SessionSummary s;
    for (std::string* field :
         {&s.id, &s.workload, &s.subject, &s.resource, &s.protocol, &s.address})
        *field = row.text();
    s.port = static_cast<std::uint32_t>(row.number());
    s.name = row.text();
    s.pid = static_cast<std::uint32_t>(row.number());
    s.uid = static_cast<std::uint32_t>(row.number());
    s.comm = row.text();
    s.start_time = row.time();
    if (const auto ended = row.optional_number()) s.end_time = Time{Duration{*ended}};
    s.state = s.end_time ? "closed" : "open";
    s.end_reason = row.text();
    s.requests = row.count();
    s.rows = row.count();
    s.bytes_up = row.count();
    s.bytes_down = row.count();
    s.effect = effect_of(row.number());
    s.shadow = row.number() != 0;
    return s;
}

RequestSummary read_request(Statement& row) {
    RequestSummary r{.index = row.count()};
    r.where.segment = static_cast<std::uint32_t>(row.number());
    r.where.offset = row.count();
    r.session = row.text();
    r.number = row.count();
    r.time = row.time();
    for (std::string* field :
         {&r.kind, &r.statement, &r.effect, &r.rule, &r.approval, &r.status, &r.code})
        *field = row.text();
    r.rows = row.count();
    if (const auto duration = row.optional_number()) r.duration = Duration{*duration};
    return r;
}

}  // namespace

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

Result<> Index::State::add_start(const Stored& stored) {
    const SessionStart& start = stored.entry.session_start();
    auto& insert = statement(
        "INSERT OR REPLACE INTO sessions (id, first, workload, subject, resource, protocol, "
        "address, "
        "port, name, pid, uid, comm, started, gravity) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(start.session()).bind(as_signed(stored.index)).bind(start.workload());
    insert.bind(start.identity().subject()).bind(start.resource()).bind(start.protocol());
    insert.bind(start.destination().address()).bind(std::int64_t{start.destination().port()});
    insert.bind(start.destination().name()).bind(std::int64_t{start.process().pid()});
    insert.bind(std::int64_t{start.process().uid()}).bind(start.process().comm());
    insert.bind(stored.entry.time()).bind(std::int64_t{start.refused() ? gravity("deny") : 0});
    return insert.run();
}

Result<> Index::State::add_request(const Stored& stored) {
    const RequestEntry& request = stored.entry.request();
    const Decision& decision = request.decision();
    const std::string text = to_utf8(std::string_view{request.statement()}.substr(0, kStatement));
    // One that was granted is recorded as approve; a mask is graver than a plain allow. The masks
    // of a connect are what may come: no value came yet.
    const bool masks = decision.masks_size() != 0 && request.kind() != "connect";
    const std::string effect = decision.effect() == "allow" && masks ? "mask" : decision.effect();
    auto& insert = statement(
        "INSERT OR REPLACE INTO requests (id, segment, offset, session, number, time, kind, "
        "statement, "
        "effect, rule, approval) VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(as_signed(stored.index)).bind(std::int64_t{stored.where.segment});
    insert.bind(as_signed(stored.where.offset)).bind(request.session());
    insert.bind(as_signed(request.number())).bind(stored.entry.time()).bind(request.kind());
    insert.bind(text).bind(effect).bind(decision.rule()).bind(request.approval());
    if (auto done = insert.run(); !done) return done;
    auto& words = statement("INSERT INTO words (rowid, statement) VALUES (?, ?)");
    words.bind(as_signed(stored.index)).bind(text);
    if (auto done = words.run(); !done) return done;
    auto& update = statement(
        "UPDATE sessions SET requests = requests + 1, gravity = max(gravity, ?), "
        "shadow = max(shadow, ?) WHERE id = ?");
    update.bind(std::int64_t{gravity(effect)});
    update.bind(std::int64_t{decision.shadow_size() != 0}).bind(request.session());
    return update.run();
}

Result<> Index::State::add_result(const ResultEntry& result) {
    auto& request = statement(
        "UPDATE requests SET status = ?, code = ?, rows = ?, duration = ? WHERE id = (SELECT "
        "max(id) "
        "FROM requests WHERE session = ? AND number = ?)");
    request.bind(result.status()).bind(result.code()).bind(as_signed(result.rows()));
    request.bind(result.duration()).bind(result.session()).bind(as_signed(result.request()));
    if (auto done = request.run(); !done) return done;
    auto& session =
        statement("UPDATE sessions SET rows = rows + ?, up = up + ?, down = down + ? WHERE id = ?");
    session.bind(as_signed(result.rows())).bind(as_signed(result.bytes_up()));
    session.bind(as_signed(result.bytes_down())).bind(result.session());
    return session.run();
}

// The totals of the end are those of the wire, what no request accounts for included.
Result<> Index::State::add_end(const Entry& entry) {
    const SessionEnd& end = entry.session_end();
    auto& update = statement(
        "UPDATE sessions SET ended = ?, end_reason = ?, requests = max(requests, ?), "
        "rows = max(rows, ?), up = max(up, ?), down = max(down, ?) WHERE id = ?");
    update.bind(entry.time()).bind(end.reason()).bind(as_signed(end.requests()));
    update.bind(as_signed(end.rows())).bind(as_signed(end.bytes_up()));
    update.bind(as_signed(end.bytes_down())).bind(end.session());
    return update.run();
}

Result<> Index::State::add_one(const Stored& stored) {
    const Entry& entry = stored.entry;
    if (const std::string session = session_of(entry); !session.empty()) {
        auto& insert = statement("INSERT OR REPLACE INTO entries VALUES (?,?,?,?)");
        insert.bind(session).bind(as_signed(stored.index));
        insert.bind(std::int64_t{stored.where.segment}).bind(as_signed(stored.where.offset));
        if (auto done = insert.run(); !done) return done;
    }
    if (entry.has_session_start()) return add_start(stored);
    if (entry.has_request()) return add_request(stored);
    if (entry.has_result()) return add_result(entry.result());
    if (entry.has_session_end()) return add_end(entry);
    if (entry.has_admin() && entry.admin().action() == AdminEntry::DAEMON_START) {
        // No session outlives its daemon; those without an end lost theirs.
        auto& update = statement(
            "UPDATE sessions SET ended = ?, end_reason = 'the daemon ended' WHERE ended IS NULL");
        update.bind(entry.time());
        return update.run();
    }
    return {};
}

Result<> Index::State::add(std::span<const Stored> entries) {
    if (entries.empty()) return {};
    if (auto done = execute("BEGIN"); !done) return done;
    const std::uint64_t before = next;
    Result<> done{};
    for (const Stored& stored : entries) {
        if (stored.index < next) continue;
        if (done = add_one(stored); !done) break;
        next = stored.index + 1;
    }
    if (done) {
        const std::string last = entries.back().entry.SerializeAsString();
        auto& update = statement("UPDATE meta SET next = ?, last = ?");
        update.bind(as_signed(next)).bind_blob(leaf_hash(as_bytes(last)));
        done = update.run();
    }
    if (done) done = execute("COMMIT");
    if (done) return {};
    (void)execute("ROLLBACK");
    next = before;
    return done;
}

Result<> Index::State::clear() {
    next = 0;
    return execute(
        "DELETE FROM sessions; DELETE FROM requests; DELETE FROM entries; DROP TABLE words;"
        "CREATE VIRTUAL TABLE words USING fts5 (statement, content='', "
        "tokenize='unicode61'); UPDATE meta SET next = 0, last = NULL;");
}

// Whether the journal's entry before next() is the one that the index took last.
Result<bool> Index::State::fits(const std::filesystem::path& journal) {
    if (next == 0) return true;
    auto reader = Reader::open(journal);
    if (!reader) return fail(reader.error());
    if (next - 1 < reader->first()) return next == reader->first();
    if (!reader->seek(next - 1)) return false;
    const auto stored = reader->next();
    if (!stored || !stored->has_value()) return false;
    const std::string bytes = (*stored)->entry.SerializeAsString();
    Statement last{database, "SELECT hex(last) FROM meta"};
    if (!last.step()) return false;
    Statement same{database, "SELECT hex(?)"};
    same.bind_blob(leaf_hash(as_bytes(bytes)));
    return same.step() && same.text() == last.text();
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
    const auto fitting = fits(journal);
    if (!fitting) return fail(fitting.error());
    if (!*fitting)
        if (auto done = clear(); !done) return fail(done.error());
    auto reader = Reader::open(journal);
    if (!reader) return fail(reader.error());
    if (next > reader->first())
        if (auto done = reader->seek(next); !done) return fail(done.error());
    return reader;
}

Result<bool> Index::catch_up_some(const std::filesystem::path& journal, std::size_t most) {
    const std::lock_guard lock{state_->mutex};
    auto reader = state_->reader_of(journal);
    if (!reader) return fail(reader.error());
    std::vector<Stored> batch;
    while (batch.size() < most) {
        auto stored = reader->next();
        if (!stored) return fail(stored.error());
        if (!stored->has_value()) break;
        batch.push_back(**std::move(stored));
    }
    if (auto done = state_->add(batch); !done) return fail(done.error());
    return batch.size() == most;
}

Result<> Index::catch_up(const std::filesystem::path& journal,
                         const std::function<void(std::uint64_t)>& progress) {
    const std::lock_guard lock{state_->mutex};
    auto reader = state_->reader_of(journal);
    if (!reader) return fail(reader.error());
    for (std::vector<Stored> batch;;) {
        auto stored = reader->next();
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
    const std::lock_guard lock{state_->mutex};
    if (!entries.empty() && entries.front().index > state_->next)
        return fail(Errc::Invalid, "the index has not the entries before " +
                                       std::to_string(entries.front().index));
    return state_->add(entries);
}

std::uint64_t Index::next() const {
    const std::lock_guard lock{state_->mutex};
    return state_->next;
}

Result<std::vector<SessionSummary>> Index::sessions(const Filter& filter) const {
    Where where;
    where.equal("id", filter.session);
    where.equal("workload", filter.workload);
    where.equal("subject", filter.subject);
    where.equal("resource", filter.resource);
    where.equal("protocol", filter.protocol);
    if (!filter.effect.empty()) where.add("gravity = ?", std::int64_t{gravity(filter.effect)});
    if (filter.shadow) where.add("shadow = ?", std::int64_t{1});
    if (filter.state == "open")
        where.add("ended IS NULL");
    else if (filter.state == "closed")
        where.add("ended IS NOT NULL");
    else if (!filter.state.empty())
        return fail(Errc::Invalid, "a session is open or closed");
    if (filter.since)
        where.add("(ended IS NULL OR ended >= ?)", filter.since->time_since_epoch().count());
    if (filter.until) where.add("started < ?", filter.until->time_since_epoch().count());
    if (!filter.text.empty())
        where.add(
            "id IN (SELECT session FROM requests JOIN words ON words.rowid = requests.id WHERE "
            "words "
            "MATCH ?)",
            search_words(filter.text));
    const std::lock_guard lock{state_->mutex};
    Statement statement{state_->database, std::string{"SELECT "} + kSessionColumns +
                                              " FROM sessions" + where.sql() +
                                              " ORDER BY started DESC, id DESC LIMIT ? OFFSET ?"};
    where.bind(statement);
    statement.bind(std::int64_t{std::min(filter.limit, kMostRows)});
    statement.bind(std::int64_t{filter.offset});
    std::vector<SessionSummary> found;
    while (statement.step()) found.push_back(read_session(statement));
    if (auto done = statement.result(); !done) return fail(done.error());
    return found;
}

Result<std::vector<RequestSummary>> Index::requests(const Filter& filter) const {
    Where where;
    where.equal("r.session", filter.session);
    where.equal("s.workload", filter.workload);
    where.equal("s.subject", filter.subject);
    where.equal("s.resource", filter.resource);
    where.equal("s.protocol", filter.protocol);
    where.equal("r.effect", filter.effect);
    if (filter.since) where.add("r.time >= ?", filter.since->time_since_epoch().count());
    if (filter.until) where.add("r.time < ?", filter.until->time_since_epoch().count());
    if (!filter.text.empty())
        where.add("r.id IN (SELECT rowid FROM words WHERE words MATCH ?)",
                  search_words(filter.text));
    const std::lock_guard lock{state_->mutex};
    Statement statement{state_->database,
                        "SELECT r.id, r.segment, r.offset, r.session, r.number, r.time, r.kind, "
                        "r.statement, r.effect,"
                        " r.rule, r.approval, r.status, r.code, r.rows, r.duration FROM requests r "
                        "LEFT JOIN sessions "
                        "s ON s.id = r.session" +
                            where.sql() + " ORDER BY r.id DESC LIMIT ? OFFSET ?"};
    where.bind(statement);
    statement.bind(std::int64_t{std::min(filter.limit, kMostRows)});
    statement.bind(std::int64_t{filter.offset});
    std::vector<RequestSummary> found;
    while (statement.step()) found.push_back(read_request(statement));
    if (auto done = statement.result(); !done) return fail(done.error());
    return found;
}

Result<SessionSummary> Index::session(std::string_view id) const {
    if (id.empty()) return fail(Errc::Invalid, "no session id given");
    const std::lock_guard lock{state_->mutex};
    Statement statement{state_->database,
                        std::string{"SELECT "} + kSessionColumns +
                            " FROM sessions WHERE id >= ? AND substr(id, 1, ?) = ? "
                            "ORDER BY id LIMIT 2"};
    statement.bind(id).bind(as_signed(id.size())).bind(id);
    std::vector<SessionSummary> found;
    while (statement.step()) found.push_back(read_session(statement));
    if (auto done = statement.result(); !done) return fail(done.error());
    if (found.empty()) return fail(Errc::NotFound, "session " + std::string{id});
    if (found.size() > 1 && found[0].id != id)
        return fail(Errc::Invalid, "several sessions begin with " + std::string{id});
    return found.front();
}

Result<std::vector<Stored>> Index::entries_of(std::string_view session,
                                              const std::filesystem::path& journal) const {
    std::vector<std::pair<std::uint64_t, Location>> places;
    {
        const std::lock_guard lock{state_->mutex};
        Statement statement{
            state_->database,
            "SELECT id, segment, offset FROM entries WHERE session = ? ORDER BY id"};
        statement.bind(session);
        while (statement.step()) {
            const std::uint64_t index = statement.count();
            const auto segment = static_cast<std::uint32_t>(statement.number());
            places.push_back({index, {segment, statement.count()}});
        }
        if (auto done = statement.result(); !done) return fail(done.error());
    }
    if (places.empty()) return fail(Errc::NotFound, "session " + std::string{session});
    auto reader = Reader::open(journal);
    if (!reader) return fail(reader.error());
    std::vector<Stored> found;
    for (const auto& [index, where] : places) {
        if (index < reader->first()) continue;  // pruned since
        if (auto done = reader->seek(index, where); !done) return fail(done.error());
        auto stored = reader->next();
        if (!stored) return fail(stored.error());
        if (!stored->has_value())
            return fail(Errc::Corrupt, "entry " + std::to_string(index) + " is not where it was");
        found.push_back(**std::move(stored));
    }
    return found;
}

}  // namespace chaperone::record

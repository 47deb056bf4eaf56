// SPDX-License-Identifier: Apache-2.0
// From entries of the journal to rows of the index.
#include "userspace/record/index_state.h"
#include "userspace/record/text.h"

#include <algorithm>

namespace chaperone::record {
namespace {

// What the index keeps of a statement; the whole is in the journal.
constexpr std::size_t kStatement = 16 << 10;
// Of statements whose rows are known without asking; about what one costs beside its text.
constexpr std::size_t kRemembered = std::size_t{4} << 20;
constexpr std::size_t kStatementCost = 80;

}  // namespace

Result<> Index::State::write_request(const RequestRow& row) {
    const auto& [index, where, entry] = *row.request;
    const RequestView& request = entry.request;
    const EntryView none;
    const EntryView& result = row.result != nullptr ? *row.result : none;
    const std::string text = to_utf8(request.statement.substr(0, kStatement));
    auto& insert = statement(
        "INSERT OR REPLACE INTO requests (id, segment, offset, session, number, time, kind, "
        "statement, effect, rule, approval, status, code, rows, duration) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(as_signed(index)).bind(std::int64_t{where.segment}).bind(as_signed(where.offset));
    insert.bind(entry.session).bind(as_signed(entry.number)).bind(entry.time).bind(request.kind);
    insert.bind(text).bind(row.effect).bind(request.rule).bind(request.approval);
    insert.bind(result.result.status).bind(result.result.code).bind(as_signed(result.rows));
    if (row.result != nullptr)
        insert.bind(result.result.duration);
    else
        insert.bind_null();
    return insert.run();
}

// The row of its words; most of what agents say they have said before.
Result<std::int64_t> Index::State::statement_of(const SpokenRow& row) {
    const std::string_view said = row.text.substr(0, kStatement);
    if (const auto found = statements.find(said); found != statements.end()) return found->second;
    const std::int64_t id = as_signed(row.index);
    const std::string text = to_utf8(said);
    auto& words = statement("INSERT INTO words (rowid, statement) VALUES (?, ?)");
    words.bind(id).bind(text);
    if (auto done = words.run(); !done) return fail(done.error());
    if (statements_size > kRemembered) forget_statements();
    statements.emplace(said, id);
    statements_size += said.size() + kStatementCost;
    return id;
}

void Index::State::forget_statements() {
    statements.clear();
    statements_size = 0;
}

// Which sessions said what, each pair once.
Result<> Index::State::write_spoken(std::span<const SpokenRow> rows) {
    std::vector<std::pair<std::int64_t, std::string_view>> pairs;
    pairs.reserve(rows.size());
    for (const SpokenRow& row : rows) {
        const auto id = statement_of(row);
        if (!id) return fail(id.error());
        pairs.emplace_back(*id, row.session);
    }
    std::ranges::sort(pairs);
    const auto twice = std::ranges::unique(pairs);
    pairs.erase(twice.begin(), twice.end());
    auto& insert = statement("INSERT OR IGNORE INTO spoken VALUES (?, ?)");
    for (const auto& [id, session] : pairs)
        if (auto done = insert.bind(id).bind(session).run(); !done) return done;
    return {};
}

Result<> Index::State::write_late(const EntryView& entry) {
    auto& update = statement(
        "UPDATE requests SET status = ?, code = ?, rows = ?, duration = ? WHERE id = "
        "(SELECT max(id) FROM requests WHERE session = ? AND number = ?)");
    update.bind(entry.result.status).bind(entry.result.code).bind(as_signed(entry.rows));
    update.bind(entry.result.duration).bind(entry.session).bind(as_signed(entry.number));
    return update.run();
}

// The totals of the end are those of the wire, what no request accounts for included.
Result<> Index::State::put_start(const char* verb, const SessionRow& row) {
    const StartView& start = row.start->start;
    const EntryView none;
    const EntryView& end = row.end != nullptr ? *row.end : none;
    auto& insert = statement(
        std::string{verb} +
        " INTO sessions (id, first, workload, subject, resource, protocol, address, port, name, "
        "pid, uid, comm, started, ended, end_reason, requests, rows, up, down, gravity, shadow, "
        "peer, places) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(row.id).bind(as_signed(row.places.front().index)).bind(start.workload);
    insert.bind(start.subject).bind(start.resource).bind(start.protocol).bind(start.address);
    insert.bind(as_signed(start.port)).bind(start.name).bind(as_signed(start.pid));
    insert.bind(as_signed(start.uid)).bind(start.comm).bind(row.start->time);
    if (row.end != nullptr)
        insert.bind(end.time);
    else
        insert.bind_null();
    insert.bind(end.reason).bind(as_signed(std::max(row.requests, end.requests)));
    insert.bind(as_signed(std::max(row.rows, end.rows)));
    insert.bind(as_signed(std::max(row.up, end.bytes_up)));
    insert.bind(as_signed(std::max(row.down, end.bytes_down)));
    const int least = start.refused ? gravity("deny") : 0;
    insert.bind(std::int64_t{std::max(row.gravity, least)}).bind(std::int64_t{row.shadow});
    insert.bind(row.start->peer.empty() ? end.peer : row.start->peer);
    const Buffer places = pack(row.places);
    insert.bind_blob(places);
    return insert.run();
}

// A session that starts twice is shown as it started last, with all its entries.
Result<> Index::State::write_start(const SessionRow& row) {
    if (auto done = put_start("INSERT OR IGNORE", row); !done || sqlite3_changes(database) != 0)
        return done;
    auto& keep = statement(
        "INSERT OR REPLACE INTO places SELECT id, first, places FROM sessions WHERE id = ?");
    if (auto done = keep.bind(row.id).run(); !done) return done;
    return put_start("INSERT OR REPLACE", row);
}

Result<> Index::State::write_rest(const SessionRow& row) {
    auto& update = statement(
        "UPDATE sessions SET requests = requests + ?, rows = rows + ?, up = up + ?, "
        "down = down + ?, gravity = max(gravity, ?), shadow = max(shadow, ?) WHERE id = ?");
    update.bind(as_signed(row.requests)).bind(as_signed(row.rows)).bind(as_signed(row.up));
    update.bind(as_signed(row.down)).bind(std::int64_t{row.gravity});
    update.bind(std::int64_t{row.shadow}).bind(row.id);
    if (auto done = update.run(); !done) return done;
    auto& places = statement("INSERT OR REPLACE INTO places VALUES (?,?,?)");
    const Buffer packed = pack(row.places);
    places.bind(row.id).bind(as_signed(row.places.front().index)).bind_blob(packed);
    if (auto done = places.run(); !done || row.end == nullptr) return done;
    const EntryView& end = *row.end;
    auto& close = statement(
        "UPDATE sessions SET ended = ?, end_reason = ?, requests = max(requests, ?), "
        "rows = max(rows, ?), up = max(up, ?), down = max(down, ?), "
        "peer = iif(peer = '', ?, peer) WHERE id = ?");
    close.bind(end.time).bind(end.reason).bind(as_signed(end.requests)).bind(as_signed(end.rows));
    close.bind(as_signed(end.bytes_up)).bind(as_signed(end.bytes_down)).bind(end.peer).bind(row.id);
    return close.run();
}

Result<> Index::State::write(const IndexBatch& batch) {
    for (const RequestRow& row : batch.requests)
        if (auto done = write_request(row); !done) return done;
    if (auto done = write_spoken(batch.spoken); !done) return done;
    for (const EntryView* result : batch.late)
        if (auto done = write_late(*result); !done) return done;
    for (const SessionRow& row : batch.sessions)
        if (auto done = row.start != nullptr ? write_start(row) : write_rest(row); !done)
            return done;
    return {};
}

// An entry that no batch holds.
Result<> Index::State::add_alone(const EntryView& entry) {
    if (entry.kind != EntryView::Kind::DaemonStart) return {};
    auto& update = statement("UPDATE sessions SET ended = ?, end_reason = ? WHERE ended IS NULL");
    update.bind(entry.time).bind(kDaemonEnded);
    return update.run();
}

Result<> Index::State::add(Entries& bunch, bool gives_way) {
    if (bunch.size() == 0) return {};
    if (auto done = bunch.view(); !done) return done;
    if (auto done = statement("BEGIN").run(); !done) return done;
    const std::uint64_t before = next;
    Result<> done{};
    const Viewed* latest = nullptr;
    IndexBatch batch;
    for (const Viewed& viewed : bunch.all()) {
        if (stopping) done = fail(Errc::Unavailable, "the index is being closed");
        if (!done || (gives_way && in_a_hurry != 0 && next != before)) break;
        if (!batch.take(viewed)) {
            if (done = write(batch); !done) break;
            batch.clear();
            (void)batch.take(viewed);
        }
        if (done = add_alone(viewed.entry); !done) break;
        latest = &viewed;
        next = viewed.index + 1;
    }
    if (done) done = write(batch);
    if (done && latest != nullptr) {
        const Digest last = leaf_hash(bunch.bytes_of(*latest));
        auto& update = statement("UPDATE meta SET next = ?, last = ?, segment = ?, offset = ?");
        update.bind(as_signed(next)).bind_blob(last);
        update.bind(std::int64_t{latest->where.segment}).bind(as_signed(latest->where.offset));
        done = update.run();
    }
    if (done) done = statement("COMMIT").run();
    if (done) return {};
    (void)execute("ROLLBACK");
    forget_statements();
    next = before;
    return done;
}

}  // namespace chaperone::record

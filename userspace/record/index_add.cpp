// SPDX-License-Identifier: Apache-2.0
// From entries of the journal to rows of the index.
#include "userspace/record/index_state.h"
#include "userspace/record/text.h"

#include <algorithm>

namespace chaperone::record {
namespace {

// What the index keeps of a statement; the whole is in the journal.
constexpr std::size_t kStatement = 16 << 10;

}  // namespace

Result<> Index::State::write_request(const RequestRow& row) {
    const Stored& stored = *row.request;
    const RequestEntry& request = stored.entry.request();
    const Decision& decision = request.decision();
    const std::string text = to_utf8(std::string_view{request.statement()}.substr(0, kStatement));
    auto& insert = statement(
        "INSERT OR REPLACE INTO requests (id, segment, offset, session, number, time, kind, "
        "statement, effect, rule, approval, status, code, rows, duration) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(as_signed(stored.index)).bind(std::int64_t{stored.where.segment});
    insert.bind(as_signed(stored.where.offset)).bind(request.session());
    insert.bind(as_signed(request.number())).bind(stored.entry.time()).bind(request.kind());
    insert.bind(text).bind(row.effect).bind(decision.rule()).bind(request.approval());
    if (row.result != nullptr) {
        insert.bind(row.result->status()).bind(row.result->code());
        insert.bind(as_signed(row.result->rows())).bind(row.result->duration());
    } else {
        insert.bind(std::string_view{}).bind(std::string_view{}).bind(std::int64_t{0}).bind_null();
    }
    if (auto done = insert.run(); !done) return done;
    auto& words = statement("INSERT INTO words (rowid, statement) VALUES (?, ?)");
    words.bind(as_signed(stored.index)).bind(text);
    return words.run();
}

Result<> Index::State::write_late(const ResultEntry& result) {
    auto& update = statement(
        "UPDATE requests SET status = ?, code = ?, rows = ?, duration = ? WHERE id = "
        "(SELECT max(id) FROM requests WHERE session = ? AND number = ?)");
    update.bind(result.status()).bind(result.code()).bind(as_signed(result.rows()));
    update.bind(result.duration()).bind(result.session()).bind(as_signed(result.request()));
    return update.run();
}

// The totals of the end are those of the wire, what no request accounts for included.
Result<> Index::State::write_start(const SessionRow& row) {
    const Stored& stored = *row.start;
    const SessionStart& start = stored.entry.session_start();
    const SessionEnd& end =
        row.end != nullptr ? row.end->session_end() : SessionEnd::default_instance();
    auto& insert = statement(
        "INSERT OR REPLACE INTO sessions (id, first, workload, subject, resource, protocol, "
        "address, port, name, pid, uid, comm, started, ended, end_reason, requests, rows, up, "
        "down, gravity, shadow, peer) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(start.session()).bind(as_signed(stored.index)).bind(start.workload());
    insert.bind(start.identity().subject()).bind(start.resource()).bind(start.protocol());
    insert.bind(start.destination().address()).bind(std::int64_t{start.destination().port()});
    insert.bind(start.destination().name()).bind(std::int64_t{start.process().pid()});
    insert.bind(std::int64_t{start.process().uid()}).bind(start.process().comm());
    insert.bind(stored.entry.time());
    if (row.end != nullptr)
        insert.bind(row.end->time());
    else
        insert.bind_null();
    insert.bind(end.reason()).bind(as_signed(std::max(row.requests, end.requests())));
    insert.bind(as_signed(std::max(row.rows, end.rows())));
    insert.bind(as_signed(std::max(row.up, end.bytes_up())));
    insert.bind(as_signed(std::max(row.down, end.bytes_down())));
    const int least = start.refused() ? gravity("deny") : 0;
    insert.bind(std::int64_t{std::max(row.gravity, least)}).bind(std::int64_t{row.shadow});
    insert.bind(start.peer().empty() ? end.peer() : start.peer());
    return insert.run();
}

Result<> Index::State::write_rest(const SessionRow& row) {
    auto& update = statement(
        "UPDATE sessions SET requests = requests + ?, rows = rows + ?, up = up + ?, "
        "down = down + ?, gravity = max(gravity, ?), shadow = max(shadow, ?) WHERE id = ?");
    update.bind(as_signed(row.requests)).bind(as_signed(row.rows)).bind(as_signed(row.up));
    update.bind(as_signed(row.down)).bind(std::int64_t{row.gravity});
    update.bind(std::int64_t{row.shadow}).bind(row.id);
    if (auto done = update.run(); !done || row.end == nullptr) return done;
    const SessionEnd& end = row.end->session_end();
    auto& close = statement(
        "UPDATE sessions SET ended = ?, end_reason = ?, requests = max(requests, ?), "
        "rows = max(rows, ?), up = max(up, ?), down = max(down, ?), "
        "peer = iif(peer = '', ?, peer) WHERE id = ?");
    close.bind(row.end->time()).bind(end.reason()).bind(as_signed(end.requests()));
    close.bind(as_signed(end.rows())).bind(as_signed(end.bytes_up()));
    close.bind(as_signed(end.bytes_down())).bind(end.peer()).bind(row.id);
    return close.run();
}

Result<> Index::State::write_places(const SessionRow& row) {
    auto& insert = statement("INSERT OR REPLACE INTO places VALUES (?,?,?)");
    insert.bind(row.id).bind(as_signed(row.places.front().index));
    insert.bind_blob(std::as_bytes(std::span{row.places}));
    return insert.run();
}

Result<> Index::State::write(const IndexBatch& batch) {
    for (const RequestRow& row : batch.requests)
        if (auto done = write_request(row); !done) return done;
    for (const ResultEntry* result : batch.late)
        if (auto done = write_late(*result); !done) return done;
    for (const SessionRow& row : batch.sessions) {
        auto done = row.start != nullptr ? write_start(row) : write_rest(row);
        if (done) done = write_places(row);
        if (!done) return done;
    }
    return {};
}

// An entry that no batch holds.
Result<> Index::State::add_alone(const Entry& entry) {
    if (!entry.has_admin() || entry.admin().action() != AdminEntry::DAEMON_START) return {};
    auto& update = statement("UPDATE sessions SET ended = ?, end_reason = ? WHERE ended IS NULL");
    update.bind(entry.time()).bind(std::string{kDaemonEnded});
    return update.run();
}

Result<> Index::State::add(std::span<const Stored> entries, bool gives_way) {
    if (entries.empty()) return {};
    if (auto done = statement("BEGIN").run(); !done) return done;
    const std::uint64_t before = next;
    Result<> done{};
    const Stored* latest = nullptr;
    IndexBatch batch;
    for (const Stored& stored : entries) {
        if (stopping) done = fail(Errc::Unavailable, "the index is being closed");
        if (!done || (gives_way && in_a_hurry != 0 && next != before)) break;
        if (stored.index < next) continue;
        if (!batch.take(stored)) {
            if (done = write(batch); !done) break;
            batch.clear();
            (void)batch.take(stored);
        }
        if (done = add_alone(stored.entry); !done) break;
        latest = &stored;
        next = stored.index + 1;
    }
    if (done) done = write(batch);
    if (done && latest != nullptr) {
        const std::string last = latest->entry.SerializeAsString();
        auto& update = statement("UPDATE meta SET next = ?, last = ?, segment = ?, offset = ?");
        update.bind(as_signed(next)).bind_blob(leaf_hash(as_bytes(last)));
        update.bind(std::int64_t{latest->where.segment}).bind(as_signed(latest->where.offset));
        done = update.run();
    }
    if (done) done = statement("COMMIT").run();
    if (done) return {};
    (void)execute("ROLLBACK");
    next = before;
    return done;
}

}  // namespace chaperone::record

// SPDX-License-Identifier: Apache-2.0
// From entries of the journal to rows of the index.
#include "userspace/record/index_state.h"
#include "userspace/record/summary.h"
#include "userspace/record/text.h"

#include <algorithm>

namespace chaperone::record {
namespace {

// What the index keeps of a statement; the whole is in the journal.
constexpr std::size_t kStatement = 16 << 10;

}  // namespace

int gravity(std::string_view effect) {
    if (effect == "deny") return 4;
    if (effect == "approve") return 3;
    if (effect == "mask") return 2;
    return effect == "allow" ? 1 : 0;
}

Result<> Index::State::add_start(const Stored& stored) {
    const SessionStart& start = stored.entry.session_start();
    auto& insert = statement(
        "INSERT OR REPLACE INTO sessions (id, first, workload, subject, resource, protocol, "
        "address, "
        "port, name, pid, uid, comm, started, gravity, peer) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(start.session()).bind(as_signed(stored.index)).bind(start.workload());
    insert.bind(start.identity().subject()).bind(start.resource()).bind(start.protocol());
    insert.bind(start.destination().address()).bind(std::int64_t{start.destination().port()});
    insert.bind(start.destination().name()).bind(std::int64_t{start.process().pid()});
    insert.bind(std::int64_t{start.process().uid()}).bind(start.process().comm());
    insert.bind(stored.entry.time()).bind(std::int64_t{start.refused() ? gravity("deny") : 0});
    insert.bind(start.peer());
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
        "rows = max(rows, ?), up = max(up, ?), down = max(down, ?), "
        "peer = iif(peer = '', ?, peer) WHERE id = ?");
    update.bind(entry.time()).bind(end.reason()).bind(as_signed(end.requests()));
    update.bind(as_signed(end.rows())).bind(as_signed(end.bytes_up()));
    update.bind(as_signed(end.bytes_down())).bind(end.peer()).bind(end.session());
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

Result<> Index::State::add(std::span<const Stored> entries, bool gives_way) {
    if (entries.empty()) return {};
    if (auto done = execute("BEGIN"); !done) return done;
    const std::uint64_t before = next;
    Result<> done{};
    const Stored* latest = &entries.front();
    for (const Stored& stored : entries) {
        if (stopping) done = fail(Errc::Unavailable, "the index is being closed");
        if (!done || (gives_way && in_a_hurry != 0 && next != before)) break;
        latest = &stored;
        if (stored.index < next) continue;
        if (done = add_one(stored); !done) break;
        next = stored.index + 1;
    }
    if (done) {
        const std::string last = latest->entry.SerializeAsString();
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

}  // namespace chaperone::record

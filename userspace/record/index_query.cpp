// SPDX-License-Identifier: Apache-2.0
// From rows of the index to answers.
#include "userspace/record/index_state.h"

#include <algorithm>

namespace chaperone::record {
namespace {

constexpr std::uint32_t kMostRows = 10'000;

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
    "end_reason, requests, rows, up, down, gravity, shadow, peer";

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
    s.peer = row.text();
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

Result<std::vector<SessionSummary>> Index::sessions(const Filter& filter) const {
    Where where;
    where.equal("id", filter.session);
    if (!filter.workload.empty()) where.add("? IN (workload, peer)", filter.workload);
    where.equal("subject", filter.subject);
    where.equal("resource", filter.resource);
    where.equal("protocol", filter.protocol);
    if (!filter.effect.empty()) where.add("gravity = ?", std::int64_t{gravity(filter.effect)});
    where.equal("end_reason", filter.end_reason);
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
            "id IN (SELECT session FROM spoken WHERE statement IN (SELECT rowid FROM words WHERE "
            "words MATCH ?))",
            search_words(filter.text));
    const Turn turn{*state_};
    Statement statement{state_->database, std::string{"SELECT "} + kSessionColumns +
                                              " FROM sessions" + where.sql() +
                                              " ORDER BY id DESC LIMIT ? OFFSET ?"};
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
    const Turn turn{*state_};
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
    const Turn turn{*state_};
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
    std::vector<Place> places;
    {
        const Turn turn{*state_};
        Statement statement{state_->database,
                            "SELECT first AS at, places FROM sessions WHERE id = ?1 UNION ALL "
                            "SELECT id, packed FROM places WHERE session = ?1 ORDER BY at"};
        statement.bind(session);
        while (statement.step()) {
            (void)statement.number();
            if (auto done = unpack(statement.blob(), places); !done) return fail(done.error());
        }
        if (auto done = statement.result(); !done) return fail(done.error());
    }
    if (places.empty()) return fail(Errc::NotFound, "session " + std::string{session});
    auto reader = Reader::open(journal);
    if (!reader) return fail(reader.error());
    std::vector<Stored> found;
    for (const auto& [index, segment, offset] : places) {
        if (index < reader->first()) continue;  // pruned since
        const Location where{static_cast<std::uint32_t>(segment), offset};
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

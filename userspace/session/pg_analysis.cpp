// SPDX-License-Identifier: Apache-2.0
// What a text does, seen from where the session stands, and what it leaves behind for the next.
#include "userspace/session/pg_machine.h"
#include "userspace/wire/pg/utf8.h"

#include <algorithm>
#include <array>

namespace chaperone::session {

using policy::sql::EffectKind;
using policy::sql::SessionChange;

// Whether the bytes mean to us what they mean to the server. ASCII is the same in every encoding
// that a client may use; beyond it only UTF-8 is.
bool PgMachine::readable(std::string_view text) const {
    if (wire::is_ascii(text)) return true;
    if (unsure_window_ || !wire::is_utf8(text)) return false;
    return encoding_ == "UTF8" || encoding_ == "SQL_ASCII";
}

// `read_before`: the server has parsed this text already, so only the names in it may have changed.
PgMachine::Facts PgMachine::analyse(std::string_view text, bool read_before) {
    if (!read_before && !readable(text)) return policy::sql::unparsed("the text is not in UTF-8");
    const policy::sql::Context context{
        .catalog = catalog_.get(),
        .names = space_,
        .session = &names_,
        .standard_conforming_strings = read_before || (plain_strings_ && !unsure_window_),
        .limits = {.text = config_.limits.statement}};
    return config_.cache->analyze(*config_.analyzer, text, context);
}

// Code that runs in the server can make prepared statements and cursors that no text shows.
bool PgMachine::hides_names(const policy::sql::Facts& facts) const {
    if (!facts.parsed || facts.does(EffectKind::Unknown) || facts.does(EffectKind::Call))
        return true;
    return std::ranges::any_of(
        facts.functions, [](const std::string& name) { return !name.starts_with("pg_catalog."); });
}

// The text is on its way to the server and may take effect.
void PgMachine::note_sent(const Facts& facts) {
    const bool unknown =
        !facts->parsed || facts->does(EffectKind::Unknown) || facts->does(EffectKind::Call);
    if (hides_names(*facts)) hidden_names_ = names_.settings_unsure = true;
    bool path = unknown;
    bool commits = false;
    bool undoes = false;
    bool reading = unknown;
    bool names = unknown || facts->changes_schema;
    constexpr std::array<std::string_view, 3> kPath{"search_path", "role", "session_authorization"};
    constexpr std::array<std::string_view, 2> kReading{"standard_conforming_strings",
                                                       "client_encoding"};
    for (const auto& statement : facts->statements)
        for (const SessionChange& change : statement.changes) {
            names = true;
            switch (change.kind) {
            case SessionChange::Kind::SetParameter:
            case SessionChange::Kind::ResetParameter: {
                const bool any = !change.certain || change.name.empty();
                path = path || any || std::ranges::find(kPath, change.name) != kPath.end();
                reading =
                    reading || any || std::ranges::find(kReading, change.name) != kReading.end();
                break;
            }
            case SessionChange::Kind::Discard: path = reading = true; break;
            case SessionChange::Kind::SetRole:
            case SessionChange::Kind::SetSessionAuthorization: path = true; break;
            case SessionChange::Kind::Rollback:
            case SessionChange::Kind::RollbackToSavepoint:
                reading = true;  // SET is undone, too
                undoes = true;
                break;
            case SessionChange::Kind::PrepareTransaction: undoes = true; break;
            case SessionChange::Kind::Commit: commits = true; break;
            case SessionChange::Kind::Prepare:
            case SessionChange::Kind::Execute:
            case SessionChange::Kind::Deallocate:
            case SessionChange::Kind::DeclareCursor:
            case SessionChange::Kind::Fetch:
            case SessionChange::Kind::CloseCursor:
            case SessionChange::Kind::Begin:
            case SessionChange::Kind::Savepoint:
            case SessionChange::Kind::ReleaseSavepoint: break;
            }
        }
    if (!names) return;
    ++serial_;
    if (commits || undoes) note_ending(!undoes);
    names_.note(*facts, config_.limits.names);
    const auto temporary = [](const policy::sql::Effect& effect) {
        return effect.object.starts_with("pg_temp");
    };
    if (unknown || !space_.certain || std::ranges::any_of(facts->effects, temporary))
        private_relations_ = true;
    // What is temporary no catalog of ours shows, so nothing is gained by reading it anew.
    bool only_temporary = false;
    for (const policy::sql::Effect& effect : facts->effects) {
        if (effect.kind != EffectKind::Create && effect.kind != EffectKind::Alter &&
            effect.kind != EffectKind::Drop)
            continue;
        only_temporary = temporary(effect);
        if (!only_temporary) break;
    }
    if (unknown) schema_unsure_ = true;
    if (unknown || (facts->changes_schema && !only_temporary)) schema_touched_ = true;
    if (path) {
        space_.certain = false;
        names_.made.clear();
    }
    if (path || facts->changes_schema || unknown) {
        ++epoch_;
        forget_bodies();
    }
    if (path || reading || facts->changes_schema) dirty_window_ = true;
    if (reading) unsure_window_ = true;
}

// One statement of a text has succeeded: now it is certain what its names stand for.
void PgMachine::note_done(const policy::sql::Statement& statement, std::uint64_t epoch,
                          bool latest) {
    if (statement.makes && latest) {
        if (pending_.serial != serial_) pending_ = {.serial = serial_};
        pending_.made.push_back(*statement.makes);
    }
    for (const SessionChange& change : statement.changes) {
        if (!change.certain) continue;
        switch (change.kind) {
        case SessionChange::Kind::Prepare:
            names_.prepared[change.name] = {body_at(change.body, epoch)};
            break;
        case SessionChange::Kind::Deallocate:
            if (change.name.empty()) {
                names_.prepared.clear();
            } else {
                names_.prepared.erase(change.name);
                statements_.erase(change.name);
            }
            break;
        case SessionChange::Kind::DeclareCursor: names_.portals[change.name] = {change.body}; break;
        case SessionChange::Kind::CloseCursor:
            if (change.name.empty()) {
                names_.portals.clear();
            } else {
                names_.portals.erase(change.name);
            }
            break;
        case SessionChange::Kind::Discard:
            if (change.value == "all") {
                names_.prepared.clear();
                names_.portals.clear();
            }
            break;
        case SessionChange::Kind::Execute:
        case SessionChange::Kind::Fetch:
        case SessionChange::Kind::SetParameter:
        case SessionChange::Kind::ResetParameter:
        case SessionChange::Kind::Begin:
        case SessionChange::Kind::Savepoint:
        case SessionChange::Kind::ReleaseSavepoint:
        case SessionChange::Kind::SetRole:
        case SessionChange::Kind::SetSessionAuthorization:
        case SessionChange::Kind::Commit:
        case SessionChange::Kind::Rollback:
        case SessionChange::Kind::RollbackToSavepoint:
        case SessionChange::Kind::PrepareTransaction: break;
        }
    }
}

// The server plans a prepared statement anew when names have changed their meaning since, so what
// it does now is not what it did when it was seen: EXECUTE of it is unknown from here on.
PgMachine::Facts PgMachine::body_at(const Facts& facts, std::uint64_t epoch) const {
    if (epoch == epoch_) return facts;
    return policy::sql::unparsed("was prepared before names changed their meaning");
}

void PgMachine::forget_bodies() {
    for (auto& [name, candidates] : names_.prepared)
        candidates.assign(1, body_at(nullptr, epoch_ - 1));
}

// A transaction ends, or has failed: what was made in it may be gone. `commits`: or it stays.
void PgMachine::note_ending(bool commits) {
    auto open = names_.ending();
    pending_ = {.serial = serial_};
    if (open.empty()) return;
    if (commits) pending_.committing = std::move(open);
    ++epoch_;
    forget_bodies();
}

// What was made is there: all has succeeded that was sent, and no transaction has failed.
void PgMachine::note_ready() {
    if (pending_.serial == serial_ && windows_ == 0 && transaction_ != 'E') {
        names_.again(std::move(pending_.committing));
        for (const policy::sql::MadeTable& table : pending_.made)
            if (!table.until_commit || transaction_ == 'T') names_.keep(table);
    }
    pending_ = {.serial = serial_};
    if (transaction_ == 'I') names_.committed();
}

// The server has answered every window.
void PgMachine::note_settled() {
    dirty_earlier_ = false;
    if (transaction_ == 'I' && (schema_touched_ || catalog_missed_)) {
        schema_touched_ = catalog_missed_ = false;
        catalog_stale_ = true;
    }
}

}  // namespace chaperone::session

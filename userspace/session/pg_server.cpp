// SPDX-License-Identifier: Apache-2.0
// What the server answers. Rows and copy data that nobody needs to read are passed by their headers
// alone; every other message must be one that the head of what is owed allows.
#include "userspace/session/pg_machine.h"

#include <algorithm>
#include <charconv>
#include <ranges>

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

// The count at the end of a command tag: "SELECT 5", "INSERT 0 3"; 0 without one.
std::uint64_t rows_in(std::string_view tag) {
    const auto space = tag.rfind(' ');
    std::uint64_t rows = 0;
    if (space != std::string_view::npos)
        std::from_chars(tag.data() + space + 1, tag.data() + tag.size(), rows);
    return rows;
}

Account& account_of(Owed& head) {
    return head.portal ? head.portal->account : head.account;
}

}  // namespace

// Whether messages of this tag pass unread now.
bool PgMachine::streams(char tag) const {
    if (owed_.empty()) return false;
    const Owed::State state = owed_.front().state;
    if (tag == 'D') return state == Owed::State::Rows && !masking_rows_;
    if (tag != 'd') return false;
    return (state == Owed::State::CopyOut && !masking_copy_) || state == Owed::State::CopyBoth;
}

std::size_t PgMachine::on_server(Bytes data, Actions& out) {
    while (phase_ != Phase::Ended) {
        const Bytes rest = data.subspan(run_.end);
        if (rest.empty()) break;
        if (server_pass_ != 0) {
            const std::size_t n = std::min(server_pass_, rest.size());
            pass(n);
            server_pass_ -= n;
            if (server_pass_ == 0 && !held_back_.empty()) {
                flush(out);
                out.send(Side::Client, std::exchange(held_back_, {}));
            }
            continue;
        }
        const auto header = pg::peek(rest);
        if (!header) {
            unexpected("message length", out);
            break;
        }
        if (!*header) break;
        const auto [tag, size] = **header;
        if (streams(tag)) {
            account_of(owed_.front()).down += size;
            server_pass_ = size;
            continue;
        }
        const bool row = tag == 'D' || tag == 'd' || tag == 'V';
        if (size > (row ? config_.limits.row : config_.limits.control)) {
            unexpected(row ? "a row that is too large to be masked" : "message length", out);
            break;
        }
        if (rest.size() < size) break;
        const Bytes raw = rest.first(size);
        on_server_message(tag, raw.subspan(pg::kHeaderSize), raw, out);
    }
    if (phase_ != Phase::Ended) flush(out);
    return run_.end;
}

// Nothing more is passed on: what cannot be followed could be anything.
void PgMachine::unexpected(std::string_view what, Actions& out) {
    fatal(out, "08P01", "chaperone: unexpected answer of the server: " + std::string{what});
}

void PgMachine::on_server_message(char tag, Bytes body, Bytes raw, Actions& out) {
    switch (tag) {
    case 'N': return pass_diagnostic(body, raw, out);
    case 'A': return pass_notification(body, raw, out);
    case 'S': return pass_parameter(body, raw, out);
    case 'E': return on_error(body, raw, out);
    case 'Z': return on_ready(body, raw, out);
    default: return on_reply(tag, body, raw, out);
    }
}

void PgMachine::on_reply(char tag, Bytes body, Bytes raw, Actions& out) {
    if (owed_.empty()) return unexpected("nothing was asked", out);
    Owed& head = owed_.front();
    // What we sent in place of a refused message, or on a name that does not exist, only fails.
    if (head.refusal || head.nameless) return unexpected("what must fail did not", out);
    account_of(head).down += raw.size();
    switch (head.kind) {
    case Owed::Kind::Query: return on_query_reply(head, tag, body, raw, out);
    case Owed::Kind::Execute: return on_execute_reply(head, tag, body, raw, out);
    case Owed::Kind::DescribeStatement:
    case Owed::Kind::DescribePortal: return on_describe_reply(head, tag, body, raw, out);
    case Owed::Kind::Parse: {
        if (tag != '1') break;
        const auto [name, prepared, before] = statements_.confirm();
        if (const auto it = names_.prepared.find(name); it != names_.prepared.end())
            it->second = {body_at(prepared->facts, prepared->epoch)};
        report(head.account, true, "", "", out);
        owed_.pop();
        return pass_reply(raw);
    }
    case Owed::Kind::Bind:
        if (tag != '2') break;
        if (const auto replaced = portals_.confirm().before)
            report(replaced->account, true, "", "", out);
        owed_.pop();
        return pass_reply(raw);
    case Owed::Kind::CloseStatement: {
        if (tag != '3') break;
        const std::string name = statements_.confirm().name;
        if (const auto it = names_.prepared.find(name); it != names_.prepared.end())
            names_.prepared.erase(it);
        owed_.pop();
        return pass_reply(raw);
    }
    case Owed::Kind::ClosePortal: {
        if (tag != '3') break;
        const auto [name, none, closed] = portals_.confirm();
        if (closed) report(closed->account, true, "", "", out);
        if (const auto it = names_.portals.find(name); it != names_.portals.end())
            names_.portals.erase(it);
        owed_.pop();
        return pass_reply(raw);
    }
    case Owed::Kind::Sync:
    case Owed::Kind::CopyEnd: break;
    }
    unexpected("message type " + std::to_string(static_cast<unsigned char>(tag)), out);
}

void PgMachine::on_query_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out) {
    using State = Owed::State;
    const State state = head.state;
    if (head.call) return on_call_reply(head, tag, raw, out);
    // BASE_BACKUP: archives and sets of rows, and one CommandComplete behind them all.
    const bool next_of_backup = facts_->replication && state == State::CopyOut;
    if (tag == 'T' && (state == State::Begun || state == State::Rows || next_of_backup)) {
        if (!pg::decode_row_description(body, columns_)) return unexpected("RowDescription", out);
        // Two sets of rows in one statement: a rule added one, and which is which is not known.
        if (state == State::Rows) head.unplanned = true;
        if (!plan_rows(head, columns_, out)) return;
        head.state = State::Rows;
        return pass_reply(raw);
    }
    if (tag == 'D' && state == State::Rows) return on_masked_row(body, raw, out);
    if (tag == 'd' && state == State::CopyOut) return on_masked_copy(body, raw, out);
    if (tag == 'c' && state == State::CopyOut) {
        if (!finish_masked_copy(out)) return;
        return pass_reply(raw);
    }
    if (tag == 'c' && state == State::CopyBoth) return pass_reply(raw);
    if (((tag == 'G' || tag == 'H' || tag == 'W') && state == State::Begun) ||
        (tag == 'H' && next_of_backup))
        return on_copy_begin(head, tag, body, raw, out);
    if (tag == 'I' && state == State::Begun) return pass_reply(raw);
    if (tag == 'C' && state != State::Failed) {
        const auto done = pg::decode_command_complete(body);
        if (!done) return unexpected("CommandComplete", out);
        complete(head, *done, out);
        return pass_reply(raw);
    }
    unexpected("message type " + std::to_string(static_cast<unsigned char>(tag)), out);
}

void PgMachine::on_execute_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out) {
    using State = Owed::State;
    const State state = head.state;
    if (tag == 'D' && state == State::Begun) {
        if (!plan_rows(head, head.portal->columns, out)) return;
        head.state = State::Rows;
        if (!masking_rows_) return pass_reply(raw);
        return on_masked_row(body, raw, out);
    }
    if (tag == 'D' && state == State::Rows) return on_masked_row(body, raw, out);
    if (tag == 'd' && state == State::CopyOut) return on_masked_copy(body, raw, out);
    if (tag == 'c' && state == State::CopyOut) {
        if (!finish_masked_copy(out)) return;
        return pass_reply(raw);
    }
    if ((tag == 'G' || tag == 'H') && state == State::Begun)
        return on_copy_begin(head, tag, body, raw, out);
    if (tag == 'C') {
        const auto done = pg::decode_command_complete(body);
        if (!done) return unexpected("CommandComplete", out);
        complete(head, *done, out);
        owed_.pop();
        return pass_reply(raw);
    }
    if ((tag == 'I' && state == State::Begun) ||
        (tag == 's' && (state == State::Begun || state == State::Rows))) {
        if (tag == 'I') report(head.portal->account, true, "", "", out);
        masking_rows_ = false;
        owed_.pop();
        return pass_reply(raw);
    }
    unexpected("message type " + std::to_string(static_cast<unsigned char>(tag)), out);
}

void PgMachine::on_describe_reply(Owed& head, char tag, Bytes body, Bytes raw, Actions& out) {
    const bool portal = head.kind == Owed::Kind::DescribePortal;
    const bool own = head.own;
    if (tag == 't' && !portal && head.state == Owed::State::Begun) {
        head.state = Owed::State::Rows;
        return pass_reply(raw);
    }
    const bool in_turn = portal || head.state == Owed::State::Rows;
    if (!in_turn || (tag != 'T' && tag != 'n')) return unexpected("answer to Describe", out);
    if (tag == 'T') {
        if (!pg::decode_row_description(body, columns_)) return unexpected("RowDescription", out);
        const policy::MaskSet* masks = masks_of(head);
        if (head.portal && masks != nullptr && !masks->empty()) head.portal->describe(columns_);
    }
    if (head.portal) head.portal->described = true;
    owed_.pop();
    if (own) return skip(out, raw.size());
    pass_reply(raw);
}

void PgMachine::on_copy_begin(Owed& head, char tag, Bytes body, Bytes raw, Actions& out) {
    const auto response = pg::decode_copy_response(body);
    if (!response) return unexpected("CopyResponse", out);
    if (tag == 'W') {
        const policy::MaskSet* masks = masks_of(head);
        if (!facts_->replication || (masks != nullptr && !masks->empty()))
            return unexpected("a replication stream", out);
        head.state = Owed::State::CopyBoth;
        return pass_reply(raw);
    }
    if (tag == 'H') {
        if (!plan_copy(head, *response, out)) return;
        head.state = Owed::State::CopyOut;
        return pass_reply(raw);
    }
    head.state = Owed::State::CopyIn;
    copying_in_ = true;
    stalled_ = false;
    copy_syncs_ = 0;
    // While it reads copy data the server takes Sync for nothing: those sent ahead have no answer.
    while (owed_.size() > 1 && copying_in_) {
        const Owed::Kind next = owed_.at(1).kind;
        if (next == Owed::Kind::CopyEnd) {
            copying_in_ = false;
        } else if (next == Owed::Kind::Sync) {
            ++copy_syncs_;
            --windows_;
        } else {
            break;
        }
        owed_.remove(1);
    }
    pass_reply(raw);
}

// Whether nothing was sent behind the statement that is done now which may change names again.
bool PgMachine::is_latest(const Owed& head) const {
    using Kind = policy::sql::SessionChange::Kind;
    if (head.serial != serial_) return false;
    if (head.kind != Owed::Kind::Query || !head.facts) return true;
    const policy::sql::Facts& facts = *head.facts;
    if (facts.does(policy::sql::EffectKind::Unknown) || facts.does(policy::sql::EffectKind::Call))
        return false;
    return std::ranges::none_of(
        facts.statements | std::views::drop(head.statement + 1), [](const auto& later) {
            return later.command.starts_with("DROP ") || later.command.starts_with("ALTER ") ||
                   std::ranges::any_of(later.changes, [](const auto& change) {
                       return change.kind == Kind::Commit || change.kind == Kind::Rollback ||
                              change.kind == Kind::RollbackToSavepoint ||
                              change.kind == Kind::PrepareTransaction ||
                              change.kind == Kind::Discard;
                   });
        });
}

void PgMachine::complete(Owed& head, std::string_view tag, Actions& out) {
    const policy::sql::Statement* statement = statement_of(head);
    if (statement != nullptr)
        note_done(*statement, head.portal ? head.portal->epoch : head.epoch, is_latest(head));
    ++head.statement;
    head.state = Owed::State::Begun;
    head.unplanned = false;
    masking_rows_ = masking_copy_ = copying_in_ = false;
    Account& account = account_of(head);
    account.rows += rows_in(tag);
    if (head.kind == Owed::Kind::Execute) report(account, true, "", tag, out);
    if (head.kind == Owed::Kind::Query) head.tag = tag;
}

void PgMachine::on_error(Bytes body, Bytes raw, Actions& out) {
    const auto error = pg::decode_diagnostic(body);
    if (!error) return unexpected("ErrorResponse", out);
    const std::string_view severity =
        error->field('V').empty() ? error->field('S') : error->field('V');
    if (severity == "FATAL" || severity == "PANIC") {
        terminating_ = true;
        return pass_diagnostic(body, raw, out);
    }
    if (owed_.empty()) return unexpected("an error without a question", out);
    note_ending(false);
    Owed& head = owed_.front();
    masking_rows_ = masking_copy_ = false;
    if (head.refusal) {
        Buffer refusal;
        encode_refusal(refusal, *head.refusal);
        report(head.account, false, head.refusal->sqlstate, "", out);
        skip(out, raw.size());
        out.send(Side::Client, refusal);
    } else {
        pass_diagnostic(body, raw, out);
        if (phase_ == Phase::Ended) return;
        report(account_of(head), false, error->field('C'), "", out);
    }
    if (head.state == Owed::State::CopyIn) {
        loose_syncs_ += copy_syncs_;
        copy_syncs_ = 0;
        copying_in_ = false;
    }
    head.state = Owed::State::Failed;
    if (head.kind == Owed::Kind::Query || head.kind == Owed::Kind::Sync) return;
    if (head.kind == Owed::Kind::Parse && head.unnamed) statements_.erase("");
    skip_to_sync(out);
}

// An error in the extended protocol: the server passes over everything up to the next Sync.
void PgMachine::skip_to_sync(Actions& out) {
    while (!owed_.empty() && owed_.front().kind != Owed::Kind::Sync) drop_head(out);
    if (!owed_.empty()) return;
    skipping_ = true;
    withdraw(out);
}

void PgMachine::drop_head(Actions& out) {
    Owed& head = owed_.front();
    switch (head.kind) {
    case Owed::Kind::Parse:
        if (!head.refusal) statements_.drop();
        break;
    case Owed::Kind::Bind: portals_.drop(); break;
    case Owed::Kind::CloseStatement: statements_.drop(); break;
    case Owed::Kind::ClosePortal: portals_.drop(); break;
    case Owed::Kind::Query: --windows_; break;
    case Owed::Kind::DescribePortal:
        if (head.portal) head.portal->describe_sent = head.portal->described;
        break;
    case Owed::Kind::DescribeStatement:
    case Owed::Kind::Execute:
    case Owed::Kind::Sync:
    case Owed::Kind::CopyEnd: break;
    }
    report(account_of(head), false, "", "", out);
    owed_.pop();
}

void PgMachine::on_ready(Bytes body, Bytes raw, Actions& out) {
    const auto status = pg::decode_ready(body);
    if (!status) return unexpected("ReadyForQuery", out);
    const auto fits = [](const Owed& head) {
        if (head.kind == Owed::Kind::Sync) return true;
        return head.kind == Owed::Kind::Query &&
               (head.state == Owed::State::Failed ||
                (head.state == Owed::State::Begun && !head.refusal));
    };
    if (!owed_.empty() && fits(owed_.front())) {
        Owed& head = owed_.front();
        if (head.kind == Owed::Kind::Query) {
            report(head.account, head.state != Owed::State::Failed, "", head.tag, out);
            if (!head.call) statements_.erase("");
        }
        owed_.pop();
        --windows_;
        while (!owed_.empty() && owed_.front().kind == Owed::Kind::CopyEnd) owed_.pop();
    } else if (loose_syncs_ != 0) {
        --loose_syncs_;
    } else {
        return unexpected("ReadyForQuery", out);
    }
    if (windows_ == 0) loose_syncs_ = owed_.empty() ? loose_syncs_ : 0;
    transaction_ = *status;
    note_ready();
    if (transaction_ == 'I') report_portals(true, out);
    if (windows_ == 0) note_settled();
    pass_reply(raw);
}

// A setting that the server reports. Code of the server may have put a masked value there.
void PgMachine::pass_parameter(Bytes body, Bytes raw, Actions& out) {
    on_parameter(body);
    const auto status = pg::decode_parameter_status(body);
    const bool free = status && (status->name == "application_name" || status->name == "TimeZone");
    if (!free || !names_.settings_unsure || !last_masks_ || last_masks_->masks.columns.empty())
        return pass_reply(raw);
    scratch_.clear();
    pg::encode_parameter_status(scratch_, status->name,
                                status->name == "TimeZone" ? "UTC" : "[REDACTED]");
    skip(out, raw.size());
    out.send(Side::Client, scratch_);
}

void PgMachine::on_parameter(Bytes body) {
    const auto status = pg::decode_parameter_status(body);
    if (status) on_setting(status->name, status->value);
}

void PgMachine::on_setting(std::string_view name, std::string_view value) {
    if (name == "client_encoding") encoding_ = value;
    if (name == "standard_conforming_strings") plain_strings_ = value == "on";
    if (name == "DateStyle") date_style_ = value;
}

}  // namespace chaperone::session

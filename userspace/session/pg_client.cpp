// SPDX-License-Identifier: Apache-2.0
// What the client sends once the session is open.
#include "userspace/base/steady.h"
#include "userspace/session/pg_machine.h"
#include "userspace/wire/pg/encoder.h"
#include "userspace/wire/reader.h"

#include <algorithm>

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

// Fails in the grammar of every PostgreSQL, whatever its settings; the server's log shows it.
constexpr std::string_view kRefusedText = "chaperone refused this statement";
// A name of our own: a failed Parse of a named statement leaves the unnamed one alone.
constexpr std::string_view kRefusedName = "chaperone_refused";
// How much of a message that is not read whole is shown to policy and the journal.
constexpr std::size_t kShown = 1'024;

bool is_known(char tag) {
    return std::string_view{"QPBEDCSHFXdcf"}.find(tag) != std::string_view::npos;
}

}  // namespace

std::size_t PgMachine::on_client(Bytes data, Actions& out) {
    stalled_ = false;
    while (phase_ == Phase::Ready && wants(Side::Client)) {
        const Bytes rest = data.subspan(run_.end);
        if (rest.empty()) break;
        if (client_pass_ != 0) {
            const std::size_t n = std::min(client_pass_, rest.size());
            pass(n);
            client_pass_ -= n;
            continue;
        }
        if (client_drop_ != 0) {
            const std::size_t n = std::min(client_drop_, rest.size());
            skip(out, n);
            client_drop_ -= n;
            if (client_drop_ == 0) refuse_dropped(out);
            continue;
        }
        const auto header = pg::peek(rest);
        if (!header) {
            fatal(out, "08P01", "chaperone: invalid message: " + header.error().detail);
            break;
        }
        if (!*header || on_client_message(**header, rest, out) == Step::Wait) break;
    }
    if (phase_ != Phase::Ended) flush(out);
    return run_.end;
}

PgMachine::Step PgMachine::on_client_message(pg::Header header, Bytes rest, Actions& out) {
    const char tag = header.tag;
    if (!is_known(tag)) {
        // Not passed on unseen: what we cannot name, we cannot govern.
        fatal(out, "08P01",
              "chaperone: invalid frontend message type " +
                  std::to_string(static_cast<unsigned char>(tag)));
        return Step::Wait;
    }
    if (tag == 'S') return on_sync(header, rest, out);
    if (tag == 'X') return on_terminate_message(header, rest, out);
    if (skipping_) {
        client_drop_ = header.size;
        return Step::Taken;
    }
    if (copying_in_ && tag != 'd' && tag != 'c' && tag != 'f' && tag != 'H') {
        fatal(out, "08P01", "chaperone: unexpected message during COPY from stdin");
        return Step::Wait;
    }
    switch (tag) {
    case 'Q': return on_query(header, rest, out);
    case 'P': return on_parse(header, rest, out);
    case 'B': return on_bind(header, rest, out);
    case 'D': return on_describe(header, rest, out);
    case 'E': return on_execute(header, rest, out);
    case 'C': return on_close(header, rest, out);
    case 'F': return on_function_call(header, rest, out);
    case 'H': return pass_whole(header, rest);
    default: return on_copy_message(header, rest, out);
    }
}

PgMachine::Step PgMachine::pass_whole(pg::Header header, Bytes rest) {
    if (!whole(header, rest)) return Step::Wait;
    pass(header.size);
    return Step::Taken;
}

Owed& PgMachine::owe(Owed::Kind kind) {
    Owed& owed = owed_.push();
    owed.kind = kind;
    owed.epoch = epoch_;
    owed.serial = serial_;
    return owed;
}

void PgMachine::end_window() {
    ++windows_;
    ++window_;
    dirty_earlier_ = dirty_earlier_ || dirty_window_;
    dirty_window_ = false;
    unsure_window_ = false;
}

// False: what the text means depends on answers or on a catalog that are still to come.
bool PgMachine::ready_to_analyse() {
    if (dirty_earlier_ && windows_ != 0) {
        stalled_ = true;
        return false;
    }
    return true;
}

// False: the text names what the session has changed since the catalog was read; it is read anew.
// While changes are not committed it would not show them, so the text stays in doubt.
bool PgMachine::fresh_enough(const Facts& facts, Actions& out) {
    if (!catalog_stale_ || !catalog_ || schema_touched_) return true;
    if (!facts->stale && !names_.added && !names_.all_changed && !schema_unsure_) return true;
    flush(out);
    awaiting_catalog_ = true;
    out.need_catalog(database_, true);
    return false;
}

PgMachine::Step PgMachine::ask(policy::Stage stage, std::string_view text, Facts facts,
                               std::vector<policy::Parameter> parameters, Actions& out,
                               std::string_view refused) {
    flush(out);
    question_ = {};
    question_.open = true;
    question_.facts = facts;
    question_.epoch = epoch_;
    out.ask({.session = facts_,
             .stage = stage,
             .statement = text,
             .sql = std::move(facts),
             .parameters = std::move(parameters),
             .refused = refused,
             .now = to_wall(now_)});
    return question_.answered ? Step::Taken : Step::Wait;
}

void PgMachine::allowed(const Question& question) {
    note_sent(question.facts);
    if (!question.answer.decision->masks.empty()) last_masks_ = question.answer.decision;
}

// An allowed question that was asked about names which have changed their meaning since: the schema
// was changed while it was held. If it does something else now, that has not been decided on.
void PgMachine::ask_again(Facts facts, Actions& out) {
    if (same_doings(*facts, *question_.facts)) {
        question_.facts = std::move(facts);
        question_.epoch = epoch_;
    } else {
        withdraw(out);
    }
}

PgMachine::Step PgMachine::on_query(pg::Header header, Bytes rest, Actions& out) {
    if (header.size - pg::kHeaderSize > config_.limits.statement + 1)
        return on_unanswerable(header, rest, "54000", "the statement is too large", out);
    if (!whole(header, rest)) return Step::Wait;
    const auto query = pg::decode_query(rest.first(header.size).subspan(pg::kHeaderSize));
    if (!query) {
        fatal(out, "08P01", "chaperone: invalid message: " + query.error().detail);
        return Step::Wait;
    }
    if (outdated()) ask_again(analyse(query->sql), out);
    if (!question_.answered) {
        if (!ready_to_analyse()) return Step::Wait;
        Facts facts = analyse(query->sql);
        if (!fresh_enough(facts, out)) return Step::Wait;
        return ask(policy::Stage::Statement, query->sql, std::move(facts), {}, out);
    }
    Question question = take_question();
    if (question.answer.verdict != Verdict::Allowed) {
        substitute('Q', false, refusal_of(question.answer, facts_->id), question.answer.request,
                   out);
        skip(out, header.size);
        return Step::Taken;
    }
    Owed& owed = owe(Owed::Kind::Query);
    owed.facts = question.facts;
    owed.decision = question.answer.decision;
    owed.account = {.request = question.answer.request, .up = header.size};
    allowed(question);
    owed.serial = serial_;
    end_window();
    pass(header.size);
    return Step::Taken;
}

// A request that no answer can let through: too large to be looked at, or of a kind that nobody can
// read. It is asked all the same, so that it is recorded.
PgMachine::Step PgMachine::on_unanswerable(pg::Header header, Bytes rest, std::string_view sqlstate,
                                           std::string_view why, Actions& out) {
    if (!question_.answered) {
        if (rest.size() < std::min(header.size, pg::kHeaderSize + kShown)) return Step::Wait;
        const Bytes shown = rest.first(std::min(header.size, pg::kHeaderSize + kShown));
        std::string_view text = as_text(shown.subspan(pg::kHeaderSize));
        policy::Stage stage = policy::Stage::Statement;
        if (header.tag == 'P') {
            stage = policy::Stage::Prepare;
            text.remove_prefix(std::min(text.size(), text.find('\0')));
            if (!text.empty()) text.remove_prefix(1);
        }
        if (header.tag == 'B') stage = policy::Stage::Execute;
        if (header.tag == 'B' || header.tag == 'F') text = {};
        return ask(stage, text.substr(0, text.find('\0')), policy::sql::unparsed(std::string{why}),
                   {}, out, why);
    }
    const bool unnamed = header.tag == 'P' && rest[pg::kHeaderSize] == std::byte{};
    dropped_ = {.tag = header.tag, .unnamed = unnamed, .sqlstate = sqlstate, .why = why};
    client_drop_ = header.size;
    return Step::Taken;
}

// The error follows the whole message, as a server's would: clients that are still sending lose an
// answer that comes earlier (libpq reads while it sends; who then waits to read waits for ever).
void PgMachine::refuse_dropped(Actions& out) {
    const Dropped dropped = std::exchange(dropped_, Dropped{});
    if (!question_.answered) return;  // passed over up to Sync, or by an earlier error
    const Question question = take_question();
    PgRefusal refusal = refusal_of(question.answer, facts_->id);
    if (question.answer.verdict != Verdict::Cancelled)
        refusal = {.sqlstate = std::string{dropped.sqlstate},
                   .message = "chaperone: " + std::string{dropped.why},
                   .detail = "session " + facts_->id};
    substitute(dropped.tag, dropped.unnamed, std::move(refusal), question.answer.request, out);
}

void PgMachine::substitute(char tag, bool unnamed, PgRefusal refusal, std::uint64_t request,
                           Actions& out) {
    flush(out);
    scratch_.clear();
    const bool simple = tag == 'Q' || tag == 'F';
    if (simple)
        pg::encode_query(scratch_, kRefusedText);
    else
        pg::encode_parse(scratch_, unnamed ? std::string_view{} : kRefusedName, kRefusedText);
    out.send(Side::Server, scratch_);
    Owed& owed = owe(simple ? Owed::Kind::Query : Owed::Kind::Parse);
    owed.unnamed = unnamed;
    owed.refusal = std::make_unique<PgRefusal>(std::move(refusal));
    owed.account = {.request = request};
    if (simple)
        end_window();
    else
        skipping_ = true;  // it fails, so the server skips what follows: it is not sent at all
}

PgMachine::Step PgMachine::on_copy_message(pg::Header header, Bytes rest, Actions& out) {
    if (header.tag == 'c' && header.size != pg::kHeaderSize) {
        fatal(out, "08P01", "chaperone: invalid message: CopyDone");
        return Step::Wait;
    }
    if (header.tag == 'f' && !whole(header, rest)) {
        if (header.size <= config_.limits.control) return Step::Wait;
        fatal(out, "08P01", "chaperone: invalid message: CopyFail");
        return Step::Wait;
    }
    if (copying_in_ && !owed_.empty()) {
        Owed& head = owed_.front();
        (head.portal ? head.portal->account : head.account).up += header.size;
    }
    if (header.tag != 'd') {
        // Without a copy the server ignores it; whether one runs is told by what is owed before.
        if (!copying_in_ && !owed_.empty()) owe(Owed::Kind::CopyEnd);
        copying_in_ = false;
        copy_syncs_ = 0;
    }
    client_pass_ = header.size;
    return Step::Taken;
}

PgMachine::Step PgMachine::on_sync(pg::Header header, Bytes rest, Actions& out) {
    if (header.size != pg::kHeaderSize) {
        fatal(out, "08P01", "chaperone: invalid message: Sync");
        return Step::Wait;
    }
    if (!whole(header, rest)) return Step::Wait;
    pass(header.size);
    if (copying_in_) {
        ++copy_syncs_;
        return Step::Taken;
    }
    skipping_ = false;
    owe(Owed::Kind::Sync);
    end_window();
    return Step::Taken;
}

PgMachine::Step PgMachine::on_terminate_message(pg::Header header, Bytes rest, Actions& out) {
    if (!whole(header, rest)) return Step::Wait;
    pass(pg::kHeaderSize == header.size ? header.size : 0);
    flush(out);
    finish(out, "the client ended the session");
    return Step::Wait;
}

}  // namespace chaperone::session

// SPDX-License-Identifier: Apache-2.0
// The extended query protocol: Parse, Bind, Describe, Execute, Close.
#include "userspace/session/pg_machine.h"
#include "userspace/session/pg_parameters.h"
#include "userspace/wire/pg/encoder.h"

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

// 65,535 types of four bytes, and names.
constexpr std::size_t kParseOverhead = 4 * 65'535 + 4'096;

Bytes body_of(pg::Header header, Bytes rest) {
    return rest.first(header.size).subspan(pg::kHeaderSize);
}

std::string quoted(std::string_view name) {
    std::string out = "\"";
    for (const char c : name) {
        if (c == '"') out += '"';
        out += c;
    }
    return out += '"';
}

}  // namespace

PgMachine::Step PgMachine::on_parse(pg::Header header, Bytes rest, Actions& out) {
    const PgLimits& limits = config_.limits;
    if (header.size > limits.statement + kParseOverhead)
        return on_unanswerable(header, rest, "54000", "the statement is too large", out);
    if (!whole(header, rest)) return Step::Wait;
    if (const auto parsed = pg::decode_parse(body_of(header, rest), parse_); !parsed) {
        fatal(out, "08P01", "chaperone: invalid message: " + parsed.error().detail);
        return Step::Wait;
    }
    if (parse_.sql.size() > limits.statement)
        return on_unanswerable(header, rest, "54000", "the statement is too large", out);
    if (statements_.size() >= limits.names ||
        *statement_bytes_ + parse_.sql.size() > limits.names_bytes)
        return on_unanswerable(header, rest, "54000", "there are too many prepared statements",
                               out);
    if (!question_.answered) {
        if (!ready_to_analyse()) return Step::Wait;
        Facts facts = analyse(parse_.sql);
        if (!fresh_enough(facts, out)) return Step::Wait;
        return ask(policy::Stage::Prepare, parse_.sql, std::move(facts), {}, out);
    }
    Question question = take_question();
    if (question.answer.verdict != Verdict::Allowed) {
        substitute('P', parse_.statement.empty(), refusal_of(question.answer, facts_->id),
                   question.answer.request, out);
        skip(out, header.size);
        return Step::Taken;
    }
    auto prepared =
        std::make_shared<Prepared>(Prepared{.text = std::string{parse_.sql},
                                            .facts = question.facts,
                                            .epoch = question.epoch,
                                            .types = parse_.types,
                                            .share = Share{statement_bytes_, parse_.sql.size()}});
    statements_.expect(parse_.statement, std::move(prepared), window_);
    if (!parse_.statement.empty()) note_named(parse_.statement, question.facts);
    Owed& owed = owe(Owed::Kind::Parse);
    owed.unnamed = parse_.statement.empty();
    owed.decision = question.answer.decision;
    owed.facts = std::move(question.facts);
    owed.account = {.request = question.answer.request, .up = header.size};
    pass(header.size);
    return Step::Taken;
}

// SQL's EXECUTE finds the statements of the protocol, too. Those that failed count as well until
// one succeeds, so their number is bounded: beyond it, the name may be anything.
void PgMachine::note_named(std::string_view name, const Facts& facts) {
    constexpr std::size_t kCandidates = 16;
    auto it = names_.prepared.find(name);
    if (it == names_.prepared.end()) {
        if (names_.prepared.size() >= config_.limits.names) {
            hidden_names_ = true;
            return;
        }
        it = names_.prepared.emplace(std::string{name}, policy::sql::SessionNames::Candidates{})
                 .first;
    }
    if (it->second.size() >= kCandidates)
        it->second.assign(1, policy::sql::unparsed("was prepared too often to inspect"));
    else
        it->second.push_back(facts);
}

// What the statement does as things are now: names may have changed their meaning since.
const PgMachine::Facts& PgMachine::facts_now(Prepared& prepared) {
    if (prepared.epoch != epoch_ || (prepared.facts && prepared.facts->uses_session)) {
        prepared.facts = analyse(prepared.text, prepared.facts && prepared.facts->parsed);
        prepared.epoch = epoch_;
    }
    return prepared.facts;
}

PgMachine::Step PgMachine::on_bind(pg::Header header, Bytes rest, Actions& out) {
    if (header.size > config_.limits.bind)
        return on_unanswerable(header, rest, "54000", "the parameters are too large", out);
    if (!whole(header, rest)) return Step::Wait;
    if (const auto bound = pg::decode_bind(body_of(header, rest), bind_); !bound) {
        fatal(out, "08P01", "chaperone: invalid message: " + bound.error().detail);
        return Step::Wait;
    }
    if (outdated()) {
        const auto found = statements_.find(bind_.statement, window_);
        ask_again(
            found.thing ? facts_now(*found.thing) : analyse("EXECUTE " + quoted(bind_.statement)),
            out);
    }
    if (!question_.answered) {
        auto found = statements_.find(bind_.statement, window_);
        using Found = NameTable<Prepared>::Found;
        if (found.found == Found::Unsettled) {
            stalled_ = true;
            return Step::Wait;
        }
        if (found.found == Found::No && !hidden_names_ &&
            !names_.prepared.contains(bind_.statement)) {
            // Nobody made it: the server says so itself.
            portals_.expect(bind_.portal, std::make_shared<Portal>(), window_);
            owe(Owed::Kind::Bind).nameless = true;
            pass(header.size);
            return Step::Taken;
        }
        return ask_bind(std::move(found), out);
    }
    Question question = take_question();
    if (question.answer.verdict != Verdict::Allowed) {
        substitute('B', false, refusal_of(question.answer, facts_->id), question.answer.request,
                   out);
        skip(out, header.size);
        return Step::Taken;
    }
    pass_bind(header.size, std::move(question));
    return Step::Taken;
}

PgMachine::Step PgMachine::ask_bind(NameTable<Prepared>::Answer found, Actions& out) {
    if (!ready_to_analyse()) return Step::Wait;
    std::vector<policy::Parameter> parameters;
    if (found.thing) {
        const Facts& facts = facts_now(*found.thing);
        if (!fresh_enough(facts, out)) return Step::Wait;
        read_parameters(bind_, found.thing->types, config_.limits.parameter_text, parameters);
        return ask(policy::Stage::Execute, found.thing->text, facts, std::move(parameters), out);
    }
    // Made by PREPARE, or where we could not see it: the analysis knows what EXECUTE would do.
    const std::string text = "EXECUTE " + quoted(bind_.statement);
    Facts facts = analyse(text);
    if (!fresh_enough(facts, out)) return Step::Wait;
    read_parameters(bind_, {}, config_.limits.parameter_text, parameters);
    return ask(policy::Stage::Execute, text, std::move(facts), std::move(parameters), out);
}

void PgMachine::pass_bind(std::size_t size, Question question) {
    auto portal = std::make_shared<Portal>();
    portal->facts = question.facts;
    portal->epoch = epoch_;
    portal->decision = question.answer.decision;
    portal->account = {.request = question.answer.request, .up = size};
    Owed& owed = owe(Owed::Kind::Bind);
    owed.portal = portal;
    portals_.expect(bind_.portal, std::move(portal), window_);
    allowed(question);
    pass(size);
}

PgMachine::Step PgMachine::on_describe(pg::Header header, Bytes rest, Actions& out) {
    if (header.size > config_.limits.control) {
        fatal(out, "08P01", "chaperone: invalid message: Describe");
        return Step::Wait;
    }
    if (!whole(header, rest)) return Step::Wait;
    const auto target = pg::decode_target(body_of(header, rest));
    if (!target) {
        fatal(out, "08P01", "chaperone: invalid message: " + target.error().detail);
        return Step::Wait;
    }
    std::shared_ptr<Portal> portal;
    if (target->kind == 'P') {
        auto found = portals_.find(target->name, window_);
        if (found.found == NameTable<Portal>::Found::Unsettled) {
            stalled_ = true;
            return Step::Wait;
        }
        portal = std::move(found.thing);
        if (portal) portal->describe_sent = true;
    }
    owe(target->kind == 'P' ? Owed::Kind::DescribePortal : Owed::Kind::DescribeStatement).portal =
        std::move(portal);
    pass(header.size);
    return Step::Taken;
}

PgMachine::Step PgMachine::on_execute(pg::Header header, Bytes rest, Actions& out) {
    if (header.size > config_.limits.control) {
        fatal(out, "08P01", "chaperone: invalid message: Execute");
        return Step::Wait;
    }
    if (!whole(header, rest)) return Step::Wait;
    const auto execute = pg::decode_execute(body_of(header, rest));
    if (!execute) {
        fatal(out, "08P01", "chaperone: invalid message: " + execute.error().detail);
        return Step::Wait;
    }
    if (outdated()) ask_again(analyse("FETCH ALL FROM " + quoted(execute->portal)), out);
    if (question_.answered) {
        Question question = take_question();
        if (question.answer.verdict != Verdict::Allowed) {
            substitute('B', false, refusal_of(question.answer, facts_->id), question.answer.request,
                       out);
            skip(out, header.size);
            return Step::Taken;
        }
        auto portal = std::make_shared<Portal>();
        portal->facts = question.facts;
        portal->decision = question.answer.decision;
        portal->account = {.request = question.answer.request};
        allowed(question);
        pass_execute(header.size, execute->portal, std::move(portal), out);
        return Step::Taken;
    }
    auto found = portals_.find(execute->portal, window_);
    using Found = NameTable<Portal>::Found;
    if (found.found == Found::Unsettled) {
        stalled_ = true;
        return Step::Wait;
    }
    if (found.found == Found::No && (hidden_names_ || names_.portals.contains(execute->portal)))
        return ask_fetch(execute->portal, out);
    pass_execute(header.size, execute->portal, std::move(found.thing), out);
    return Step::Taken;
}

// A cursor that SQL made: to execute it is to fetch from it.
PgMachine::Step PgMachine::ask_fetch(std::string_view portal, Actions& out) {
    if (!ready_to_analyse()) return Step::Wait;
    const std::string text = "FETCH ALL FROM " + quoted(portal);
    Facts facts = analyse(text);
    if (!fresh_enough(facts, out)) return Step::Wait;
    return ask(policy::Stage::Execute, text, std::move(facts), {}, out);
}

// `portal` may be null: one that nobody made, which the server will say.
void PgMachine::pass_execute(std::size_t size, std::string_view name,
                             std::shared_ptr<Portal> portal, Actions& out) {
    const bool masked = portal && portal->decision && !portal->decision->masks.empty();
    if (masked && !portal->describe_sent) {
        // Types and formats of the rows, from the server itself and for this portal.
        flush(out);
        scratch_.clear();
        pg::encode_describe(scratch_, 'P', name);
        out.send(Side::Server, scratch_);
        Owed& owed = owe(Owed::Kind::DescribePortal);
        owed.own = true;
        owed.portal = portal;
        portal->describe_sent = true;
    }
    if (portal) portal->account.up += size;
    Owed& owed = owe(Owed::Kind::Execute);
    owed.nameless = !portal;
    owed.portal = std::move(portal);
    pass(size);
}

PgMachine::Step PgMachine::on_close(pg::Header header, Bytes rest, Actions& out) {
    if (header.size > config_.limits.control) {
        fatal(out, "08P01", "chaperone: invalid message: Close");
        return Step::Wait;
    }
    if (!whole(header, rest)) return Step::Wait;
    const auto target = pg::decode_target(body_of(header, rest));
    if (!target) {
        fatal(out, "08P01", "chaperone: invalid message: " + target.error().detail);
        return Step::Wait;
    }
    if (target->kind == 'S') {
        statements_.expect(target->name, nullptr, window_);
        owe(Owed::Kind::CloseStatement);
    } else {
        portals_.expect(target->name, nullptr, window_);
        owe(Owed::Kind::ClosePortal);
    }
    pass(header.size);
    return Step::Taken;
}

}  // namespace chaperone::session

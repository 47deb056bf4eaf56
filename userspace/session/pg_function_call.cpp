// SPDX-License-Identifier: Apache-2.0
// FunctionCall: a function by its number, which says nothing that policy could look at. Large
// objects are the exception, since libpq's lo_* (and so psycopg, psql's \lo_import, pg_dump) speak
// of them in no other way: their functions have fixed numbers, and each call is decided on as the
// SELECT that does the same. Every other function is refused.
#include "userspace/session/pg_machine.h"
#include "userspace/session/pg_parameters.h"

#include <algorithm>
#include <array>

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

constexpr std::uint32_t kBytea = 17, kInt8 = 20, kInt4 = 23, kOid = 26;

// src/include/catalog/pg_proc.dat. lo_import and lo_export, which open files of the server, are not
// among what clients call.
struct Call {
    std::uint32_t function;
    std::string_view text;
    std::array<std::uint32_t, 3> types;
    std::size_t arguments;
    bool reads = false;
};
// clang-format off
constexpr std::array<Call, 13> kCalls{{
    {715, "SELECT pg_catalog.lo_create($1)", {kOid}, 1},
    {952, "SELECT pg_catalog.lo_open($1, $2)", {kOid, kInt4}, 2},
    {953, "SELECT pg_catalog.lo_close($1)", {kInt4}, 1},
    {954, "SELECT pg_catalog.loread($1, $2)", {kInt4, kInt4}, 2, true},
    {955, "SELECT pg_catalog.lowrite($1, $2)", {kInt4, kBytea}, 2},
    {956, "SELECT pg_catalog.lo_lseek($1, $2, $3)", {kInt4, kInt4, kInt4}, 3},
    {957, "SELECT pg_catalog.lo_creat($1)", {kInt4}, 1},
    {958, "SELECT pg_catalog.lo_tell($1)", {kInt4}, 1},
    {964, "SELECT pg_catalog.lo_unlink($1)", {kOid}, 1},
    {1004, "SELECT pg_catalog.lo_truncate($1, $2)", {kInt4, kInt4}, 2},
    {3170, "SELECT pg_catalog.lo_lseek64($1, $2, $3)", {kInt4, kInt8, kInt4}, 3},
    {3171, "SELECT pg_catalog.lo_tell64($1)", {kInt4}, 1},
    {3172, "SELECT pg_catalog.lo_truncate64($1, $2)", {kInt4, kInt8}, 2},
}};
// clang-format on

}  // namespace

PgMachine::Step PgMachine::on_function_call(pg::Header header, Bytes rest, Actions& out) {
    if (header.size > config_.limits.bind)
        return on_unanswerable(header, rest, "54000", "the parameters are too large", out);
    if (!whole(header, rest)) return Step::Wait;
    const Bytes body = rest.first(header.size).subspan(pg::kHeaderSize);
    if (const auto decoded = pg::decode_function_call(body, call_); !decoded) {
        fatal(out, "08P01", "chaperone: invalid message: " + decoded.error().detail);
        return Step::Wait;
    }
    const auto* const call = std::ranges::find(kCalls, call_.function, &Call::function);
    if (call == kCalls.end() || call_.arguments.values.size() != call->arguments)
        return on_unanswerable(header, rest, "0A000",
                               "function calls by protocol are not supported", out);
    if (outdated()) ask_again(analyse(call->text), out);
    if (!question_.answered) {
        if (!ready_to_analyse()) return Step::Wait;
        Facts facts = analyse(call->text);
        if (!fresh_enough(facts, out)) return Step::Wait;
        std::vector<policy::Parameter> parameters;
        read_parameters(call_.arguments, {call->types.data(), call->arguments},
                        config_.limits.parameter_text, parameters);
        return ask(policy::Stage::Statement, call->text, std::move(facts), std::move(parameters),
                   out);
    }
    const Question question = take_question();
    PgRefusal refusal = refusal_of(question.answer, facts_->id);
    bool refused = question.answer.verdict != Verdict::Allowed;
    if (!refused && call->reads && !question.answer.decision->masks.empty()) {
        // Which values lie in a large object nobody knows, and its bytes have no type to keep.
        refused = true;
        refusal = {.sqlstate = "42501",
                   .message = "chaperone: large objects cannot be read where values are masked",
                   .detail = "session " + facts_->id};
    }
    if (refused) {
        substitute('F', false, std::move(refusal), question.answer.request, out);
        skip(out, header.size);
        return Step::Taken;
    }
    Owed& owed = owe(Owed::Kind::Query);
    owed.call = true;
    owed.facts = question.facts;
    owed.decision = question.answer.decision;
    owed.account = {.request = question.answer.request, .up = header.size};
    allowed(question);
    end_window();
    pass(header.size);
    return Step::Taken;
}

void PgMachine::on_call_reply(Owed& head, char tag, Bytes raw, Actions& out) {
    if (tag != 'V' || head.state != Owed::State::Begun || head.statement != 0)
        return unexpected("answer to FunctionCall", out);
    head.statement = 1;
    head.tag = "FUNCTION CALL";
    pass_reply(raw);
}

}  // namespace chaperone::session

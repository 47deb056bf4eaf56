// SPDX-License-Identifier: Apache-2.0
// A session as a pure machine: events in, actions out. It opens no socket, reads no clock, starts
// no thread and never blocks, so a unit script, the fuzzer, a replay and the daemon run this code.
//
// Input is not copied: on_received is given all unconsumed bytes of one side and returns how many
// it is done with; the caller keeps the rest and gives it again, longer. A message that awaits an
// answer stays unconsumed, and is forwarded out of the caller's buffer once it has been decided.
// One thread at a time.
#pragma once

#include "policy/decision.h"
#include "policy/request.h"
#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::sql {
class Catalog;
}

namespace chaperone::session {

enum class Side : std::uint8_t { Client, Server };

// How a question was answered, by policy, a person, or the lack of either.
enum class Verdict {
    Allowed,      // by a rule, or granted by a person
    Denied,       // by a rule, or because no rule allows it
    Refused,      // by a person
    Expired,      // nobody answered in time
    Cancelled,    // the client withdrew it
    NeedsBody,    // not decided, not recorded: ask again with the body of this request
    Unavailable,  // policy, approvals or the journal cannot be reached: fail closed
};

// Tells apart the questions of one session that are open at once: chosen by the machine, and free
// again once it is answered, withdrawn or left.
using Tag = std::uint64_t;

struct Answer {
    Verdict verdict = Verdict::Unavailable;
    policy::DecisionPtr decision{};  // may be null only with Unavailable
    std::uint64_t request{};         // its number in the journal; given back in Outcome
    std::string approval{};          // the approval's id, where a person was asked
    std::string reason{};            // the person's words; empty: decision->reason holds
    Tag tag = 0;                     // of the question
};

// What came of an allowed request, or of one that was refused. Times are the runner's.
struct Outcome {
    std::uint64_t request{};
    bool ok{};
    std::string sqlstate{};  // of the error, or the status of a response; empty: none
    std::string tag{};       // "SELECT 5"
    std::uint64_t rows{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
};

struct TlsInfo {
    std::string server_name{};  // SNI that the client sent; empty: none
    std::string protocol{};     // "TLSv1.3"
    std::string alpn{};         // that both speak; empty: none was agreed on
    bool resumed{};
    Buffer server_end_point{};  // RFC 5929 tls-server-end-point of the server's certificate
};

// What start_tls is to agree on, where it differs from what the target says.
struct TlsWants {
    std::string server_name{};        // Server only: the name to ask for and to verify
    std::vector<std::string> alpn{};  // Server: to offer; Client: to accept, ours first
};

// What a machine wants done, in this order. Implemented by the runner and by test scripts; views
// are valid during the call only, except that forward's range lies in the data of this very event.
class Actions {
public:
    virtual ~Actions() = default;
    virtual void forward(Side to, Bytes range) = 0;  // untouched bytes of the other side
    virtual void send(Side to, Bytes data) = 0;      // bytes of our own; copied
    // Answered by on_decided with this tag, perhaps after on_held; no two open questions share one.
    virtual void ask(const policy::Request& request, Tag tag = 0) = 0;
    // An open question: nobody waits for its answer any more, and on_decided will not tell it.
    virtual void withdraw(Tag tag = 0) = 0;
    // A held question: its answer is not waited for here, and what a person decides is given to the
    // next equal request of this workload, whatever session it comes in.
    virtual void leave(Tag tag = 0) = 0;
    virtual void record(const Outcome& outcome) = 0;
    // What policy says now, of a message that nobody can wait with. `record`: it is a request of
    // its own, and is written; null: it could not be.
    virtual policy::DecisionPtr probe(const policy::Request& request, bool record) = 0;
    // After all sends so far; answered by on_tls_started.
    virtual void start_tls(Side side, const TlsWants& wants = {}) = 0;
    virtual void connect() = 0;  // dial the server; answered by on_connected
    // Instead of connect() and start_tls(): a connection to the server that a session like this one
    // has left idle, with what was agreed on in its TLS. Nullopt: there is none.
    virtual std::optional<TlsInfo> reuse(bool /*tls*/, const TlsWants&) { return std::nullopt; }
    // The server's connection is given up for one that is dialled now; what still comes from it is
    // not told. `unused`: nothing was sent over it. Answered by on_connected.
    virtual void reconnect(bool /*unused*/) {}
    // Before end(): the server owes nothing and is owed nothing; another session may go on with it.
    virtual void keep_server() {}
    virtual void opened() {}  // past the login: its time limit holds no more; as server_key() says
    virtual void close_write(Side) {}  // after all sends so far; the other half goes on
    // The catalog of this database, at least as new as now if `fresh`; answered by on_catalog.
    virtual void need_catalog(std::string_view database, bool fresh) = 0;
    virtual void server_key(std::uint32_t pid, Bytes secret) = 0;  // for cancel requests
    virtual void cancel_server() = 0;  // send a cancel request for the query that runs now
    virtual void cancel_session(std::uint32_t pid, Bytes secret) = 0;  // this was a CancelRequest
    virtual void end(std::string_view reason) = 0;  // after all sends so far; nothing follows
    // As end(), and the client's connection is reset: its protocol has no words for the reason.
    virtual void drop(std::string_view reason) { end(reason); }
    // As end(), and within TLS the client is not told that it has all (no close_notify), as the
    // server did not tell. In clear text an ordinary end.
    virtual void end_untold(std::string_view reason) { end(reason); }
};

// How a side's connection came to its end, where it is not the ordinary one.
enum class Cut {
    Reset,   // by the peer or by what lies between
    Untold,  // TLS without a close_notify: who cut it, nobody knows (RFC 8446, 6.1)
};

class Machine {
public:
    virtual ~Machine() = default;

    // The client is there and nothing has come of it yet: it may be the server that speaks first.
    virtual void on_opened(Actions&) {}
    // Returns how much of `data` is consumed; 0 is fine: call again when there is more.
    virtual std::size_t on_received(Side from, Bytes data, Actions& out) = 0;
    virtual void on_closed(Side by, Actions& out) = 0;
    // Why TLS with this side is over, where it says so: before on_closed().
    virtual void on_alert(Side, std::string_view) {}
    // Its end is none that it has announced: before on_closed().
    virtual void on_cut(Side, Cut) {}
    // NotFound: the name does not resolve. Denied: nobody listens. Expired: no answer in time.
    virtual void on_connected(Result<> connected, Actions& out) = 0;
    // Invalid: the server's certificate is not trusted. Denied: the peer does not accept ours.
    // Other errors: the handshake failed otherwise. The connection is of no more use.
    virtual void on_tls_started(Side side, Result<TlsInfo> started, Actions& out) = 0;
    // Null: there is none (the resource has no credential of ours). An error: refuse the session.
    // Also unasked, while no need_catalog is open, when others have changed the schema.
    virtual void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>> catalog,
                            Actions& out) = 0;
    // The question waits for a person; `expires` is when it ends by itself, by the wall clock.
    virtual void on_held(Tag tag, std::string_view approval, Time expires, Actions& out) = 0;
    virtual void on_decided(const Answer& answer, Actions& out) = 0;
    virtual void on_cancel(Actions& out) = 0;  // the client's CancelRequest for this session
    virtual void on_terminate(std::string_view reason, Actions& out) = 0;  // operator, or drain
    // The daemon stops, or the session may not go on: what is under way may come to its end,
    // nothing new begins. Whoever tells it terminates what is left after a while.
    virtual void on_drain(std::string_view reason, Actions& out) { on_terminate(reason, out); }
    // About once a second, and before received; by steady_now(), which nobody sets.
    virtual void on_tick(Time now, Actions& out) = 0;
    // About once a second, and not because bytes have come: a machine in which nothing has happened
    // for long may end here, and no request is in the way.
    virtual void on_quiet(Time, Actions&) {}
    // Something that it waits for outside of this interface (a token) is there, or has failed.
    virtual void on_wake(Actions&) {}

    // Whether bytes of this side are looked at now. What is not wanted stays unread, but for a
    // bounded look-ahead while a question is held: back-pressure and waiting are one mechanism.
    virtual bool wants(Side from) const = 0;

    // What either side sends is forwarded to the other as it is: the caller may do so by itself,
    // and then tells how much it was instead of on_received.
    virtual bool opaque() const { return false; }
    virtual void on_passed(Side, std::size_t) {}
};

}  // namespace chaperone::session
